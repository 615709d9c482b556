"""What a layer is: it knows its output's shape and its weights, and computes nothing.

One example has shape (features,), (height, width, channels) or (positions, features): channels
come last, everywhere. Kernels have the inputs before the outputs: dense (in, out), convolution
(height, width, in, out). Adapters of other habits transpose (`lca_core.adapters.Spelling`).
"""

from __future__ import annotations

import math
from typing import Literal, Protocol, TypeAlias

from attrs import frozen

from lca_core.errors import NetworkError

Shape: TypeAlias = tuple[int, ...]
Start: TypeAlias = Literal["he", "normal", "zeros", "ones"]


@frozen
class Weight:
    """One array of a layer.

    Args:
        name: its name in the layer ("kernel").
        shape: sizes of its axes.
        start: how it is drawn: "he" is normal with variance 2 / fan-in, "normal" has variance
            1 / (size of the last axis).
        unit_axis: the axis of neurons, channels or rows.
        trained: by the optimizer; otherwise it is a buffer that the layer itself moves.
    """

    name: str
    shape: Shape
    start: Start
    unit_axis: int = 0
    trained: bool = True

    @property
    def deviation(self) -> float:
        """Standard deviation of the initial values."""
        if self.start == "he":
            return math.sqrt(2.0 / math.prod(self.shape[:-1]))
        return math.sqrt(1.0 / self.shape[-1]) if self.start == "normal" else 0.0


class Layer(Protocol):
    """A layer: knows its output's shape and its weights, computes nothing."""

    @property
    def kind(self) -> str:
        """What its automatic name begins with ("conv")."""

    def output(self, inputs: Shape) -> Shape:
        """Return the shape of one output.

        Raises:
            NetworkError: the layer cannot take such an input.
        """

    def weights(self, inputs: Shape) -> tuple[Weight, ...]:
        """Return its arrays, in order."""


@frozen
class Weightless:
    """A layer without weights that keeps the shape."""

    def output(self, inputs: Shape) -> Shape:
        """Keep the shape."""
        return inputs

    def weights(self, inputs: Shape) -> tuple[Weight, ...]:
        """Have none."""
        return ()


def kernel_and_bias(shape: Shape, *, bias: bool) -> tuple[Weight, ...]:
    """Return the kernel of a shape, and a bias for its last axis."""
    kernel = Weight("kernel", shape, "he", unit_axis=len(shape) - 1)
    return (kernel, Weight("bias", shape[-1:], "zeros")) if bias else (kernel,)


def require_axes(inputs: Shape, axes: tuple[int, ...], layer: str, remedy: str) -> None:
    """Refuse inputs of another number of axes."""
    if len(inputs) not in axes:
        wanted = " or ".join(map(str, axes))
        msg = f"{layer} takes inputs of {wanted} axes, got shape {inputs}: {remedy}."
        raise NetworkError(msg)


def from_one_up(layer: Layer, *names: str) -> None:
    """Refuse settings below 1."""
    for name in names:
        require_of(layer, name, "from 1 up", getattr(layer, name) >= 1)


def one_of(layer: Layer, name: str, known: tuple[str, ...]) -> None:
    """Refuse a setting that is not known."""
    require_of(layer, name, f"one of {list(known)}", getattr(layer, name) in known)


def require_of(layer: Layer, name: str, wanted: str, holds: bool) -> None:  # noqa: FBT001
    """Refuse a setting of a layer that does not hold."""
    if not holds:
        msg = f"{name} of {type(layer).__name__} must be {wanted}, got {getattr(layer, name)!r}."
        raise NetworkError(msg)
