"""The average gradient along a step: fixed rules, and refinement driven by the gap."""

from __future__ import annotations

import math
import operator
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import field, frozen

from lca_core.audits import falls_on
from lca_core.errors import RuleError
from lca_core.leafwise import add, combine, each, scale, weighted
from lca_core.numbers import finite, whole
from lca_core.rules import BOOLE, SIMPSON, TRAPEZOID, Rule, check_rule, composite
from lca_core.segment import Integral, Segment, Status

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lca_core.account import Account
    from lca_core.typing import Array, Params


def _rtol(value: Any) -> float:
    return finite("rtol", value)


def _atol(value: Any) -> float:
    return finite("atol", value)


@frozen
class Tolerance:
    """When a gap is small enough: |gap| ≤ max(rtol·|ΔL|, atol, noise floor).

    Args:
        rtol: relative to the step's true loss change.
        atol: in loss units.
    """

    rtol: float = field(default=5e-3, converter=_rtol)
    atol: float = field(default=1e-5, converter=_atol)

    def allowed(self, change: float, noise: float) -> float:
        """Return the largest |gap| that still counts as closed, in loss units."""
        return max(self.rtol * abs(change), self.atol, noise)


def _judge(gap: float, allowed: float) -> Status:
    if not math.isfinite(gap):
        return Status.NONFINITE
    return Status.OK if abs(gap) <= allowed else Status.CAP


@frozen
class Fixed:
    r"""Use one rule for every step.

    .. math:: \bar g = \sum_k w_k\, \nabla L(\theta_t + s_k \Delta)

    Args:
        rule: any `Rule`; `composite(SIMPSON, n)` is the paper's.
        tolerance: only the status depends on it.

    Example:
        >>> from lca_core import Fixed, SIMPSON
        >>> Fixed(SIMPSON).describe()["rule"]
        'Simpson'

    Source: LCA paper, section 2.
    """

    rule: Rule = field(validator=check_rule)
    tolerance: Tolerance = field(factory=Tolerance)

    def __call__(self, segment: Segment) -> Integral:
        """Integrate one step."""
        mean, coarse = mean_gradients(segment, self.rule)
        fine = segment.along(mean)
        unknown = np.full_like(fine, np.nan)
        gap = segment.change - float(fine.sum())
        return Integral(
            mean_gradient=mean,
            leaf_allocation=fine,
            leaf_error=fine - segment.along(coarse) if coarse else unknown,
            gap=gap,
            rule=self.rule,
            evaluations=self.rule.inside,
            status=_judge(gap, self.tolerance.allowed(segment.scale, segment.noise)),
            coarser=coarse,
        )

    def settle(
        self, index: int, *, change: float, gap: float, noise: float, account: Account
    ) -> Status:
        """Return how the books closed; there is nothing more to do."""
        return self.judge(change=change, gap=gap, noise=noise)

    def judge(self, *, change: float, gap: float, noise: float) -> Status:
        """Return how the books closed."""
        return _judge(gap, self.tolerance.allowed(change, noise))

    def describe(self) -> Mapping[str, Any]:
        """Return the settings, as JSON values."""
        return {
            "kind": "Fixed",
            "rule": self.rule.name,
            "nodes": list(self.rule.nodes),
            "weights": list(self.rule.weights),
            "rtol": self.tolerance.rtol,
            "atol": self.tolerance.atol,
        }


def mean_gradients(segment: Segment, rule: Rule) -> tuple[Params, Params]:
    """Return the average gradient along a step by a rule, and by its nested rule.

    Memory does not grow with the number of nodes; nothing is decided on the host.

    Args:
        segment: the step.
        rule: where to look.

    Returns:
        Two sets of leaves; the second is empty where there is no nested rule.
    """
    nested = rule.nested
    coarse_weight = dict(zip(nested.nodes, nested.weights, strict=True)) if nested else {}
    mean: Params | None = None
    coarse: Params | None = None
    for s, weight in zip(rule.nodes, rule.weights, strict=True):
        gradient = segment.gradient(s)
        mean = _add(mean, weight, gradient)
        if s in coarse_weight:
            coarse = _add(coarse, coarse_weight[s], gradient)
    return mean or {}, coarse or {}


def mean_of_ends(rule: Rule, first: Params, last: Params) -> Params:
    """Return the average gradient along a step by a rule that looks at nothing but its ends.

    Args:
        rule: with nodes 0 and 1 at most.
        first: the gradient at θ_t.
        last: the gradient at θ_{t+1}.
    """
    return combine(rule.weights, _at_nodes(rule, first, last))


def along_ends(rule: Rule, ends: tuple[Params, Params], gradients: tuple[Params, Params]) -> Params:
    """Return the allocation by such a rule; nothing but the result is ever as large as the model.

    Args:
        rule: with nodes 0 and 1 at most.
        ends: θ_t and θ_{t+1}.
        gradients: there.
    """

    def allocated(start: Array, end: Array, *known: Array) -> Any:
        # The displacement comes last, and in place: two arrays of a leaf's size, never three.
        mean = weighted(rule.weights, known)
        mean *= end - start
        return mean

    return each(allocated, *ends, *_at_nodes(rule, *gradients))


def _at_nodes(rule: Rule, first: Params, last: Params) -> list[Params]:
    return [{0.0: first, 1.0: last}[s] for s in rule.nodes]


def _add(total: Params | None, weight: float, gradient: Params) -> Params:
    weighted = scale(weight, gradient)
    # In place where arrays allow it: what was just made belongs to nobody else.
    return weighted if total is None else each(operator.iadd, weighted, total)


