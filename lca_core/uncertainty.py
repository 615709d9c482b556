"""The ± of sums over steps: of independent terms, known ones and estimated ones."""

from __future__ import annotations

from functools import cache

import numpy as np

from lca_core.students_t import quantile

_OF_DIFFERENCES = 2.0 / 3.0
"""Degrees of freedom of a difference between neighbours: each value is in two of them."""

TWO_SIDED = 1.96
"""Standard errors of a normal distribution that 95 % lie within."""


def of_independent(errors: np.ndarray) -> np.ndarray:
    r"""Return the ± of sums of independent terms, 1.96 \sqrt{\sum_t s_t^2}.

    Args:
        errors: s_t, one standard error of every term, shape (T, ...).

    Returns:
        Half-widths, shape (...).

    Example:
        >>> import numpy as np
        >>> from lca_core.uncertainty import of_independent
        >>> float(of_independent(np.array([3.0, 4.0])))
        9.8
    """
    return np.asarray(TWO_SIDED * roots_of_sums(errors)[-1])


def roots_of_sums(errors: np.ndarray) -> np.ndarray:
    r"""Return the standard errors of the sums of the first t independent terms, for every t.

    .. math:: \sqrt{\sum_{s \le t} s_s^2}

    Args:
        errors: one standard error of every term, shape (T, ...).

    Returns:
        Those of 0, 1, ..., T terms, shape (T + 1, ...).
    """
    scaled, power = _scaled(errors)
    return np.asarray(np.ldexp(np.sqrt(_since_the_start(scaled**2)), power))


def freedom(errors: np.ndarray, degrees: float) -> np.ndarray:
    r"""Return the degrees of freedom of such standard errors, where terms have theirs estimated.

    .. math:: \nu = (d + 2) \frac{\big(\sum_t s_t^2\big)^2}{\sum_t s_t^4} - 2

    Args:
        errors: s_t, shape (T, ...).
        degrees: of freedom of every one of them, d.

    Returns:
        Those of 0, 1, ..., T terms, shape (T + 1, ...); d where all errors are zero.

    Example:
        >>> import numpy as np
        >>> from lca_core.uncertainty import freedom
        >>> freedom(np.ones(3), 1).tolist()
        [1.0, 1.0, 4.0, 7.0]

    Source: Satterthwaite (1946), Biometrics Bulletin 2, 110; d + 2 and - 2 where he has d, since
    the s_t are estimates: E s^4 = (1 + 2/d) \sigma^4.
    """
    scaled, _ = _scaled(errors)
    squares, fourth = _since_the_start(scaled**2), _since_the_start(scaled**4)
    ratio = np.ones(squares.shape)
    np.divide(squares**2, fourth, out=ratio, where=fourth > 0)
    return np.asarray((degrees + 2) * ratio - 2)


def student(degrees: np.ndarray) -> np.ndarray:
    """Return within how many standard errors 95 % lie, by so many degrees of freedom.

    Args:
        degrees: any shape; below 1, as 1.

    Example:
        >>> import numpy as np
        >>> from lca_core.uncertainty import student
        >>> student(np.array([1.0, 9.0, 1e9])).round(2)
        array([12.71,  2.26,  1.96])
    """
    inverse, logarithms = _student()
    return np.asarray(np.exp(np.interp(1 / np.maximum(degrees, 1.0), inverse, logarithms)))


def of_neighbours(apart: np.ndarray) -> np.ndarray:
    """Return within how many standard errors 95 % lie, where each is from two neighbours apart.

    Args:
        apart: standard errors, shape (T, ...).

    Returns:
        Those of sums over 0, 1, ..., T of them, shape (T + 1, ...).
    """
    return student(_OF_DIFFERENCES * freedom(apart, 1))


@cache
def _student() -> tuple[np.ndarray, np.ndarray]:
    """Return 1/ν and ln t, so smooth that lines between them are right to 0.02 %."""
    inverse = np.linspace(0.0, 1.0, 33)
    found = [TWO_SIDED, *(quantile(0.95, 1 / one) for one in inverse[1:].tolist())]
    return inverse, np.log(found)


def _since_the_start(terms: np.ndarray) -> np.ndarray:
    return np.concatenate([np.zeros((1, *terms.shape[1:])), np.cumsum(terms, axis=0)])


def _scaled(errors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return errors of the order of one, and the powers of two that they were divided by."""
    # Exact powers: squares of what a diverged run has would overflow.
    _, power = np.frexp(np.abs(errors).max(axis=0, initial=0.0))
    return np.ldexp(errors, -power), power
