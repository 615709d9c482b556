"""The ± of a run's sums that is the integrator's."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from lca_core.estimating import SAMPLE_GAP
from lca_core.gaps import judged_by_gaps
from lca_core.uncertainty import of_independent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lca_core.layout import By
    from lca_core.run import Run


_NEAR = 8
"""Steps before and behind those asked for that say how wrong these may be."""


def of_run(run: Run, measure: str, by: By, among: np.ndarray) -> np.ndarray:
    """Return the ± of a measure's sums over some steps that is the integrator's.

    One rule throughout, that of `Fixed(rule)` or of a redrawn measure, is judged by all of its gaps
    (`by_own_gaps`); a rule that every step chose for itself by audits (`of_integration`).

    Args:
        run: what was recorded.
        measure: its name.
        by: how leaves are grouped; not by units.
        among: the steps to sum over, shape (T,), bool.

    Returns:
        Half-widths, shape (groups,), loss units; NaN where nothing is known.

    Example:
        >>> import numpy as np
        >>> from lca_core.integration_error import of_run
        >>> from lca_core.reference import demo_run
        >>> of_run(demo_run(), "train", "layer", np.ones(demo_run().steps, bool)).shape
        (2,)
    """
    place, finite = run.measures.index(measure), run.finite(measure)
    # Lost steps may hold infinities of both signs.
    allocation, error, gap = (
        np.where(finite.reshape(-1, *[1] * (rows.ndim - 2)), rows[:, place], np.nan)
        for rows in (run.rows["allocation"], run.rows["error"], _gaps(run, measure))
    )
    grouped = run.layout.group(error, by)
    if _one_rule(run, measure) and (np.isfinite(grouped).all(axis=1) & among).any():
        return by_own_gaps(grouped, gap, among)
    some = np.nan_to_num([allocation, error], nan=0.0).any(axis=0)
    return of_integration(
        grouped[among],
        run.layout.group(some.astype(float), by)[among] > 0.0,
        (gap[among], (gap + error.sum(axis=1))[among]),
        finite=finite[among],
        audited=run.audited(measure)[among],
        closed=run.settled(measure)[among],
        judged_alone=run.redrawn(measure),
    )


def of_integration(
    error: np.ndarray,
    moved: np.ndarray,
    gaps: tuple[np.ndarray, np.ndarray],
    *,
    finite: np.ndarray,
    audited: np.ndarray,
    closed: np.ndarray,
    judged_alone: bool,
) -> np.ndarray:
    r"""Return the ± of a run's sums by the differences of a finer rule and a coarser one.

    Of lots, of steps that did not close or did not by the finer rule, and of all that were compared
    where there are no lots, the differences count as if the finer rule were no better:

    .. math:: \Big|\sum_t e_t\Big| + 1.96 \sqrt{\sum_t e_t^2}

    What lots say of the other steps that closed is `judged_by_gaps`. Of those of them that were
    refined by need it reaches at least as far as their own differences, each as much smaller as
    gaps g_t of the finer rule are than c_t of the coarser one, at it or at a step beside it (one
    alone may be small by luck; 2 is for groups that the rule suits less than it does their sum):

    .. math:: \Big|\sum_t s_t e_t\Big| + 1.96 \sqrt{\sum_t (s_t e_t)^2}, \quad
        s_t = \min\Big(1, 2 \max_{|u - t| \le 1} |g_u / c_u|\Big)

    A step that closed at first sight beside one that did not may have closed by luck, its leaves
    being as wrong as those of the other: the largest difference beside it is added as an
    independent error.

    Each group is judged by the steps on which it moved: on others its zeros are exact, and say
    nothing of how wrong it is where it moves.

    Args:
        error: e_t, shape (T, groups), loss units; NaN where nothing was compared.
        moved: whether something was allocated to a group, shape (T, groups), bool.
        gaps: by the rule that was used, and by the coarser one where there is one; shape (T,) each.
        finite: steps that came to finite values, shape (T,).
        audited: steps that were drawn at random, shape (T,).
        closed: steps whose books closed, by the finer rule, shape (T,).
        judged_alone: steps without a comparison have an error of another kind alone, where no step
            has one.

    Returns:
        Half-widths, shape (groups,), loss units; NaN where nothing is known.

    Example:
        >>> import numpy as np
        >>> from lca_core.integration_error import of_integration
        >>> one, gaps = np.array([[1.0]]), (np.zeros(1), np.ones(1))
        >>> every = dict.fromkeys(("finite", "audited", "closed"), np.array([True]))
        >>> of_integration(one, one > 0, gaps, **every, judged_alone=False)
        array([2.96])

    Source: method.md, "Error bars".
    """
    compared = np.isfinite(error).all(axis=1) & finite
    if not finite.any() and len(finite):
        return np.full(error.shape[1:], np.nan)
    half = np.zeros(error.shape[1])
    if judged_alone and not compared.any():
        return half
    for groups, went in alike(moved & finite[:, None]):
        half[groups] = _of_alike(
            error[np.ix_(went, groups)],
            (gaps[0][went], gaps[1][went]),
            compared[went],
            (compared & audited)[went],
            closed[went],
        )
    return half


def by_own_gaps(error: np.ndarray, gap: np.ndarray, among: np.ndarray) -> np.ndarray:
    r"""Return the ± of sums by one rule throughout, where every step's gap is known.

    How much better than the coarser rule the finer one is, is what the gaps of both say; the
    differences of single groups count as much less:

    .. math:: \min\left(1, 2 \left(1 + \frac4T\right)
        \sqrt{\frac{\sum_t g_t^2}{\sum_t c_t^2}}\right)
        \left(\Big|\sum_t e_t\Big| + 1.96 \sqrt{\sum_t e_t^2 + \overline{e^2}}\right)

    with sums of e_t over the steps asked for; and with g_t and c_t the gaps of both, and the mean
    square of e_t, over the T steps that are at most eight looks away from these: a single one can
    be closer to the coarser rule by luck. 2 is for groups that the rule suits less than it does
    their sum, 4 / T for the luck of few gaps. Measured in docs/method.md and docs/sampling.md.

    Args:
        error: e_t, finer minus coarser rule, shape (T, groups), loss units; NaN where a step was
            not looked at.
        gap: g_t, of the finer one, summed over all groups, shape (T,), likewise.
        among: the steps to sum over, shape (T,), bool.

    Returns:
        Half-widths, shape (groups,), loss units.

    Example:
        >>> import numpy as np
        >>> from lca_core.integration_error import by_own_gaps
        >>> error, gap = np.full((25, 1), 0.1), np.full(25, 0.001)
        >>> by_own_gaps(error, gap, np.ones(25, bool)).round(3)
        array([0.08])
    """
    known = np.isfinite(error).all(axis=1) & np.isfinite(gap)
    error, gap, among = error[known], gap[known], among[known]
    if not among.any():
        return np.zeros(error.shape[1])
    near = np.convolve(among, np.ones(2 * _NEAR + 1))[_NEAR:-_NEAR] > 0
    usual = np.sqrt((error[near] ** 2).mean(axis=0, keepdims=True))
    luck = of_independent(np.vstack([error[among], usual]))
    better = _better(gap[near], (gap + error.sum(axis=1))[near])
    return np.asarray(better * (np.abs(error[among].sum(axis=0)) + luck))


def _better(finer: np.ndarray, coarser: np.ndarray) -> float:
    """Return what part of a difference of two rules may be the finer one's error, by all gaps."""
    spread = math.hypot(*coarser)
    several = 2.0 * (1.0 + 4.0 / len(finer))
    return min(1.0, several * math.hypot(*finer) / spread) if spread > 0.0 else 1.0


