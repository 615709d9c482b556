"""A `TrainingSpec` as a native Keras loop, tracked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras

from lca_core.resuming import reached
from lca_core.sampling import yardsticks
from lca_keras.names import stable_names
from lca_keras.networks import build, spelling
from lca_keras.optimizers import Grouped
from lca_keras.tracking import track

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lca_core import Run
    from lca_core.adapters import OnStep
    from lca_core.datasets import Dataset, Split
    from lca_core.training import TrainingSpec


def train(
    spec: TrainingSpec,
    dataset: Dataset,
    *,
    on_step: OnStep,
    tracking: Mapping[str, Any],
    by_class: bool = False,
) -> Run:
    """Train the spec's network by `train_on_batch`, tracking "train" and "val"."""
    arguments, splits = {**tracking}, {"train": dataset.train, "val": dataset.val}
    arrays = {name: (split.inputs, split.labels) for name, split in splits.items()}
    sampling = arguments.pop("sampling", None)
    data = yardsticks(arrays, dataset, spec, by_class=by_class, sampling=sampling)
    moves = iterates(spec, compiled_model(spec), dataset.train)
    model = reached(moves, **tracking)
    with track(model, data, loss=cross_entropy(), **arguments) as tracker:
        for _ in moves:
            tracker.step()
            on_step(tracker)
    return tracker.run


def iterates(spec: TrainingSpec, model: keras.Model, split: Split) -> Iterator[keras.Model]:
    """Yield the model as it stands, then after every step.

    Args:
        spec: the set-up.
        model: from `compiled_model`; it is trained in place.
        split: all examples.
    """
    yield model
    batches, factors = spec.batches(len(split)), spec.factors(len(split))
    for indices, factor in zip(batches, factors, strict=True):
        model.optimizer.learning_rate = factor
        model.train_on_batch(split.inputs[indices], split.labels[indices])
        yield model


def compiled_model(spec: TrainingSpec) -> keras.Model:
    """Return the spec's network with its initial weights, its optimizer and its loss."""
    model = build(spec.network, spec.initial(), spec.seed)
    paths = stable_names(model)
    by_path = {paths[id(v)]: v for v in model.weights}
    variables = {name: by_path[one.name] for name, one in spelling(spec.network).items()}
    model.compile(optimizer=Grouped(spec.groups, variables), loss=cross_entropy())
    return model


def cross_entropy() -> keras.losses.Loss:
    """Return the mean cross-entropy of integer labels, from logits."""
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)
