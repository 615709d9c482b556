"""How far the parameters moved at a step, and how steep the loss was."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lca_core.leafwise import leaf_sums, product
from lca_core.typing import Declared

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lca_core.layout import Layout
    from lca_core.typing import Array, ArrayOps, ObserverState, Params, StepView


class Sizes:
    r"""The squared length of every leaf's motion and of its mean gradient, at every step.

    .. math:: \|\Delta_t\|^2, \qquad \Big\|\int_0^1 \nabla L(\theta_t + s\Delta_t)\,ds\Big\|^2

    Squares add up over leaves. Read it with `Run.size`: they are the controls of synchrony.

    Source: LCA paper (arXiv:1909.01440), figures S15 and S18.
    """

    def declare(self, layout: Layout) -> tuple[Declared, ...]:
        """Add two numbers a leaf."""
        dims = ("leaf",)
        return (
            Declared("motion_square", dims, "float64", sums=False),
            Declared("gradient_square", dims, "float64", sums=False),
        )

    def init(self, ops: ArrayOps, params: Params) -> ObserverState:
        """Keep nothing running."""
        return {}

    def update(
        self, ops: ArrayOps, layout: Layout, view: StepView, state: ObserverState
    ) -> tuple[Mapping[str, Array], ObserverState]:
        """Add up squares."""
        motion, gradient = view.displacement, view.mean_gradient
        return {
            "motion_square": leaf_sums(ops, product(motion, motion)),
            "gradient_square": leaf_sums(ops, product(gradient, gradient)),
        }, {}
