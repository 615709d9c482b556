"""Layers without weights that treat every number by itself."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

from attrs import frozen

from lca_core.networks.layers.layer import Shape, Weightless, one_of, require_of


@frozen
class Activation(Weightless):
    """max(x, 0), tanh(x), 1 / (1 + exp(-x)), or x·Φ(x) with the normal distribution's Φ."""

    function: Literal["relu", "tanh", "sigmoid", "gelu"] = "relu"

    def __attrs_post_init__(self) -> None:
        one_of(self, "function", ("relu", "tanh", "sigmoid", "gelu"))

    @property
    def kind(self) -> str:
        """The function's name."""
        return self.function


@frozen
class Dropout(Weightless):
    """In training, zero a share of the inputs and scale up the rest; at other times nothing."""

    rate: float
    kind: ClassVar[str] = "dropout"

    def __attrs_post_init__(self) -> None:
        require_of(self, "rate", "from 0 up and below 1", 0.0 <= self.rate < 1.0)


@frozen
class Flatten(Weightless):
    """One vector, the last axis (channels) running fastest."""

    kind: ClassVar[str] = "flatten"

    def output(self, inputs: Shape) -> Shape:
        """Return (features,)."""
        return (math.prod(inputs),)
