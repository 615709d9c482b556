"""The article's integrator: Simpson's rule on ever more panels until a step closes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen

from lca_core.integrate import mean_gradients
from lca_core.rules import SIMPSON, Rule, composite
from lca_core.segment import Integral, Segment, Status

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lca_core.account import Account


@frozen
class RefinedSimpson:
    """Begin with Simpson's rule; double the panels while |gap| is above a threshold.

    The article asks this of the training and the validation loss together; here each measure is
    refined for itself.

    Args:
        threshold: of every step, loss units.
        most_panels: 16 are the article's 32 splits.

    Example:
        >>> from lca_core.experiments.refined_simpson import RefinedSimpson
        >>> RefinedSimpson().rule.name
        'Simpson'

    Source: LCA paper (arXiv:1909.01440), section 2: an error of 0.001 a step, 2 to 32 splits.
    """

    threshold: float = 1e-3
    most_panels: int = 16

    @property
    def rule(self) -> Rule:
        """Simpson's rule."""
        return SIMPSON

    def __call__(self, segment: Segment) -> Integral:
        """Integrate one step.

        Points are evaluated anew after a doubling; the count is that of points kept, as the
        article keeps them.
        """
        panels = 1
        while True:
            rule = composite(SIMPSON, panels)
            mean, coarse = mean_gradients(segment, rule)
            fine = segment.along(mean)
            gap = segment.change - float(fine.sum())
            status = self.judge(change=segment.scale, gap=gap, noise=segment.noise)
            if status is not Status.CAP or panels >= self.most_panels:
                break
            panels *= 2
        return Integral(
            mean_gradient=mean,
            leaf_allocation=fine,
            leaf_error=fine - segment.along(coarse),
            gap=gap,
            rule=rule,
            evaluations=rule.inside,
            status=status,
            coarser=coarse,
        )

    def settle(
        self, index: int, *, change: float, gap: float, noise: float, account: Account
    ) -> Status | None:
        """Return how the books closed, or None where the step is to be refined."""
        status = self.judge(change=change, gap=gap, noise=noise)
        return None if status is Status.CAP and self.most_panels > 1 else status

    def judge(self, *, change: float, gap: float, noise: float) -> Status:
        """Return how the books of a step closed, by its gap alone."""
        if not np.isfinite(gap):
            return Status.NONFINITE
        return Status.OK if abs(gap) <= self.threshold else Status.CAP

    def describe(self) -> Mapping[str, Any]:
        """Return the settings, as JSON values."""
        return {
            "kind": "RefinedSimpson",
            "threshold": self.threshold,
            "most_panels": self.most_panels,
        }