def _gaps(run: Run, measure: str) -> np.ndarray:
    """Return the array that holds a measure's gaps: a redrawn one's are those of its samples."""
    name = SAMPLE_GAP if run.redrawn(measure) and SAMPLE_GAP in run.rows else "gap"
    return run.rows[name]


def _one_rule(run: Run, measure: str) -> bool:
    """Return whether all steps went by one rule, and their gaps are known."""
    if run.redrawn(measure):
        return SAMPLE_GAP in run.rows
    return bool(run.config.get("integrator", {}).get("kind") == "Fixed")


def alike(moved: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield places of groups that moved on the same steps, and of these steps.

    Args:
        moved: shape (T, groups), bool.

    Example:
        >>> import numpy as np
        >>> from lca_core.integration_error import alike
        >>> moved = np.array([[True, False, True], [True, True, True]])
        >>> [(groups.tolist(), steps.tolist()) for groups, steps in alike(moved)]
        [([0, 2], [0, 1]), ([1], [1])]
    """
    found: dict[bytes, list[int]] = {}
    for group, column in enumerate(np.packbits(moved, axis=0).T):
        found.setdefault(column.tobytes(), []).append(group)
    for groups in found.values():
        yield np.array(groups), np.flatnonzero(moved[:, groups[0]])


def _of_alike(
    error: np.ndarray,
    gaps: tuple[np.ndarray, np.ndarray],
    compared: np.ndarray,
    lots: np.ndarray,
    closed: np.ndarray,
) -> np.ndarray:
    """Return the ± of groups that moved on all of these steps, which are finite."""
    if lots.sum() < 2:
        lots = compared  # without a sample, steps refined by need stand in: they erred most
    others, seen = ~lots & (closed | ~compared), compared & ~lots
    known, half = judged_by_gaps(error, np.where(lots, gaps[1], gaps[0]), lots, others)
    half = np.maximum(half, _reach(_bettered(error, gaps, seen)[seen & others]) - np.abs(known))
    luck = of_independent(beside(np.abs(error), seen)[others & ~compared])
    return np.asarray(_reach(error[compared & ~others]) + np.abs(known) + half + luck)


def _reach(error: np.ndarray) -> np.ndarray:
    """Return how far a sum of errors, shape (T, groups), is from zero if each may be as large."""
    return np.asarray(np.abs(error.sum(axis=0)) + of_independent(error))


def _bettered(
    error: np.ndarray, gaps: tuple[np.ndarray, np.ndarray], seen: np.ndarray
) -> np.ndarray:
    """Return what the finer rule may be wrong by, as far as its gaps here and beside tell."""
    finer, coarser = np.abs(gaps)
    left = np.ones_like(finer)
    np.divide(finer, coarser, out=left, where=coarser > finer)
    around = np.maximum(left[:, None], beside(left[:, None], seen))
    return np.asarray(np.minimum(1.0, 2.0 * around) * error)


def beside(sizes: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return the larger of the values before and behind every step, as far as they are known.

    Args:
        sizes: not below zero, shape (T, groups).
        known: shape (T,), bool.

    Returns:
        Shape (T, groups); zeros where neither is known.

    Example:
        >>> import numpy as np
        >>> from lca_core.integration_error import beside
        >>> beside(np.array([[5.0], [2.0], [3.0]]), np.array([False, True, True])).T
        array([[2., 3., 2.]])
    """
    around = np.pad(np.where(known[:, None], sizes, 0.0), ((1, 1), (0, 0)))
    return np.asarray(np.maximum(around[:-2], around[2:]))
