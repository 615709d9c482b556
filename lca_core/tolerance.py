"""When the books of a step count as closed."""

from __future__ import annotations

import math
from typing import Any

from attrs import field, frozen

from lca_core.numbers import finite
from lca_core.segment import Status


def as_rtol(value: Any) -> float:
    """Return a relative tolerance, refused with its name unless it is a finite number from 0 up."""
    return finite("rtol", value)


def as_atol(value: Any) -> float:
    """Return an absolute tolerance likewise."""
    return finite("atol", value)


@frozen
class Tolerance:
    """When a gap is small enough: |gap| ≤ max(rtol·|ΔL|, atol, noise floor).

    Args:
        rtol: relative to the step's true loss change.
        atol: in loss units.
    """

    rtol: float = field(default=5e-3, converter=as_rtol)
    atol: float = field(default=1e-5, converter=as_atol)

    def allowed(self, change: float, noise: float) -> float:
        """Return the largest |gap| that still counts as closed, in loss units."""
        return max(self.rtol * abs(change), self.atol, noise)

    def judge(self, gap: float, *, change: float, noise: float) -> Status:
        """Return how the books of a step closed.

        Args:
            gap: ΔL - Σ allocation, loss units.
            change: what the tolerance is relative to, loss units.
            noise: what rounding alone can do to ΔL, loss units.
        """
        if not math.isfinite(gap):
            return Status.NONFINITE
        return Status.OK if abs(gap) <= self.allowed(change, noise) else Status.CAP
