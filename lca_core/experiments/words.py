"""How a verdict writes its tables and numbers, in Markdown."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from lca_core.words import measured

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lca_core.analyses import Mean


def table(head: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """Write a table.

    Example:
        >>> from lca_core.experiments.words import table
        >>> print(table(["layer", "LCA"], [("fc1", -1.5)]))
        | layer | LCA |
        | --- | --- |
        | fc1 | -1.5 |
    """
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def with_p(mean: Mean) -> str:
    """Write a mean with its ± and p.

    Example:
        >>> from lca_core.experiments.words import with_p
        >>> from lca_core.analyses import mean_of
        >>> with_p(mean_of([1.0, 2.0, 3.0]))
        '+2.0 ± 2.5 (p = 0.074)'
    """
    if math.isnan(mean.value):
        return "not known"
    return f"{measured(mean.value, mean.half)} ({p_value(mean.p)})"


def p_value(p: float) -> str:
    """Write a p-value.

    Example:
        >>> from lca_core.experiments.words import p_value
        >>> p_value(0.0312), p_value(1e-7), p_value(float("nan"))
        ('p = 0.031', 'p < 1e-4', 'p unknown')
    """
    if math.isnan(p):
        return "p unknown"
    return f"p = {p:.2g}" if p >= 1e-4 else "p < 1e-4"


def percent_of(share: Mean, sign: str = "") -> str:
    """Write a mean share in %, with its ±.

    Args:
        share: from 0 to 1, or a difference of two.
        sign: "+" to write it in front of positive ones too.

    Example:
        >>> from lca_core.experiments.words import percent_of
        >>> from lca_core.analyses import mean_of
        >>> percent_of(mean_of([0.5, 0.51, 0.52])), percent_of(mean_of([0.25]))
        ('51.0 ± 2.5 %', '25.0 %')
    """
    if math.isnan(share.value):
        return "unknown"
    half = "" if math.isnan(share.half) else f" ± {100 * share.half:.2g}"
    return f"{100 * share.value:{sign}.1f}{half} %"
