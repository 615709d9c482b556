"""A `TrainingSpec` as a native Keras loop, tracked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras

from lca_core import Partition
from lca_keras.names import stable_names
from lca_keras.networks import build, spelling
from lca_keras.optimizers import Grouped
from lca_keras.tracking import track

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lca_core import Run
    from lca_core.adapters import OnStep
    from lca_core.datasets import Dataset
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
    model = compiled_model(spec)
    x, y = dataset.train.inputs, dataset.train.labels
    whole = Partition((x, y), by=y) if by_class else (x, y)
    data = {"train": whole, "val": (dataset.val.inputs, dataset.val.labels)}
    batches, factors = spec.batches(len(y)), spec.factors(len(y))
    with track(model, data, loss=cross_entropy(), **tracking) as tracker:
        for indices, factor in zip(batches, factors, strict=True):
            model.optimizer.learning_rate = factor
            model.train_on_batch(x[indices], y[indices])
            tracker.step()
            on_step(tracker)
    return tracker.run


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
