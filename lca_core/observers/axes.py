"""Sums along any axis of a leaf, not only that of its units."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen

from lca_core.errors import LeafError
from lca_core.typing import Declared

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lca_core.layout import Layout
    from lca_core.typing import Array, ArrayOps, ObserverState, Params, StepView


def _pairs(axes: Mapping[str, int] | tuple[tuple[str, int], ...]) -> tuple[tuple[str, int], ...]:
    return tuple(dict(axes).items())


@frozen
class AxisSums:
    """The allocation of every slice of a leaf along an axis, at every step.

    What `UnitSums` is for the unit axis: the inputs of a layer, the positions of an embedding,
    the rows of a packed query-key-value matrix. Read it with `Run.along`; group the slices there
    (into attention heads, say).

    Args:
        axes: leaf name -> the axis whose slices to tell apart, from 0.

    Example:
        >>> from lca_core import AxisSums
        >>> from lca_core.reference import demo_run
        >>> run = demo_run(steps=5, observers=[AxisSums({"fc1.weight": 1})])
        >>> run.along("train").labels
        ('fc1.weight[:, 0]', 'fc1.weight[:, 1]', 'fc1.weight[:, 2]', 'fc1.weight[:, 3]')
    """

    axes: tuple[tuple[str, int], ...] = field(converter=_pairs)

    def declare(self, layout: Layout) -> tuple[Declared, ...]:
        """Add one number a slice.

        Raises:
            LeafError: there is no such leaf, or no such axis.
        """
        shapes = {leaf.name: leaf.shape for leaf in layout.leaves}
        labels: list[str] = []
        for name, axis in self.axes:
            if name not in shapes:
                msg = f"AxisSums: there is no leaf '{name}'; there are {list(shapes)}."
                raise LeafError(msg)
            shape = shapes[name]
            if not 0 <= axis < len(shape):
                msg = (
                    f"AxisSums: leaf '{name}' of shape {shape} has no axis {axis}; give one of "
                    f"its {len(shape)} axes, from 0."
                )
                raise LeafError(msg)
            labels += [_label(name, len(shape), axis, i) for i in range(shape[axis])]
        return (Declared("axis_allocation", ("slice",), "float64", tuple(labels)),)

    def init(self, ops: ArrayOps, params: Params) -> ObserverState:
        """Keep nothing running."""
        return {}

    def update(
        self, ops: ArrayOps, layout: Layout, view: StepView, state: ObserverState
    ) -> tuple[Mapping[str, Array], ObserverState]:
        """Sum over all axes but the chosen ones."""
        sums = [ops.sum(view.allocation[name], keep=axis) for name, axis in self.axes]
        return {"axis_allocation": ops.concat(sums)}, {}


def _label(name: str, dims: int, axis: int, i: int) -> str:
    places = [str(i) if k == axis else ":" for k in range(dims)]
    return f"{name}[{', '.join(places)}]"
