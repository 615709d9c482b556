"""Which share of the helps and hurts may be the other way round."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from attrs import frozen

from lca_core.students_t import interval

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

    .. math:: \hat p = \frac{\sum_{t \in K} f_t + |U|\,\bar f_{\text{audited}}}{\sum_t (h_t + v_t)}

    with f parameters turned round by the finer rule, h helping and v hurting, K the audited steps
    and U the others: those that were closed at first sight, and those that were refined by need,
    each judged by the audited ones of their kind. With fewer than two of these, refined steps
    count with what their own refinement turned, which is more than an even finer rule would.
    Of audited and refined steps the finer sign is the one on record.

    The ± is Student's, since the audited steps are few. n steps without a turn have no spread to
    tell of: turns are then on at most 1 - 0.05^{1/n} of the others, some 3/n, each with all of its
    signs.

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

    Source: Cochran, Sampling Techniques, 3rd edition, section 2.9, for the ±; Hanley and
    Lippman-Hand, If nothing goes wrong, is everything all right?, JAMA 249 (1983), for the bound.
    """
    turned, finite = run.reversed_signs(measure, by).values, run.finite(measure)
    counts = run.helping(measure, by)
    known = np.isfinite(turned).all(axis=1) & finite
    drawn, refined = known & run.audited(measure), run.refined(measure)
    signs = counts.helped + counts.hurt
    by_need, half_by_need = _judged(turned, signs, known & ~drawn, drawn & refined)
    unseen, half_unseen = _judged(turned, signs, finite & ~known, drawn & ~refined)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = (turned[drawn].sum(axis=0) + by_need + unseen) / signs.sum(axis=0)
        half = (half_by_need + half_unseen) / signs.sum(axis=0)
    return DoubtfulSigns(counts.labels, share, np.minimum(half, 1.0), int(known.sum()))


def _judged(
    turned: np.ndarray, signs: np.ndarray, steps: np.ndarray, sample: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return how many signs turn on some steps by a sample of their like, or by their own count."""
    own = turned[steps]
    if sample.sum() < 2 and np.isfinite(own).all():
        return own.sum(axis=0), np.zeros(turned.shape[1])
    return _unseen(turned[sample], signs[steps])


def _unseen(sample: np.ndarray, signs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return how many signs turn on the steps without a comparison, and the ± of that.

    Args:
        sample: signs turned on the audited steps, shape (n, groups).
        signs: of the other steps, shape (steps, groups).

    Returns:
        Shape (groups,) each; NaN for fewer than two audited steps.
    """
    if len(sample) < 2:
        nothing = np.full(sample.shape[1:], np.nan)
        return nothing, nothing
    spread, bound = len(signs) * interval(sample), _at_most(len(sample)) * signs.sum(axis=0)
    return len(signs) * sample.mean(axis=0), np.where(sample.any(axis=0), spread, bound)


def _at_most(n: int) -> float:
    """Return the share that is missed in all of n draws with a probability of 5 %."""
    return float(1.0 - 0.05 ** (1.0 / n))