@frozen
class _Grid:
    """Gradients at equally spaced points, summed by the halving that brought them.

    Every rule that we build from halved panels weighs all points of one halving alike, so
    one sum a level is all that has to be kept: memory grows with log2(panels).
    """

    segment: Segment
    sums: tuple[Params, ...]
    along: tuple[np.ndarray, ...]

    @classmethod
    def ends(cls, segment: Segment) -> _Grid:
        both = add(segment.first.gradient, segment.last.gradient)
        return cls(segment, (both,), (segment.along(both),))

    @property
    def panels(self) -> int:
        return 1 << (len(self.sums) - 1)

    def halved(self) -> _Grid:
        """Add the midpoint of every panel; all earlier points are reused."""
        n = 2 * self.panels
        added = self.segment.gradient(1 / n)
        for k in range(3, n, 2):
            added = add(added, self.segment.gradient(k / n))
        return _Grid(self.segment, (*self.sums, added), (*self.along, self.segment.along(added)))

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
        return self.leaves(self.rule)

    @cached_property
    def gap(self) -> float:
        return self._gap(self.leaf_allocation)

    def leaves(self, rule: Rule) -> np.ndarray:
        """Return the allocation of every leaf under a rule."""
        pairs = zip(self._weights(rule), self.along, strict=True)
        return np.asarray(sum(weight * along for weight, along in pairs))

    def mean_gradient(self) -> Params:
        return combine(self._weights(self.rule), self.sums)

    def _gap(self, leaves: np.ndarray) -> float:
        return self.segment.change - float(leaves.sum())

    def _weights(self, rule: Rule) -> list[float]:
        """Return the weight of every level: level l brought the odd multiples of panels >> l."""
        n = self.panels
        return [rule.weights[0]] + [rule.weights[n >> level] for level in range(1, len(self.sums))]


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

    rtol: float = field(default=5e-3, converter=_rtol)
    atol: float = field(default=1e-5, converter=_atol)
    max_panels: int = field(default=32, converter=_power_of_two)
    certify: bool = field(default=False, converter=bool)
    audit: int | None = field(default=16, converter=_audit)
    run_rtol: float | None = field(default=1e-4, converter=_run_rtol)

    def __call__(self, segment: Segment) -> Integral:
        """Integrate one step."""
        allowed = Tolerance(self.rtol, self.atol).allowed(segment.scale, segment.noise)
        grids, status = self._refined([_Grid.ends(segment)], allowed)
        panels = grids[-1].panels
        if self._may_halve(grids, status) and self._adds_up(
            segment.account, segment.scale, grids[-1].gap, segment.noise
        ):
            finer = grids[-1].halved()
            panels = finer.panels
            if abs(finer.gap) <= allowed:  # else the books of the step were better closed before
                grids = [*grids, finer]
        needed = len(grids)
        audited = self._may_halve(grids, status) and self._audits(segment.index)
        if audited:
            grids, status = self._refined([*grids, grids[-1].halved()], allowed)
        # An audited step stands for the others: it is compared with what they make do with.
        grid, coarser = grids[-1], grids[needed - 1] if audited else grids[-2:][0]
        return Integral(
            mean_gradient=grid.mean_gradient(),
            leaf_allocation=grid.leaf_allocation,
            leaf_error=_leaf_error(grid, coarser),
            gap=grid.gap,
            rule=grid.rule,
            evaluations=max(panels, grid.panels) - 1,
            status=status,
            audited=audited,
            coarser=coarser.mean_gradient() if coarser is not grid else {},
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
        return _judge(gap, Tolerance(self.rtol, self.atol).allowed(change, noise))

    def _refined(self, grids: list[_Grid], allowed: float) -> tuple[list[_Grid], Status]:
        """Halve until the step ends, one way or another."""
        while (status := self._status(grids, allowed)) is None:
            grids = [*grids, grids[-1].halved()]
        return grids, status

    def _status(self, grids: list[_Grid], allowed: float) -> Status | None:
        """Return how the step ended, or None while another halving is called for."""
        grid = grids[-1]
        status = _judge(grid.gap, allowed)
        if status is Status.OK and self.certify and not self._certified(grids, allowed):
            status = Status.CAP
        if status is Status.CAP and _stalled(grids, allowed):
            return Status.STALLED
        if status is Status.CAP and grid.panels < self.max_panels:
            return None
        return status

    def _certified(self, grids: list[_Grid], allowed: float) -> bool:
        error, size = (
            np.abs(_leaf_error(grids[-1], grids[-2:][0])),
            np.abs(grids[-1].leaf_allocation),
        )
        return bool(np.all(error <= np.maximum(self.rtol * size, allowed)))

    def _may_halve(self, grids: list[_Grid], status: Status) -> bool:
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


def _leaf_error(fine: _Grid, coarse: _Grid) -> np.ndarray:
    """Return finer minus coarser allocation of every leaf; NaN where there is no finer one."""
    if fine is coarse:
        return np.full(len(fine.along[0]), np.nan)
    return np.asarray(fine.leaf_allocation - coarse.leaf_allocation)


def _stalled(grids: list[_Grid], allowed: float) -> bool:
    """Whether two halvings in a row left Simpson's integral where it was, and the gap open."""
    if len(grids) < 4 or abs(grids[-1].gap) <= allowed:
        return False
    sums = [float(grid.leaves(composite(SIMPSON, grid.panels // 2)).sum()) for grid in grids[-3:]]
    return float(np.ptp(sums)) < abs(grids[-1].gap) / 16
