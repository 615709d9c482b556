"""Gradients at equally spaced points of a step, and what the rules make of them."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from attrs import frozen

from lca_core.leafwise import add, combine
from lca_core.rules import BOOLE, SIMPSON, TRAPEZOID, Rule, composite

if TYPE_CHECKING:
    from lca_core.segment import Segment
    from lca_core.typing import Params


@frozen
class Grid:
    """Gradients at equally spaced points, summed by the halving that brought them.

    Every rule that we build from halved panels weighs all points of one halving alike, so
    one sum a level is all that has to be kept: memory grows with log2(panels).

    Args:
        segment: the step.
        sums: of the gradients at the points that every halving brought, the ends first.
        along: the allocation of every leaf by each of these sums, shape (leaves,).
    """

    segment: Segment
    sums: tuple[Params, ...]
    along: tuple[np.ndarray, ...]

    @classmethod
    def ends(cls, segment: Segment) -> Grid:
        """Return one panel, whose ends are known."""
        both = add(segment.first.gradient, segment.last.gradient)
        return cls(segment, (both,), (segment.along(both),))

    @property
    def panels(self) -> int:
        """Stretches between neighbouring points."""
        return 1 << (len(self.sums) - 1)

    def halved(self) -> Grid:
        """Add the midpoint of every panel; all earlier points are reused."""
        n = 2 * self.panels
        added = self.segment.gradient(1 / n)
        for k in range(3, n, 2):
            added = add(added, self.segment.gradient(k / n))
        return Grid(self.segment, (*self.sums, added), (*self.along, self.segment.along(added)))

    @cached_property
    def rule(self) -> Rule:
        """Of the rules that the points allow, the one that leaves the smallest gap."""
        n = self.panels
        rules = [composite(TRAPEZOID, n)]
        rules += [composite(SIMPSON, n // 2)] if n >= 2 else []
        rules += [composite(BOOLE, n // 4)] if n >= 4 else []
        return min(rules, key=lambda rule: abs(self._gap(self.leaves(rule))))

    @cached_property
    def leaf_allocation(self) -> np.ndarray:
        """The allocation of every leaf, shape (leaves,), loss units."""
        return self.leaves(self.rule)

    @cached_property
    def gap(self) -> float:
        """ΔL - Σ allocation, loss units."""
        return self._gap(self.leaf_allocation)

    def leaves(self, rule: Rule) -> np.ndarray:
        """Return the allocation of every leaf under a rule."""
        pairs = zip(self._weights(rule), self.along, strict=True)
        return np.asarray(sum(weight * along for weight, along in pairs))

    def mean_gradient(self) -> Params:
        """Return the average gradient along the step."""
        return combine(self._weights(self.rule), self.sums)

    def _gap(self, leaves: np.ndarray) -> float:
        return self.segment.change - float(leaves.sum())

    def _weights(self, rule: Rule) -> list[float]:
        """Return the weight of every level: level l brought the odd multiples of panels >> l."""
        n = self.panels
        return [rule.weights[0]] + [rule.weights[n >> level] for level in range(1, len(self.sums))]
