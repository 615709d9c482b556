"""How layers behave while the loss is measured."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import keras
from keras.src.backend.common.global_state import get_global_attribute, set_global_attribute
from keras.src.random.seed_generator import GLOBAL_SEED_GENERATOR

from lca_keras.backends import BACKEND

if TYPE_CHECKING:
    from collections.abc import Iterator

Mode: TypeAlias = Literal["eval", "batch-stats"]
"""As at inference; or so, but batch norm on the statistics of each chunk."""


def own_statistics(mode: Mode, layer: keras.Layer) -> bool:
    """Return whether a layer normalises by the chunk's own statistics.

    A frozen batch norm keeps to its averages, as it does in training.
    """
    is_norm = isinstance(layer, keras.layers.BatchNormalization)
    return mode == "batch-stats" and is_norm and bool(layer.trainable)


@contextmanager
def measured(
    model: keras.Model, mode: Mode, generator: keras.random.SeedGenerator
) -> Iterator[None]:
    """Call the model in inference, its batch norms as the mode wants them.

    Keras passes `training` through the whole model at once, so the layers that differ get it
    from a `call` of their own, which is gone afterwards.

    Args:
        model: what is called.
        mode: see `Mode`.
        generator: what unseeded functions of `keras.random` draw from, the same at every look.
    """
    norms = [layer for layer in model._flatten_layers() if own_statistics(mode, layer)]
    try:
        for layer in norms:
            vars(layer)["call"] = partial(_in_training, layer)
        with BACKEND.same_draws(), _global_generator(generator), BACKEND.native():
            yield
    finally:
        for layer in norms:
            vars(layer).pop("call", None)


@contextmanager
def _global_generator(generator: keras.random.SeedGenerator) -> Iterator[None]:
    """Let another one be Keras' own for a while: a first draw here would make that of training."""
    held = get_global_attribute(GLOBAL_SEED_GENERATOR)
    set_global_attribute(GLOBAL_SEED_GENERATOR, generator)
    try:
        yield
    finally:
        set_global_attribute(GLOBAL_SEED_GENERATOR, held)


def _in_training(layer: Any, *inputs: Any, **others: Any) -> Any:
    return type(layer).call(layer, *inputs, **{**others, "training": True})
