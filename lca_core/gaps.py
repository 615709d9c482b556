"""What audited steps say of the others, by the gaps, which are known of all of them."""

from __future__ import annotations

import numpy as np

from lca_core.audits import judged, of_lots, stands_for

FEWEST = 8
"""Lots that a multiple of the gap is judged by."""


def judged_by_gaps(
    errors: np.ndarray, gaps: np.ndarray, lots: np.ndarray, others: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    r"""Return the sum of errors over other steps, and its 95 %.

    A step's gap is the sum of what all leaves are wrong by, so that the error of some of them is
    often a multiple of it, and what the gaps of the other steps sum to is known:

    .. math:: \beta \sum_{\text{others}} \mathrm{gap}_t + \sum_b n_b\, r_b
        \pm t_\nu \sqrt{\sum_b n_b (n_b + 1)\, \tfrac12 (r_{(b)} - r_{(b-1)})^2},
        \quad r_b = e_b - \beta\, g_b, \quad
        \beta = \frac{\sum_b (n_b + 1)\, e_b\, g_b}{\sum_b (n_b + 1)\, g_b^2}

    with e_b of the b-th lot, g_b the gap of its coarser rule, n_b the steps that it stands for, and
    :math:`r_{(b)}` where β is that of all lots but the b-th. Where errors do not follow the gaps,
    this is wider than what the errors alone say (`audits.judged`), which then counts.

    Args:
        errors: e of every step, shape (T, groups), loss units; only those of lots are looked at.
        gaps: of every step by the rule that was used, of lots by the coarser one, shape (T,).
        lots: which steps these are, shape (T,), bool.
        others: which steps they stand for, shape (T,), bool.

    Returns:
        Sum and half-width, shape (groups,) each; NaN for fewer than two lots.

    Example:
        >>> import numpy as np
        >>> from lca_core.gaps import judged_by_gaps
        >>> gaps = np.array(2 * [1.0, 2.0, 3.0, -1.0, 1.0, 4.0, 2.0, -7.0])
        >>> lots = np.array(8 * [True, False])
        >>> known, half = judged_by_gaps(0.5 * gaps[:, None], gaps, lots, ~lots)
        >>> float(known[0].round(9)), float(half[0].round(9))
        (-2.0, 0.0)

    Source: Cochran, Sampling Techniques (1977), sections 7.1 and 7.8: regression estimators.
    """
    known, half = judged(errors, lots, others)
    size = float(np.abs(gaps[lots | others]).max(initial=0.0))
    if lots.sum() < FEWEST or not 0.0 < size < np.inf:
        return known, half
    n = stands_for(lots, others)[:, None]
    drawn, g = errors[lots], (gaps[lots] / size)[:, None]
    own, square = (n + 1) * drawn * g, (n + 1) * g * g
    beta = _ratio(own.sum(axis=0), square.sum(axis=0))
    without = _ratio(_of_others(own), _of_others(square))
    followed = beta * (gaps[others] / size).sum() + (n * (drawn - beta * g)).sum(axis=0)
    spread = of_lots(drawn - without * g, n)
    better = spread < half
    return np.where(better, followed, known), np.where(better, spread, half)


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    found = np.zeros(np.broadcast_shapes(above.shape, below.shape))
    np.divide(above, below, out=found, where=below > 0)
    return found


def _of_others(terms: np.ndarray) -> np.ndarray:
    """Return the sum of all terms but one, for every one; differences would round it away."""
    before, behind = (np.zeros((len(terms) + 1, *terms.shape[1:])) for _ in range(2))
    before[1:] = np.cumsum(terms, axis=0)
    behind[:-1] = np.cumsum(terms[::-1], axis=0)[::-1]
    return np.asarray(before[:-1] + behind[1:])
