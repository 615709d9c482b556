"""The average gradient along a step, by a rule that is given."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import field, frozen

from lca_core.leafwise import combine, each, scale, weighted
from lca_core.rules import Rule, check_rule
from lca_core.segment import Integral, Segment, Status
from lca_core.tolerance import Tolerance

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lca_core.account import Account
    from lca_core.typing import Array, Params


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
            status=self.judge(change=segment.scale, gap=gap, noise=segment.noise),
            coarser=coarse,
        )

    def settle(
        self, index: int, *, change: float, gap: float, noise: float, account: Account
    ) -> Status:
        """Return how the books closed; there is nothing more to do."""
        return self.judge(change=change, gap=gap, noise=noise)

    def judge(self, *, change: float, gap: float, noise: float) -> Status:
        """Return how the books closed."""
        return self.tolerance.judge(gap, change=change, noise=noise)

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
