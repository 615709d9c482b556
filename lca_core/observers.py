"""What is kept of every step, beyond the ledger itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lca_core.leafwise import add_exactly
from lca_core.typing import Array, ArrayOps, Declared, Observer, ObserverState, Params, StepView

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lca_core.layout import Layout

MOST_UNITS_BY_DEFAULT = 10_000


class Totals:
    r"""The allocation of every single parameter, summed over all steps.

    .. math:: A_i = \sum_t A_{t,i}

    Kept on the device as an unevaluated sum of two arrays of the parameters' own type, so
    its rounding is that of float64. Read it with `Run.total`.
    """

    def declare(self, layout: Layout) -> tuple[Declared, ...]:
        """Add nothing per step."""
        return ()

    def init(self, ops: ArrayOps, params: Params) -> ObserverState:
        """Return zeros."""

        def zeros() -> Params:
            return {
                name: ops.from_numpy(np.zeros(tuple(leaf.shape)), leaf)
                for name, leaf in params.items()
            }

        return {"total": zeros(), "total_rounding": zeros()}

    def update(
        self, ops: ArrayOps, layout: Layout, view: StepView, state: ObserverState
    ) -> tuple[Mapping[str, Array], ObserverState]:
        """Add the step's allocation."""
        total, rounding = {}, {}
        for name, allocation in view.allocation.items():
            total[name], rounding[name] = add_exactly(
                state["total"][name], state["total_rounding"][name], allocation
            )
        return {}, {"total": total, "total_rounding": rounding}


class Counts:
    """How many parameters of every leaf helped (A < 0) and hurt (A > 0) at every step.

    Read it with `Run.helping`; the rest did not move or had no gradient.
    """

    def declare(self, layout: Layout) -> tuple[Declared, ...]:
        """Add two counts a leaf."""
        return (Declared("helped", ("leaf",), "int64"), Declared("hurt", ("leaf",), "int64"))

    def init(self, ops: ArrayOps, params: Params) -> ObserverState:
        """Keep nothing running."""
        return {}

    def update(
        self, ops: ArrayOps, layout: Layout, view: StepView, state: ObserverState
    ) -> tuple[Mapping[str, Array], ObserverState]:
        """Count the signs."""
        leaves = view.allocation.values()
        helped = ops.concat([ops.sum(leaf < 0) for leaf in leaves])
        hurt = ops.concat([ops.sum(leaf > 0) for leaf in leaves])
        return {"helped": helped, "hurt": hurt}, {}


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
        sums = [ops.sum(view.allocation[leaf.name], keep=leaf.unit_axis) for leaf in layout.leaves]
        return {"unit_allocation": ops.concat(sums)}, {}


def default_observers(layout: Layout) -> tuple[Observer, ...]:
    """Return `Totals`, `Counts`, and `UnitSums` where there are at most 10,000 units."""
    if layout.units > MOST_UNITS_BY_DEFAULT:
        return (Totals(), Counts())
    return (Totals(), Counts(), UnitSums())
