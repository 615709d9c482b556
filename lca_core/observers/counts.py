"""How many parameters helped and hurt at a step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lca_core.leafwise import leaf_signs
from lca_core.typing import Declared

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lca_core.layout import Layout
    from lca_core.typing import Array, ArrayOps, ObserverState, Params, StepView


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
        helped, hurt = leaf_signs(ops, view.allocation)
        return {"helped": helped, "hurt": hurt}, {}
