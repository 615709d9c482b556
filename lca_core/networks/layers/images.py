"""Layers that look at neighbouring pixels."""

from __future__ import annotations

from typing import ClassVar, Literal

from attrs import frozen

from lca_core.errors import NetworkError
from lca_core.networks.layers.layer import (
    Shape,
    Weight,
    Weightless,
    from_one_up,
    kernel_and_bias,
    one_of,
    require_axes,
)


@frozen
class Conv2D:
    """Two-dimensional cross-correlation; kernel (height, width, in, out), bias (out,).

    With padding "same" the output has ceil(in / stride) rows: of the
    p = max((out - 1)·stride + size - in, 0) zeros, p // 2 come before and the rest behind.

    Example:
        >>> from lca_core.networks import Conv2D
        >>> Conv2D(16, stride=2).output((28, 28, 3))
        (14, 14, 16)
        >>> Conv2D(16, stride=2).pads((28, 28, 3))
        ((0, 1), (0, 1))
    """

    filters: int
    size: int = 3
    stride: int = 1
    padding: Literal["same", "valid"] = "same"
    bias: bool = True
    kind: ClassVar[str] = "conv"

    def __attrs_post_init__(self) -> None:
        from_one_up(self, "filters", "size", "stride")
        one_of(self, "padding", ("same", "valid"))

    def output(self, inputs: Shape) -> Shape:
        """Return (height, width, filters)."""
        require_axes(inputs, (3,), "Conv2D", "inputs are (height, width, channels)")
        height, width = (self._length(n) for n in inputs[:2])
        return (height, width, self.filters)

    def weights(self, inputs: Shape) -> tuple[Weight, ...]:
        """Return kernel and bias."""
        shape = (self.size, self.size, inputs[-1], self.filters)
        return kernel_and_bias(shape, bias=self.bias)

    def pads(self, inputs: Shape) -> tuple[tuple[int, int], tuple[int, int]]:
        """Return the zeros (before, behind) of height and of width."""
        if self.padding == "valid":
            return ((0, 0), (0, 0))
        over = [max((self._length(n) - 1) * self.stride + self.size - n, 0) for n in inputs[:2]]
        (top, left) = (p // 2 for p in over)
        return ((top, over[0] - top), (left, over[1] - left))

    def _length(self, n: int) -> int:
        if self.padding == "same":
            return -(-n // self.stride)
        if n < self.size:
            msg = f"A convolution of size {self.size} does not fit into {n} pixels: use 'same'."
            raise NetworkError(msg)
        return (n - self.size) // self.stride + 1


@frozen
class MaxPool(Weightless):
    """The largest value of every size x size square, without padding; squares do not overlap."""

    size: int = 2
    kind: ClassVar[str] = "pool"

    def __attrs_post_init__(self) -> None:
        from_one_up(self, "size")

    def output(self, inputs: Shape) -> Shape:
        """Return (height // size, width // size, channels)."""
        require_axes(inputs, (3,), "MaxPool", "inputs are (height, width, channels)")
        if min(inputs[:2]) < self.size:
            msg = (
                f"A square of side {self.size} does not fit into an image of shape {inputs}: "
                "give MaxPool a smaller size, or leave it out."
            )
            raise NetworkError(msg)
        return (inputs[0] // self.size, inputs[1] // self.size, inputs[2])


@frozen
class GlobalAveragePool(Weightless):
    """The mean of every channel, or of every feature over the positions."""

    kind: ClassVar[str] = "mean"

    def output(self, inputs: Shape) -> Shape:
        """Return (channels,)."""
        require_axes(inputs, (2, 3), "GlobalAveragePool", "there must be something to average over")
        return inputs[-1:]
