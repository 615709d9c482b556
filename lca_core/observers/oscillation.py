"""How often motion, gradient and allocation change their sign."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from lca_core.leafwise import add, each_pair, leaf_sums, zeros
from lca_core.typing import Declared

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lca_core.layout import Layout
    from lca_core.typing import Array, ArrayOps, ObserverState, Params, StepView

OSCILLATING = ("motion", "gradient", "allocation")


class Oscillation:
    r"""Sign changes of every parameter's motion, gradient and allocation.

    .. math:: n_i = \#\{t : x_{t,i}\, x_{t',i} < 0\},
        \quad t' \text{ the last step before } t \text{ with } x_{t',i} \ne 0

    for x = Δ (the weight turns), ∂L/∂θ at the step's end (it crosses a minimum), and A. Zeros
    are passed over: they are no sign. Counted by leaf at every step, and by parameter over the
    run. Read it with `Run.turns` and `lca_core.analyses.steps_between_turns`. Counts are kept in
    the parameters' own type: exact up to 2**24 in float32.

    Source: LCA paper (arXiv:1909.01440), "Learning is very noisy".
    """

    def declare(self, layout: Layout) -> tuple[Declared, ...]:
        """Add three counts a leaf."""
        return tuple(Declared(f"{name}_turned", ("leaf",), "int64") for name in OSCILLATING)

    def init(self, ops: ArrayOps, params: Params) -> ObserverState:
        """Return no sign yet, and no turns."""
        kept = (f"{name}_{what}" for name in OSCILLATING for what in ("sign", "turns"))
        return {name: zeros(ops, params) for name in kept}

    def update(
        self, ops: ArrayOps, layout: Layout, view: StepView, state: ObserverState
    ) -> tuple[Mapping[str, Array], ObserverState]:
        """Compare the signs with the last ones."""
        shown = dict(
            zip(OSCILLATING, (view.displacement, view.gradient, view.allocation), strict=True)
        )
        arrays, running = {}, {}
        for name, leaves in shown.items():
            turned, signs = each_pair(partial(_turned, ops), leaves, state[f"{name}_sign"])
            arrays[f"{name}_turned"] = leaf_sums(ops, turned)
            running[f"{name}_sign"] = signs
            running[f"{name}_turns"] = add(state[f"{name}_turns"], turned)
        return arrays, running


def _turned(ops: ArrayOps, values: Array, before: Array) -> tuple[Array, Array]:
    """Return 1 where the sign is opposite to the last one, else 0; and half the last sign now.

    Halves count themselves: |±1 · ±½| - (±1 · ±½) is 0 or 1, and any new sign outweighs them.
    """
    sign = ops.sign(values)
    both = sign * before
    turned = abs(both)
    turned -= both
    sign += before
    half = ops.sign(sign)
    half *= 0.5
    return turned, half
