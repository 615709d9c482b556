"""Numbers as a terminal shows them: lined up, coloured by their sign, a dash for the unknown."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

UNKNOWN = "–"
_FIXED_POINT = (1e-3, 1e7)


def aligned(values: Sequence[float], digits: int = 5) -> list[str]:
    """Write signed numbers with the same number of decimals, so that they line up.

    Args:
        values: a column; NaN becomes a dash.
        digits: significant ones of the largest.

    Example:
        >>> from lca_core.cli.numbers import aligned
        >>> aligned([-1.25, 0.5, float("nan")])
        ['-1.2500', '+0.5000', '–']
    """
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    low, high = _FIXED_POINT
    if largest and not low <= largest < high:
        return [known(value, f"+.{digits - 2}e") for value in values]
    magnitude = math.floor(math.log10(largest)) if largest else 0
    return [known(value, f"+.{max(digits - 1 - magnitude, 0)}f") for value in values]


def known(value: float, form: str, unit: str = "") -> str:
    """Write a number; a dash where it is not known."""
    return UNKNOWN if math.isnan(value) else format(value, form) + unit


def coloured(text: str, lca: float) -> Text:
    """Return text in green where it helped, in red where it hurt."""
    if lca == 0.0 or math.isnan(lca):
        return Text(text)
    return Text(text, "green" if lca < 0.0 else "red")
