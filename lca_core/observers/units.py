"""The allocation of neurons, channels, embedding rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lca_core.leafwise import unit_sums
from lca_core.typing import Declared

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lca_core.layout import Layout
    from lca_core.typing import Array, ArrayOps, ObserverState, Params, StepView


class UnitSums:
    """The allocation of every unit (neuron, channel, embedding row) at every step.

    Read it with `Run.allocation(by="unit")`.
    """

    def declare(self, layout: Layout) -> tuple[Declared, ...]:
        """Add one number a unit."""
        return (Declared("unit_allocation", ("unit",), "float64"),)

    def init(self, ops: ArrayOps, params: Params) -> ObserverState:
        """Keep nothing running."""
        return {}

    def update(
        self, ops: ArrayOps, layout: Layout, view: StepView, state: ObserverState
    ) -> tuple[Mapping[str, Array], ObserverState]:
        """Sum every leaf over all axes but its unit axis."""
        return {"unit_allocation": unit_sums(ops, layout, view.allocation)}, {}
