"""Student's t distribution, as far as confidence intervals and tests of a mean need it."""

from __future__ import annotations

import math
from functools import cache

import numpy as np

_TINY, _TOLERANCE, _TERMS = 1e-300, 1e-15, 10_000


def two_sided_p(t: float, degrees: float) -> float:
    r"""Return the probability of a |t| as large or larger.

    .. math:: P(|T| \ge |t|) = I_{\nu / (\nu + t^2)}(\nu/2,\, 1/2)

    Args:
        t: the statistic; infinite for a mean without spread.
        degrees: of freedom, ν >= 1; need not be whole.

    Example:
        >>> from lca_core.students_t import two_sided_p
        >>> round(two_sided_p(12.706, 1), 4)
        0.05

    Source: Press et al., Numerical Recipes, 3rd edition, 6.14.3 and 6.4.
    """
    if math.isnan(t):
        return math.nan
    if math.isinf(t):
        return 0.0
    whole = degrees + t * t
    return _incomplete_beta(degrees / whole, t * t / whole, degrees / 2, 0.5)


@cache
def quantile(confidence: float, degrees: float) -> float:
    """Return the t that a share `confidence` of the distribution lies within, on both sides.

    Found by bisection of `two_sided_p`.

    Example:
        >>> from lca_core.students_t import quantile
        >>> round(quantile(0.95, 9), 3)
        2.262
    """
    low, high = 0.0, 1.0
    while two_sided_p(high, degrees) > 1 - confidence:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        inside = two_sided_p(middle, degrees) > 1 - confidence
        low, high = (middle, high) if inside else (low, middle)
    return high


def interval(values: np.ndarray, confidence: float = 0.95) -> np.ndarray:
    r"""Return the ± of a mean over the first axis; NaN for a single value.

    .. math:: t_{n-1} \, s / \sqrt{n}

    Args:
        values: shape (n, ...).
        confidence: that the mean lies within.

    Example:
        >>> import numpy as np
        >>> from lca_core.students_t import interval
        >>> round(float(interval(np.array([1.0, 2.0, 3.0]))), 3)
        2.484
    """
    n = len(values)
    if n < 2:
        return np.full(values.shape[1:], np.nan)
    return np.asarray(quantile(confidence, n - 1) * values.std(axis=0, ddof=1) / math.sqrt(n))


def _incomplete_beta(x: float, rest: float, a: float, b: float) -> float:
    """Return the regularised incomplete beta function I_x(a, b); `rest` is 1 - x, unrounded."""
    if not (x and rest):
        return float(rest == 0)
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log(rest)
    )
    if x < (a + 1) / (a + b + 2):
        return front * _fraction(x, a, b) / a
    return 1 - front * _fraction(rest, b, a) / b


def _fraction(x: float, a: float, b: float) -> float:
    """Return the continued fraction of the incomplete beta function, by Lentz's method."""
    c, d = 1.0, _inverse(1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, _TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d, c = _inverse(1 + term * d), 1 + term / c
            c = c or _TINY
            value *= c * d
        if abs(c * d - 1) < _TOLERANCE:
            break
    return value


def _inverse(value: float) -> float:
    return 1 / (value or _TINY)
