"""Which share of the helps and hurts may be the other way round."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from attrs import frozen

from lca_core.audits import judged, stands_for
from lca_core.integration_error import alike, beside

if TYPE_CHECKING:
    from lca_core.layout import By
    from lca_core.run import Run


@frozen
class DoubtfulSigns:
    """The share of helps and hurts that a finer rule turned round; each array is (groups,).

    Args:
        labels: names of the groups.
        share: of all helps and hurts of the run; NaN where nothing is known.
        half: its ±, 95 %, 1 at most; 0 where every step was looked at, and an upper bound of the
            share where a rule turned nothing on any audited step.
        looked_at: steps on which a finer rule was compared.
    """

    labels: tuple[str, ...]
    share: np.ndarray
    half: np.ndarray
    looked_at: int


def doubtful_signs(run: Run, measure: str, by: By = "layer") -> DoubtfulSigns:
    r"""Estimate how many single parameters' signs may be wrong, from the audited steps.

    .. math:: \hat p = \frac{\sum_b (1 + n_b) f_b}{\sum_t (h_t + v_t)}

    with f parameters turned round by the finer rule, h helping and v hurting; the b-th audited step
    stands for the n_b others before the next one, with the ± of `audits.judged`. Its own signs on
    record are those of the finer rule. A step that closed at first sight beside one that did not
    may be as wrong as the other was, which the ± counts too. Without audited steps, what their own
    refinement turned counts for steps that were refined by need, 0 to twice as much.

    Each group is judged by the steps on which some of it moved.

    n steps without a turn have no spread to tell of: turns are then on at most 1 - 0.05^{1/n} of
    the others, some 3/n, each with all of its signs.

    Args:
        run: a finished run.
        measure: its name.
        by: "leaf", "layer", a function of a `Leaf` that names its group, or a regular
            expression.

    Raises:
        NotRecordedError: the observer `Counts()` was left out, or the file is of an older version.

    Example:
        >>> from lca_core.analyses import doubtful_signs
        >>> from lca_core.reference import demo_run
        >>> found = doubtful_signs(demo_run(steps=100), "train")
        >>> found.labels, bool((found.share < 0.05).all())
        (('fc1', 'fc2'), True)

    Source: Hanley and Lippman-Hand, If nothing goes wrong, is everything all right?, JAMA 249
    (1983), for the bound.
    """
    turned, finite = run.reversed_signs(measure, by).values, run.finite(measure)
    counts = run.helping(measure, by)
    signs, known = counts.helped + counts.hurt, np.isfinite(turned).all(axis=1) & finite
    lots, closed = known & run.audited(measure), run.settled(measure)
    found, half = np.zeros((2, signs.shape[1]))
    for groups, went in alike((signs > 0) & finite[:, None]):
        cells = np.ix_(went, groups)
        found[groups], half[groups] = _of_alike(
            turned[cells], signs[cells], known[went], lots[went], closed[went]
        )
    with np.errstate(divide="ignore", invalid="ignore"):
        found, half = found / signs.sum(axis=0), half / signs.sum(axis=0)
    return DoubtfulSigns(counts.labels, found, np.minimum(half, 1.0), int(known.sum()))


def _of_alike(
    turned: np.ndarray, signs: np.ndarray, known: np.ndarray, lots: np.ndarray, closed: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return how many signs are doubtful, and the ±, of groups that moved on all of these steps."""
    # Of steps that closed lots know better than a count of their own.
    others = ~lots & (~known | (closed & (lots.sum() > 1)))
    more, spread = judged(turned, lots, others)
    own = turned[known & ~lots & ~others].sum(axis=0)
    none = ~turned[lots].any(axis=0) & np.isfinite(spread)
    open_ = np.where(none, _at_most(stands_for(lots, others)) * signs[others].sum(axis=0), spread)
    luck = beside(turned, known & ~lots)[others & ~known].sum(axis=0)
    return turned[lots].sum(axis=0) + more + own, open_ + luck + own


def _at_most(stands_for: np.ndarray) -> float:
    """Return the share that is missed in all lots with a probability of 5 %.

    Lots that stand for unequal numbers of steps count as fewer.
    """
    if not stands_for.any():
        return 0.0
    lots = stands_for.sum() ** 2 / (stands_for**2).sum()
    return float(1.0 - 0.05 ** (1.0 / lots))
