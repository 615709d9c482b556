"""On how many steps every parameter helped and hurt."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from lca_core.leafwise import each_pair, zeros

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lca_core.layout import Layout
    from lca_core.typing import Array, ArrayOps, Declared, ObserverState, Params, StepView


class Tallies:
    r"""On how many steps each single parameter helped (A < 0) and hurt (A > 0).

    .. math:: h_i = \#\{t : A_{t,i} < 0\}, \qquad v_i = \#\{t : A_{t,i} > 0\}

    On the other steps it did not move or had no gradient. Read it with `Run.tallies`. Kept as
    h + v and v - h, in the parameters' own type: exact up to 2**24 steps in float32.

    Source: LCA paper (arXiv:1909.01440), "Learning is very noisy".
    """

    def declare(self, layout: Layout) -> tuple[Declared, ...]:
        """Add nothing per step."""
        return ()

    def init(self, ops: ArrayOps, params: Params) -> ObserverState:
        """Return zeros."""
        return {"steps_moved": zeros(ops, params), "sign_sum": zeros(ops, params)}

    def update(
        self, ops: ArrayOps, layout: Layout, view: StepView, state: ObserverState
    ) -> tuple[Mapping[str, Array], ObserverState]:
        """Count the step's signs."""
        moved, balance = each_pair(
            partial(_tally, ops), view.allocation, state["steps_moved"], state["sign_sum"]
        )
        return {}, {"steps_moved": moved, "sign_sum": balance}


def _tally(ops: ArrayOps, allocation: Array, moved: Array, balance: Array) -> tuple[Array, Array]:
    sign = ops.sign(allocation)
    step = abs(sign)
    step += moved
    sign += balance
    return step, sign
