"""The average gradient along a step by refinement that the gap drives."""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import field, frozen

from lca_core.audits import falls_on
from lca_core.errors import RuleError
from lca_core.grid import Grid
from lca_core.numbers import finite, whole
from lca_core.rules import SIMPSON, TRAPEZOID, Rule, composite
from lca_core.segment import Integral, Segment, Status
from lca_core.tolerance import Tolerance, as_atol, as_rtol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lca_core.account import Account


def _power_of_two(panels: Any) -> int:
    number = whole("max_panels", panels, 1, what="a power of two")
    if number & (number - 1):
        msg = f"max_panels must be a power of two from 1 up, got {panels!r}. Pass one, as in 32."
        raise RuleError(msg)
    return number


def _run_rtol(value: Any) -> float | None:
    return None if value is None else finite("run_rtol", value)


def _audit(steps: Any) -> int | None:
    return None if steps is None else whole("audit", steps, 1, what="None or a number of steps")


@frozen
class Adaptive:
    """Start from the shared ends of the step; add points only where the gap asks for it.

    The trapezoid rule costs one new gradient a step. While |gap| > max(rtol·|ΔL|, atol, noise
    floor), every panel is halved, all earlier points are reused, and of the rules that the
    points allow (trapezoid, Simpson, Boole) the one with the smallest gap is taken.

    Gaps of one sign add up, however small: where that of a step would take the sum of all so far
    further from zero, beyond max(run_rtol·Σ|ΔL|, atol), its panels are halved once more.

    Args:
        rtol: relative to the step's true loss change.
        atol: in loss units.
        max_panels: a power of two; beyond it the step ends with status `CAP`.
        certify: also refine until every leaf's error estimate (finer minus coarser rule) is
            within max(rtol·|allocation of the leaf|, the step's own tolerance). Needs at
            least two gradients a step.
        audit: of every so many steps, of fewer at the start, one drawn at random is refined once
            more than it needs, as a sample of the error of single leaves; None for never.
        run_rtol: of the sum of all gaps so far, relative to how far the loss has travelled;
            None lets them add up.

    Raises:
        RuleError: a setting is out of range.

    Example:
        >>> from lca_core import Adaptive
        >>> Adaptive(rtol=1e-3).describe()["max_panels"]
        32

    Source: LCA paper, section 2 (doubling of splits); docs/integrators.md for the defaults.
    """

    rtol: float = field(default=5e-3, converter=as_rtol)
    atol: float = field(default=1e-5, converter=as_atol)
    max_panels: int = field(default=32, converter=_power_of_two)
    certify: bool = field(default=False, converter=bool)
    audit: int | None = field(default=16, converter=_audit)
    run_rtol: float | None = field(default=1e-4, converter=_run_rtol)

    def __call__(self, segment: Segment) -> Integral:
        """Integrate one step."""
        allowed = self.tolerance.allowed(segment.scale, segment.noise)
        needed, tried, status = self._needed(segment, allowed)
        grids, audited = needed, self._has_room(needed, status) and self._audits(segment.index)
        if audited:
            grids, status = self._refined([*needed, *(tried or [needed[-1].halved()])], allowed)
        # What was tried in vain shows how wrong the step may be, if it came to numbers.
        in_vain = [] if audited else [one for one in tried if math.isfinite(one.gap)]
        # An audited step stands for the others: it is compared with what they make do with.
        grid, coarser = grids[-1], needed[-1] if audited else (in_vain or grids[-2:])[0]
        return Integral(
            mean_gradient=grid.mean_gradient(),
            leaf_allocation=grid.leaf_allocation,
            leaf_error=_leaf_error(grid, coarser),
            gap=grid.gap,
            rule=grid.rule,
            evaluations=max(one.panels for one in (grid, *tried)) - 1,
            status=status,
            audited=audited,
            coarser=coarser.mean_gradient() if coarser is not grid else {},
            discarded=bool(in_vain),
        )

    def describe(self) -> Mapping[str, Any]:
        """Return the settings, as JSON values."""
        return {
            "kind": "Adaptive",
            "rtol": self.rtol,
            "atol": self.atol,
            "max_panels": self.max_panels,
            "certify": self.certify,
            "audit": self.audit,
            "run_rtol": self.run_rtol,
        }

    @cached_property
    def tolerance(self) -> Tolerance:
        """When a step is closed."""
        return Tolerance(self.rtol, self.atol)

    @property
    def rule(self) -> Rule:
        """The trapezoid rule, whose ends the neighbouring steps share."""
        return TRAPEZOID

    def settle(
        self, index: int, *, change: float, gap: float, noise: float, account: Account
    ) -> Status | None:
        """Return how the books closed, or None where the step is to be refined."""
        status = self.judge(change=change, gap=gap, noise=noise)
        more = self.certify or self._audits(index) or self._adds_up(account, change, gap, noise)
        if self.max_panels > 1 and (status is Status.CAP or (status is Status.OK and more)):
            return None
        return status

    def judge(self, *, change: float, gap: float, noise: float) -> Status:
        """Return how the books of a step closed, by its gap alone."""
        return self.tolerance.judge(gap, change=change, noise=noise)

    def _refined(self, grids: list[Grid], allowed: float) -> tuple[list[Grid], Status]:
        """Halve until the step ends, one way or another."""
        while (status := self._status(grids, allowed)) is None:
            grids = [*grids, grids[-1].halved()]
        return grids, status

    def _status(self, grids: list[Grid], allowed: float) -> Status | None:
        """Return how the step ended, or None while another halving is called for."""
        grid = grids[-1]
        segment = grid.segment
        status = self.judge(change=segment.scale, gap=grid.gap, noise=segment.noise)
        if status is Status.OK and self.certify and not self._certified(grids, allowed):
            status = Status.CAP
        if status is Status.CAP and _stalled(grids, allowed):
            return Status.STALLED
        if status is Status.CAP and grid.panels < self.max_panels:
            return None
        return status

    def _certified(self, grids: list[Grid], allowed: float) -> bool:
        error, size = (
            np.abs(_leaf_error(grids[-1], grids[-2:][0])),
            np.abs(grids[-1].leaf_allocation),
        )
        return bool(np.all(error <= np.maximum(self.rtol * size, allowed)))

    def _needed(self, segment: Segment, allowed: float) -> tuple[list[Grid], list[Grid], Status]:
        """Return the halvings that gaps ask for, one that was tried in vain, and the status."""
        grids, status = self._refined([Grid.ends(segment)], allowed)
        grid = grids[-1]
        if not self._has_room(grids, status) or not self._adds_up(
            segment.account, segment.scale, grid.gap, segment.noise
        ):
            return grids, [], status
        finer = grid.halved()
        if abs(finer.gap) <= allowed:
            return [*grids, finer], [], status
        return grids, [finer], status  # the books of the step were better closed before

    def _has_room(self, grids: list[Grid], status: Status) -> bool:
        return status is Status.OK and grids[-1].panels < self.max_panels

    def _adds_up(self, account: Account, change: float, gap: float, noise: float) -> bool:
        """Whether a gap takes the sum of all so far too far from zero."""
        if self.run_rtol is None:
            return False
        after = account.after(change=change, gap=gap)
        bound = max(self.run_rtol * after.travelled, self.atol, abs(account.gap))
        return abs(after.gap) > bound and abs(gap) > noise

    def _audits(self, index: int) -> bool:
        return self.audit is not None and falls_on(index, self.audit)


def _leaf_error(fine: Grid, coarse: Grid) -> np.ndarray:
    """Return finer minus coarser allocation of every leaf; NaN where there is no finer one."""
    if fine is coarse:
        return np.full(len(fine.along[0]), np.nan)
    return np.asarray(fine.leaf_allocation - coarse.leaf_allocation)


def _stalled(grids: list[Grid], allowed: float) -> bool:
    """Whether two halvings in a row left Simpson's integral where it was, and the gap open."""
    if len(grids) < 4 or abs(grids[-1].gap) <= allowed:
        return False
    sums = [float(grid.leaves(composite(SIMPSON, grid.panels // 2)).sum()) for grid in grids[-3:]]
    return float(np.ptp(sums)) < abs(grids[-1].gap) / 16
