"""The ± of sums over steps: what integration leaves open, and what sampling does."""

from __future__ import annotations

import numpy as np

from lca_core.students_t import interval

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
    # Exact powers of two: squares of what a diverged run has would overflow.
    _, power = np.frexp(np.abs(errors).max(axis=0, initial=0.0))
    squares = np.ldexp(errors, -power) ** 2
    return np.asarray(np.ldexp(TWO_SIDED * np.sqrt(squares.sum(axis=0)), power))


def of_integration(
    error: np.ndarray, finite: np.ndarray, audited: np.ndarray, *, judged_alone: bool
) -> np.ndarray:
    r"""Return the ± of a run's sums by the differences of a finer rule and a coarser one.

    .. math:: \Big|\sum_t e_t\Big| + 1.96 \sqrt{\sum_t e_t^2}

    over the steps that were compared; the n others are judged by the k audited ones, drawn at
    random, with Student's t since k is small:

    .. math:: n\,|\bar e| + n\, t_{k-1} \, s / \sqrt{k}

    Args:
        error: e_t, shape (T, groups), loss units; NaN where nothing was compared.
        finite: steps that came to finite values, shape (T,).
        audited: steps that were drawn at random, shape (T,).
        judged_alone: steps without a comparison have an error of another kind alone, where no step
            has one.

    Returns:
        Half-widths, shape (groups,), loss units; NaN where nothing is known.

    Example:
        >>> import numpy as np
        >>> from lca_core.uncertainty import of_integration
        >>> every = np.array([True])
        >>> of_integration(np.array([[1.0]]), every, every, judged_alone=False)
        array([2.96])

    Source: method.md, "Error bars".
    """
    compared = np.isfinite(error).all(axis=1) & finite
    known = error[compared]
    half: np.ndarray = np.abs(known.sum(axis=0)) + of_independent(known)
    unknown = int((finite & ~compared).sum())
    if not finite.any() and len(finite):
        return np.full_like(half, np.nan)
    if not unknown or (judged_alone and not compared.any()):
        return half
    # Without a fair sample, the steps refined by need stand in: they erred most.
    fair = error[audited & compared]
    return np.asarray(half + _unseen(fair if len(fair) > 1 else known, unknown))


def between_subsamples(allocated: np.ndarray, unseen: float) -> np.ndarray:
    r"""Return the standard error of every step's sums by the spread of its subsamples.

    .. math:: s_t^2 = \Big(1 - \frac nN\Big) \frac1{m(m-1)} \sum_{k=1}^m (A_t^k - A_t)^2

    Args:
        allocated: A_t^k, shape (T, m, groups), loss units.
        unseen: the share of the data outside of the sample, 1 - n/N.

    Returns:
        Shape (T, groups), loss units.

    Example:
        >>> import numpy as np
        >>> from lca_core.uncertainty import between_subsamples
        >>> between_subsamples(np.array([[[1.0], [3.0]]]), unseen=1.0)
        array([[1.]])

    Source: Cochran, Sampling Techniques (1977), section 2.6.
    """
    m = allocated.shape[1]
    return np.asarray(allocated.std(axis=1, ddof=1) * np.sqrt(unseen / m))


def between_steps(allocated: np.ndarray, looked: np.ndarray) -> np.ndarray:
    r"""Return the standard error of sums of steps that each count for a block, by neighbours.

    .. math:: s_t^2 = \tfrac12 (A_t - A_s)^2

    of a step that was looked at and the one before it: the luck of the examples and of the step.

    Args:
        allocated: A_t, shape (T, groups), loss units; zeros where nobody looked.
        looked: numbers of the steps that were looked at, ascending.

    Returns:
        Shape (T, groups), loss units; zeros where nobody looked, NaN for one step alone, and for
        all where nobody looked at any.

    Example:
        >>> import numpy as np
        >>> from lca_core.uncertainty import between_steps
        >>> between_steps(np.array([[2.0], [0.0], [4.0]]), np.array([0, 2])).round(2)
        array([[1.41],
               [0.  ],
               [1.41]])

    Source: Cochran, Sampling Techniques (1977), sections 8.11 and 11.2.
    """
    if not looked.size:
        return np.full_like(allocated, np.nan)
    errors = np.zeros_like(allocated)
    steps = np.diff(allocated[looked], axis=0) / np.sqrt(2.0)
    first = steps[:1] if len(steps) else np.full_like(allocated[:1], np.nan)
    errors[looked] = np.abs(np.concatenate([first, steps]))
    return errors


def _unseen(sample: np.ndarray, unknown: int) -> np.ndarray:
    """Return the ± of a sum over `unknown` steps from a random sample of their errors."""
    if len(sample) < 2:
        return np.full(sample.shape[1:], np.nan)
    return np.asarray(unknown * (np.abs(sample.mean(axis=0)) + interval(sample)))
