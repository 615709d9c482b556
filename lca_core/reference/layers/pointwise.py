"""Layers that take every number by itself."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from lca_core.reference.layers.passes import Mode, Pass

if TYPE_CHECKING:
    from lca_core.networks import Dropout

Activation: TypeAlias = tuple[Callable[[Any], Any], Callable[[Any], Any]]

_erf = np.vectorize(math.erf, otypes=[float])


def _sigmoid(z: Any) -> Any:
    return 0.5 * (1.0 + np.tanh(0.5 * z))  # overflows nowhere


def _below(z: Any) -> Any:
    """Return Φ(z), the normal distribution's."""
    return 0.5 * (1.0 + _erf(z / math.sqrt(2.0)))


def _density(z: Any) -> Any:
    return np.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)


ACTIVATIONS: dict[str, Activation] = {
    "relu": (lambda z: np.maximum(z, 0.0), lambda z: (z > 0.0).astype(z.dtype)),
    "tanh": (np.tanh, lambda z: 1.0 - np.tanh(z) ** 2),
    "sigmoid": (_sigmoid, lambda z: _sigmoid(z) * _sigmoid(-z)),
    "gelu": (lambda z: z * _below(z), lambda z: _below(z) + z * _density(z)),
}
"""name -> (function, derivative); that of relu is 0 at 0."""


def activation(name: str, x: np.ndarray) -> Pass:
    """Apply a function of `ACTIVATIONS`."""
    function, derivative = ACTIVATIONS[name]
    return Pass(function(x), lambda upstream: (upstream * derivative(x), {}))


def dropout(layer: Dropout, x: np.ndarray, mode: Mode, rng: np.random.Generator) -> Pass:
    """In "train" mode, zero a share of the inputs and divide the rest by 1 - share.

    Args:
        layer: its rate.
        x: any shape.
        mode: "train", or one that leaves x as it is.
        rng: draws one number for every entry of x.
    """
    if mode != "train":
        return Pass(x, lambda upstream: (upstream, {}))
    mask = (rng.random(x.shape) >= layer.rate) / (1.0 - layer.rate)
    return Pass(x * mask, lambda upstream: (upstream * mask, {}))
