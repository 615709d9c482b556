"""Layers that multiply by a matrix, or choose its rows."""

from __future__ import annotations

from typing import ClassVar

from attrs import frozen

from lca_core.networks.layers.layer import Shape, Weight, from_one_up, kernel_and_bias, require_axes


@frozen
class Dense:
    """y = x W + b on the last axis; kernel (in, out), bias (out,)."""

    units: int
    bias: bool = True
    kind: ClassVar[str] = "fc"

    def __attrs_post_init__(self) -> None:
        from_one_up(self, "units")

    def output(self, inputs: Shape) -> Shape:
        """Replace the last axis."""
        require_axes(inputs, (1, 2), "Dense", "Flatten() comes before it")
        return (*inputs[:-1], self.units)

    def weights(self, inputs: Shape) -> tuple[Weight, ...]:
        """Return kernel and bias."""
        return kernel_and_bias((inputs[-1], self.units), bias=self.bias)


@frozen
class Embedding:
    """Rows of a table, chosen by integers; table (rows, features)."""

    rows: int
    features: int
    kind: ClassVar[str] = "embed"

    def __attrs_post_init__(self) -> None:
        from_one_up(self, "rows", "features")

    def output(self, inputs: Shape) -> Shape:
        """Add an axis of features."""
        require_axes(inputs, (1,), "Embedding", "inputs are (positions,) of integers")
        return (*inputs, self.features)

    def weights(self, inputs: Shape) -> tuple[Weight, ...]:
        """Return the table."""
        return (Weight("table", (self.rows, self.features), "normal"),)
