"""How layers behave while the loss is measured."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import keras

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
def measured(model: keras.Model, mode: Mode) -> Iterator[None]:
    """Call the model in inference, its batch norms as the mode wants them.

    Keras passes `training` through the whole model at once, so the layers that differ get it
    from a `call` of their own, which is gone afterwards.
    """
    norms = [layer for layer in model._flatten_layers() if own_statistics(mode, layer)]
    try:
        for layer in norms:
            vars(layer)["call"] = partial(_in_training, layer)
        with BACKEND.native():
            yield
    finally:
        for layer in norms:
            vars(layer).pop("call", None)


def _in_training(layer: Any, *inputs: Any, **others: Any) -> Any:
    return type(layer).call(layer, *inputs, **{**others, "training": True})
