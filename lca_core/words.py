"""How sentences write numbers and names."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

FEW = 4
"""As many names as one sentence bears."""

_MOST_DECIMALS, _DIGITS, _LONG = 5, 5, 1e5


def counted(count: int, what: str) -> str:
    """Write how many there are.

    Example:
        >>> from lca_core.words import counted
        >>> counted(1, "step"), counted(2000, "step")
        ('1 step', '2,000 steps')
    """
    return f"{count:,} {what}{'s' * (count != 1)}"


def expected(mean: float) -> str:
    """Write how many there would be on average, with two digits where they are few.

    Example:
        >>> from lca_core.words import expected
        >>> expected(12.345), expected(0.01234)
        ('12.3', '0.012')
    """
    return f"{mean:.1f}" if mean >= 1 else f"{mean:.2g}"


def listed(items: Sequence[str]) -> str:
    """Write a list as in a sentence.

    Example:
        >>> from lca_core.words import listed
        >>> listed(["a"]), listed(["a", "b", "c"])
        ('a', 'a, b and c')
    """
    *first, last = items
    return f"{', '.join(first)} and {last}" if first else last


def few(items: Sequence[str]) -> str:
    """Write the first of a list, and how many more there are.

    Example:
        >>> from lca_core.words import few
        >>> few(["a", "b", "c", "d"]), few(["a", "b", "c", "d", "e", "f"])
        ('a, b, c and d', 'a, b, c, d and 2 more')
    """
    if len(items) <= FEW:
        return listed(items)
    return listed([*items[:FEW], f"{len(items) - FEW:,} more"])


def named(label: str, value: float, error: float) -> str:
    """Write a layer with what it was allocated, and its ±.

    Example:
        >>> from lca_core.words import named
        >>> named("fc1", -1.39123, 0.00214)
        'fc1 (-1.3912 ± 0.0021)'
    """
    return f"{called(label)} ({measured(value, error)})"


def called(label: str) -> str:
    """Write the name of a layer; parameters that belong to none have none."""
    return label or "the layer without a name"


def measured(value: float, error: float) -> str:
    """Write loss units with their ±, to the second digit of the ± and five at most.

    A ± that is no finite number says nothing, nor does one of a value that is none.

    Example:
        >>> from lca_core.words import measured
        >>> measured(-1.39123, 0.0432), measured(0.5, 1e-9), measured(2e-7, float("nan"))
        ('-1.391 ± 0.043', '+0.50000 ± 1e-09', '+2.0000e-07, ± unknown')
        >>> measured(123.456, 20.0), measured(1234.5, 234.0), measured(2e-7, 1.1e-7)
        ('+123 ± 20', '+1230 ± 230', '+2.0e-07 ± 1.1e-07')
    """
    if not (math.isfinite(error) and math.isfinite(value)):
        return f"{signed(value)}, ± unknown"
    if not error:
        return f"{signed(value)} ± {error:.2g}"
    largest = max(abs(value), error)
    decimals = 1 - math.floor(math.log10(error))
    digits = decimals + math.floor(math.log10(largest)) + 1
    if decimals > _MOST_DECIMALS or digits > _DIGITS or largest >= _LONG:
        return f"{signed(value, min(digits, _DIGITS))} ± {error:.2g}"
    shown = max(decimals, 0)
    return f"{round(value, decimals):+.{shown}f} ± {round(error, decimals):.{shown}f}"


def signed(value: float, digits: int = _DIGITS) -> str:
    """Write loss units with their sign and so many digits.

    Example:
        >>> from lca_core.words import signed
        >>> signed(0.5), signed(-12.3456), signed(0.0)
        ('+0.50000', '-12.346', '0')
    """
    return format(value, f"+#.{digits}g").rstrip(".") if value else "0"


def plainly(value: float, digits: int = 2) -> str:
    """Write so many significant digits, and more where a number is too large for them.

    Example:
        >>> from lca_core.words import plainly
        >>> plainly(0.0123), plainly(99.7), plainly(1234.5), plainly(12.3, 1)
        ('0.012', '100', '1,234', '12')
    """
    rounded = f"{value:.{digits}g}"
    return f"{value:,.0f}" if "e+" in rounded else rounded


def percent(share: float, digits: int = 0) -> str:
    """Write a share; what is not quite all or nothing is not written as such.

    Example:
        >>> from lca_core.words import percent
        >>> percent(0.5), percent(0.51234, 1), percent(0.9999), percent(0.0001), percent(1.0)
        ('50 %', '51.2 %', 'over 99 %', 'under 1 %', '100 %')
    """
    if digits == 0 and 0.995 <= share < 1.0:
        return "over 99 %"
    if digits == 0 and 0.0 < share < 0.005:
        return "under 1 %"
    return f"{100 * share:.{digits}f} %"
