"""Quadrature rules on [0, 1] as data that checks itself."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from lca_core.errors import RuleError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from attrs import Attribute

_TOLERANCE = 1e-12
_HIGHEST_DEGREE = 30


def _floats(values: Iterable[float]) -> tuple[float, ...]:
    # Python floats keep every framework's dtype; numpy scalars promote float32 to float64.
    return tuple(float(value) for value in values)


@frozen
class Rule:
    r"""A quadrature rule: where along a step to look, and how much each look counts.

    .. math:: \int_0^1 g(s)\,ds \approx \sum_k w_k\, g(s_k)

    Args:
        name: what people call it.
        nodes: s_k, strictly increasing, in [0, 1] (fractions of the step).
        weights: w_k, summing to 1.
        nested: a coarser rule on some of the same nodes; the difference of the two
            estimates the error without another gradient.

    Raises:
        RuleError: nodes or weights do not make a rule.

    Example:
        >>> from lca_core import Rule
        >>> Rule("Simpson", (0, 0.5, 1), (1 / 6, 4 / 6, 1 / 6)).degree
        3

    Source: LCA paper, section 2; Davis and Rabinowitz, Methods of Numerical Integration.
    """

    name: str
    nodes: tuple[float, ...] = field(converter=_floats)
    weights: tuple[float, ...] = field(converter=_floats)
    nested: Rule | None = field(default=None, repr=False)

    def __attrs_post_init__(self) -> None:
        if len(self.nodes) != len(self.weights) or not self.nodes:
            self._refuse(
                "needs as many weights as nodes, at least one",
                f"{len(self.nodes)} nodes and {len(self.weights)} weights",
            )
        if not all(0.0 <= s <= 1.0 for s in self.nodes):
            self._refuse("needs nodes in [0, 1]", self.nodes)
        if any(b <= a for a, b in zip(self.nodes, self.nodes[1:], strict=False)):
            self._refuse("needs strictly increasing nodes", self.nodes)
        if not abs(math.fsum(self.weights) - 1.0) <= _TOLERANCE:
            self._refuse("needs weights that sum to 1", f"a sum of {math.fsum(self.weights)}")
        if self.nested and not set(self.nested.nodes) < set(self.nodes):
            self._refuse("needs a nested rule on some of its own nodes", self.nested.nodes)

    def _refuse(self, need: str, got: object) -> None:
        msg = f"Rule '{self.name}' {need}, got {got}."
        raise RuleError(msg)

    @property
    def inside(self) -> int:
        """Number of nodes that are not ends of the step."""
        return sum(s not in (0.0, 1.0) for s in self.nodes)

    @property
    def degree(self) -> int:
        """Highest power of s that the rule integrates exactly."""
        degree = 0
        while degree < _HIGHEST_DEGREE and self._exact(degree + 1):
            degree += 1
        return degree

    def _exact(self, power: int) -> bool:
        moment = math.fsum(w * s**power for s, w in zip(self.nodes, self.weights, strict=True))
        return abs(moment - 1.0 / (power + 1)) <= _TOLERANCE


def check_rule(_: Any, attribute: Attribute[Any], value: Any) -> None:
    """Raise a `RuleError` where something else is passed as a rule; a validator of attrs."""
    if not isinstance(value, Rule):
        msg = (
            f"{attribute.name} must be a Rule, got {value!r}. Rules are values: pass "
            "lca_core.SIMPSON, or another one of lca_core.rules.RULES."
        )
        raise RuleError(msg)


@lru_cache(maxsize=256)
def composite(rule: Rule, panels: int) -> Rule:
    """Repeat a rule on equal panels; nodes shared by neighbours are merged.

    Args:
        rule: the rule of one panel.
        panels: how many, at least 1.

    Returns:
        The composite rule, nested in itself on every other panel when `panels` is even.

    Raises:
        RuleError: `panels` is not a positive integer.

    Example:
        >>> from lca_core import TRAPEZOID, composite
        >>> composite(TRAPEZOID, 2).weights
        (0.25, 0.5, 0.25)
    """
    if not (panels >= 1 and panels % 1 == 0):
        msg = f"composite('{rule.name}') needs a whole number of panels from 1 up, got {panels}."
        raise RuleError(msg)
    panels = int(panels)
    if panels == 1:
        return rule
    weight_at: dict[float, float] = {}
    for panel in range(panels):
        for node, weight in zip(rule.nodes, rule.weights, strict=True):
            s = (panel + node) / panels
            weight_at[s] = weight_at.get(s, 0.0) + weight / panels
    nodes = tuple(weight_at)
    coarser = composite(rule, panels // 2) if panels % 2 == 0 else None
    if coarser is not None and not set(coarser.nodes) < set(nodes):
        coarser = None
    if coarser is None and rule.nested is not None:
        coarser = composite(rule.nested, panels)
    return Rule(f"{rule.name} x{panels}", nodes, weight_at.values(), coarser)


def _gauss(name: str, half: Iterable[float], weights: Iterable[float], nested: Rule | None) -> Rule:
    """Move a rule given on [-1, 1] to [0, 1]."""
    return Rule(name, (0.5 + x / 2 for x in half), (w / 2 for w in weights), nested)


LEFT = Rule("left", (0.0,), (1.0,))
RIGHT = Rule("right", (1.0,), (1.0,))
MIDPOINT = Rule("midpoint", (0.5,), (1.0,))
TRAPEZOID = Rule("trapezoid", (0.0, 1.0), (0.5, 0.5))
SIMPSON = Rule("Simpson", (0.0, 0.5, 1.0), (1 / 6, 4 / 6, 1 / 6), TRAPEZOID)
BOOLE = Rule("Boole", (0, 0.25, 0.5, 0.75, 1), (w / 90 for w in (7, 32, 12, 32, 7)), SIMPSON)
LOBATTO_4 = _gauss(
    "Lobatto-4",
    (-1, -math.sqrt(1 / 5), math.sqrt(1 / 5), 1),
    (1 / 6, 5 / 6, 5 / 6, 1 / 6),
    TRAPEZOID,
)
LOBATTO_5 = _gauss(
    "Lobatto-5",
    (-1, -math.sqrt(3 / 7), 0, math.sqrt(3 / 7), 1),
    (1 / 10, 49 / 90, 32 / 45, 49 / 90, 1 / 10),
    SIMPSON,
)
GAUSS_2 = _gauss("Gauss-2", (-math.sqrt(1 / 3), math.sqrt(1 / 3)), (1, 1), None)
GAUSS_3 = _gauss(
    "Gauss-3", (-math.sqrt(3 / 5), 0, math.sqrt(3 / 5)), (5 / 9, 8 / 9, 5 / 9), MIDPOINT
)

RULES = {
    rule.name: rule
    for rule in (
        LEFT,
        RIGHT,
        MIDPOINT,
        TRAPEZOID,
        SIMPSON,
        BOOLE,
        LOBATTO_4,
        LOBATTO_5,
        GAUSS_2,
        GAUSS_3,
    )
}
"""Every named rule, by name."""
