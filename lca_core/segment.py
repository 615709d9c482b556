"""What an integrator is given, a step whose ends are known, and what it finds."""

from __future__ import annotations

import math
from enum import IntEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from attrs import field, frozen

from lca_core.account import Account
from lca_core.leafwise import each, leaf_sums, product

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np

    from lca_core.rules import Rule
    from lca_core.typing import ArrayOps, Evaluation, Params

NOISE_EPSILONS = 8.0
"""Rounding of ΔL, in machine epsilons of the loss: the worst measured (docs/integrators.md)."""


class Status(IntEnum):
    """How the books of one step closed.

    `OK`: |gap| is within the tolerance or the noise floor.
    `CAP`: all allowed points are used and the gap is still larger.
    `STALLED`: more points no longer change the integral, yet a gap remains: rounding in the
    loss, or a loss and a gradient that are not of the same function.
    `NONFINITE`: a loss, a gradient or a parameter is not finite.
    `ESTIMATED`: on fresh examples, so there are no books to close.
    """

    OK = 0
    CAP = 1
    STALLED = 2
    NONFINITE = 3
    ESTIMATED = 4


def noise_floor(eps: float, losses: Sequence[float]) -> float:
    """Return what rounding alone can do to a difference of losses, in loss units.

    Args:
        eps: machine epsilon of their arithmetic.
        losses: at the ends of the step.
    """
    # Plain Python: where caches are cold, numpy takes several times as long for two numbers.
    sizes = [abs(loss) for loss in losses]
    return NOISE_EPSILONS * eps * (math.nan if any(map(math.isnan, sizes)) else max(sizes))


@frozen
class Segment:
    """One straight step of one measure; both its ends are already evaluated.

    Args:
        index: number of the step in the run, from 0.
        start: θ_t.
        displacement: Δ = θ_{t+1} - θ_t.
        evaluate: the oracle, buffers already bound.
        first: loss and gradient at θ_t.
        last: loss and gradient at θ_{t+1}.
        eps: machine epsilon of the oracle's arithmetic.
        ops: the framework's array functions.
        within: |ΔL| of the whole that the measure is a part of; its books close if those of
            all parts close as tightly as it asks for.
        account: what the steps before it have left open.
    """

    index: int
    start: Params
    displacement: Params
    evaluate: Callable[[Params], Evaluation]
    first: Evaluation
    last: Evaluation
    eps: float
    ops: ArrayOps
    within: float = math.inf
    account: Account = field(factory=Account)

    @cached_property
    def _ends(self) -> list[float]:
        both = self.ops.concat([self.first.loss, self.last.loss])
        ends: list[float] = self.ops.to_numpy(both).tolist()
        return ends

    @property
    def change(self) -> float:
        """The true loss change ΔL = L(θ_{t+1}) - L(θ_t)."""
        return self._ends[1] - self._ends[0]

    @property
    def scale(self) -> float:
        """What a tolerance is relative to: |ΔL|, or that of the whole where it is smaller."""
        return min(abs(self.change), self.within)

    @property
    def noise(self) -> float:
        """What rounding alone can do to ΔL, in loss units."""
        return noise_floor(self.eps, self._ends)

    def gradient(self, s: float) -> Params:
        """Return ∂L/∂θ at θ_t + s·Δ; the ends are reused, not evaluated again."""
        if s == 0.0:
            return self.first.gradient
        if s == 1.0:
            return self.last.gradient
        point = each(lambda leaf, moved: leaf + s * moved, self.start, self.displacement)
        return self.evaluate(point).gradient

    def along(self, gradient: Params) -> np.ndarray:
        """Return gradient · Δ summed over every leaf, shape (leaves,), float64."""
        return self.ops.to_numpy(leaf_sums(self.ops, product(self.displacement, gradient)))


@frozen
class Integral:
    """What an integrator found for one step.

    Args:
        mean_gradient: the average of ∂L/∂θ along the step.
        leaf_allocation: the allocation of every leaf, shape (leaves,), loss units.
        leaf_error: the rule that was used minus the other that it is compared with, usually the
            coarser one, shape (leaves,), loss units; NaN where there was none.
        gap: ΔL - Σ allocation, loss units.
        rule: the rule that was used in the end.
        evaluations: gradients evaluated inside the step (its ends not counted).
        status: how the books closed.
        audited: the step was refined by lot, once more than it needed.
        coarser: the average of ∂L/∂θ by the rule that `leaf_error` compares with; empty where
            there is none.
        discarded: that rule is a finer one, which was looked at and not kept.
    """

    mean_gradient: Params
    leaf_allocation: np.ndarray
    leaf_error: np.ndarray
    gap: float
    rule: Rule
    evaluations: int
    status: Status
    audited: bool = False
    coarser: Params = field(factory=dict)
    discarded: bool = False


class Integrator(Protocol):
    """Average gradient along a step, by some quadrature.

    Every step is first seen through one fixed rule, which a framework can compile; `settle`
    says whether that will do, and only where it does not the integrator itself is called.
    """

    @property
    def rule(self) -> Rule:
        """The rule that every step begins with."""

    def settle(
        self, index: int, *, change: float, gap: float, noise: float, account: Account
    ) -> Status | None:
        """Return how the books of a step closed under `rule`, or None to be called for it.

        Args:
            index: number of the step in the run, from 0.
            change: what a tolerance is relative to, |ΔL| or less, loss units.
            gap: ΔL - Σ allocation under `rule`, loss units.
            noise: what rounding alone can do to ΔL, loss units.
            account: what the steps before it have left open.
        """

    def judge(self, *, change: float, gap: float, noise: float) -> Status:
        """Return how the books of a step closed that nobody will refine; see `settle`."""

    def __call__(self, segment: Segment) -> Integral:
        """Integrate one step of one measure."""

    def describe(self) -> Mapping[str, Any]:
        """Return the settings, as JSON values, for the run file."""
