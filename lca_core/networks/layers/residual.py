"""A block whose input is added to its output."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from attrs import field, frozen

from lca_core.errors import NetworkError
from lca_core.networks.layers.layer import Layer, Shape, Weightless

if TYPE_CHECKING:
    from collections.abc import Iterable


def in_order(layers: Iterable[Layer]) -> tuple[Layer, ...]:
    """Return layers as a tuple."""
    return tuple(layers)


@frozen
class Residual(Weightless):
    """y = body(x) + shortcut(x); without a shortcut, y = body(x) + x.

    Example:
        >>> from lca_core.networks import Conv2D, Residual
        >>> Residual([Conv2D(8, stride=2)], shortcut=[Conv2D(8, 1, stride=2)]).output((6, 6, 4))
        (3, 3, 8)
    """

    body: tuple[Layer, ...] = field(converter=in_order)
    shortcut: tuple[Layer, ...] = field(default=(), converter=in_order)
    kind: ClassVar[str] = "block"

    def output(self, inputs: Shape) -> Shape:
        """Return the body's output, which the shortcut's has to match."""
        body, shortcut = (_through(layers, inputs) for layers in (self.body, self.shortcut))
        if body != shortcut:
            msg = f"A residual block adds shapes {body} and {shortcut}: give its shortcut a layer."
            raise NetworkError(msg)
        return body


def _through(layers: tuple[Layer, ...], shape: Shape) -> Shape:
    for layer in layers:
        shape = layer.output(shape)
    return shape
