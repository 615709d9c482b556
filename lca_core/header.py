"""What is known of a run before its first step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen

from lca_core.ledger import ITERATION

if TYPE_CHECKING:
    from lca_core.layout import Layout
    from lca_core.typing import Declared

Totals = Mapping[str, Mapping[str, Mapping[str, np.ndarray]]]
"""measure -> running array -> leaf -> values."""


@frozen
class Header:
    """What is known of a run before its first step.

    Args:
        layout: the leaves.
        measures: names of the measures, in order.
        declared: the arrays that every step adds.
        config: settings and versions, JSON values.
        initial_loss: L(θ_0) of every measure, loss units.
    """

    layout: Layout
    measures: tuple[str, ...]
    declared: tuple[Declared, ...]
    config: Mapping[str, Any]
    initial_loss: tuple[float, ...]

    @property
    def growing(self) -> tuple[Declared, ...]:
        """The arrays that every step makes longer: when it was, and what is declared."""
        return (ITERATION, *self.declared)

    @property
    def own_axes(self) -> dict[str, tuple[str, ...]]:
        """The axes that observers brought along, and the names along them."""
        return {one.dims[-1]: one.labels for one in self.declared if one.labels}
