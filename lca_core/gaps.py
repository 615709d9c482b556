"""What audited steps say of the others, by the gaps, which are known of all of them."""

from __future__ import annotations

import numpy as np

from lca_core.audits import judged, of_lots, stands_for
from lca_core.uncertainty import of_independent, roots_of_sums

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

    Lots may all have fallen on steps with small gaps, as where the first steps are by far the
    largest. So sum and ± reach as far as errors that are to their gaps as those of the lots:

    .. math:: \sqrt{\frac{\sum_b e_b^2}{\sum_b g_b^2}}\;
        \Big(\Big|\sum_{\text{others}} \mathrm{gap}_t\Big|
        + 1.96 \sqrt{\sum_{\text{others}} \mathrm{gap}_t^2}\Big)

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
        >>> float(known[0].round(9)), float(half[0].round(2))
        (-2.0, 11.6)

    Source: Cochran, Sampling Techniques (1977), sections 7.1 and 7.8: regression estimators.
    """
    known, half = judged(errors, lots, others)
    size = float(np.abs(gaps[lots | others]).max(initial=0.0))
    if lots.sum() < 2 or not 0.0 < size < np.inf:
        return known, half
    drawn, own, rest = errors[lots], gaps[lots] / size, gaps[others] / size
    if len(drawn) >= FEWEST:
        followed, spread = _followed(drawn, own, rest, stands_for(lots, others))
        better = spread < half
        known, half = np.where(better, followed, known), np.where(better, spread, half)
    ratio = _ratio(roots_of_sums(drawn)[-1], roots_of_sums(own)[-1])
    least = ratio * (abs(rest.sum()) + of_independent(rest))
    return known, np.maximum(half, least - np.abs(known))


def _followed(
    drawn: np.ndarray, own: np.ndarray, rest: np.ndarray, stands_for: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the sum and its 95 % where errors follow the gaps.

    Args:
        drawn: errors of the lots, shape (lots, groups).
        own: their gaps, shape (lots,), of the order of one as all gaps here.
        rest: those of the other steps, shape (others,).
        stands_for: of these, how many every lot stands for, shape (lots,).
    """
    n, g = stands_for[:, None], own[:, None]
    product, square = (n + 1) * drawn * g, (n + 1) * g * g
    beta = _ratio(product.sum(axis=0), square.sum(axis=0))
    without = _ratio(_of_others(product), _of_others(square))
    found = beta * rest.sum() + (n * (drawn - beta * g)).sum(axis=0)
    return found, of_lots(drawn - without * g, n)


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
