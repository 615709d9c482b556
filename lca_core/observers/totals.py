"""Every parameter's own sum over the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lca_core.leafwise import add_exactly, each_pair, zeros

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lca_core.layout import Layout
    from lca_core.typing import Array, ArrayOps, Declared, ObserverState, Params, StepView


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
        return {"total": zeros(ops, params), "total_rounding": zeros(ops, params)}

    def update(
        self, ops: ArrayOps, layout: Layout, view: StepView, state: ObserverState
    ) -> tuple[Mapping[str, Array], ObserverState]:
        """Add the step's allocation."""
        total, rounding = each_pair(
            add_exactly, state["total"], state["total_rounding"], view.allocation
        )
        return {}, {"total": total, "total_rounding": rounding}
