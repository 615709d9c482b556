"""A `NetworkSpec` as a Keras model; its canonical layouts are Keras' own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
from keras import layers

from lca_core.adapters import Spelling, as_spelled
from lca_core.errors import UnsupportedError
from lca_core.networks import (
    Activation,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GlobalAveragePool,
    LayerNorm,
    MaxPool,
    Residual,
)
from lca_keras.names import stable_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import numpy as np

    from lca_core.networks import NetworkSpec, Placed

_NAMES = {"mean": "moving_mean", "variance": "moving_variance", "table": "embeddings"}


def build(spec: NetworkSpec, weights: Mapping[str, np.ndarray], seed: int = 0) -> keras.Model:
    """Return the network with these weights; its outputs are logits.

    Args:
        spec: the network.
        weights: canonical name -> values, buffers included.
        seed: of dropout.

    Raises:
        UnsupportedError: there is a layer that has no counterpart here.
    """
    integers = bool(spec.layers) and isinstance(spec.layers[0], Embedding)
    inputs = keras.Input(spec.inputs, dtype="int32" if integers else None)
    model = keras.Model(inputs, _through(spec.placed, inputs, seed), name="network")
    native, names = as_spelled(spelling(spec), weights), stable_names(model)
    for variable in model.weights:
        variable.assign(native[names[id(variable)]])
    return model


def spelling(spec: NetworkSpec) -> dict[str, Spelling]:
    """Return canonical name -> the variable's path, axes as they are."""
    found = {}
    for name, weight in spec.weights.items():
        layer, _, own = name.rpartition(".")
        path = f"{_named(layer)}/{_NAMES.get(own, own)}"
        found[name] = Spelling(path, tuple(range(len(weight.shape))))
    return found


def _named(layer: str) -> str:
    # Keras' habit; on PyTorch a layer's name must not hold a dot.
    return layer.replace(".", "_")


def _through(placed: Iterable[Placed], x: Any, seed: int) -> Any:
    for one in placed:
        if isinstance(one.layer, Residual):
            x = _block(one, x, seed)
        elif isinstance(one.layer, Conv2D):
            x = _convolved(one.layer, _named(one.name), x)
        else:
            x = _layer(one, seed)(x)
    return x


def _block(placed: Placed, x: Any, seed: int) -> Any:
    body, shortcut = _through(placed.body, x, seed), _through(placed.shortcut, x, seed)
    return layers.Add(name=_named(placed.name))([body, shortcut])


def _convolved(layer: Conv2D, name: str, x: Any) -> Any:
    stride = layer.stride
    if layer.size == 1 and stride > 1:
        # Of strided 1 × 1 kernels on images whose channels come last, PyTorch 2.13 gets the
        # gradients wrong on some processors. What a stride passes over can be left out before.
        x, stride = x[:, ::stride, ::stride], 1
    return layers.Conv2D(
        layer.filters,
        layer.size,
        stride,
        layer.padding,
        data_format="channels_last",
        use_bias=layer.bias,
        name=name,
    )(x)


def _layer(placed: Placed, seed: int) -> keras.Layer:  # noqa: C901, PLR0911 - one line a layer
    name, images = _named(placed.name), "channels_last"
    match placed.layer:
        case Dense(units, bias):
            return layers.Dense(units, use_bias=bias, name=name)
        case BatchNorm(momentum, epsilon):
            return layers.BatchNormalization(momentum=momentum, epsilon=epsilon, name=name)
        case LayerNorm(epsilon):
            return layers.LayerNormalization(epsilon=epsilon, name=name)
        case Embedding(rows, features):
            return layers.Embedding(rows, features, name=name)
        case Activation("gelu"):
            return layers.Activation(_gelu, name=name)
        case Activation(function):
            return layers.Activation(function, name=name)
        case Dropout(rate):
            return layers.Dropout(rate, seed=seed, name=name)
        case MaxPool(size):
            return layers.MaxPooling2D(size, data_format=images, name=name)
        case GlobalAveragePool() if len(placed.inputs) == 3:
            return layers.GlobalAveragePooling2D(data_format=images, name=name)
        case GlobalAveragePool():
            return layers.GlobalAveragePooling1D(data_format=images, name=name)
        case Flatten():
            return layers.Flatten(name=name)
    msg = f"Keras is not told how to build layer '{name}', {placed.layer}."
    raise UnsupportedError(msg)


def _gelu(x: Any) -> Any:
    # As the spec has it: the normal distribution itself, no approximation of it.
    return keras.activations.gelu(x, approximate=False)
