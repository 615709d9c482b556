"""Which share of the helps and hurts may be the other way round."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from attrs import frozen

from lca_core.uncertainty import TWO_SIDED

if TYPE_CHECKING:
    from lca_core.layout import By
    from lca_core.run import Run


@frozen
class DoubtfulSigns:
    """The share of helps and hurts that a finer rule turned round; each array is (groups,).

    Args:
        labels: names of the groups.
        share: of all helps and hurts of the run; NaN where nothing is known.
        half: its ±, 95 %; 0 where every step was looked at.
        looked_at: steps on which a finer rule was compared.
    """

    labels: tuple[str, ...]
    share: np.ndarray
    half: np.ndarray
    looked_at: int


def doubtful_signs(run: Run, measure: str, by: By = "layer") -> DoubtfulSigns:
    r"""Estimate how many single parameters' signs may be wrong, from the audited steps.

    .. math:: \hat p = \frac{\sum_{t \in K} f_t + |U|\,\bar f_{\text{audited}}}{\sum_t (h_t + v_t)}

    with f parameters turned round by the finer rule, h helping and v hurting, K the steps that
    were refined and U those that were closed at first sight. Of the refined steps the finer
    sign is the one on record: f stands for what an even finer rule might still turn.

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

    Source: Cochran, Sampling Techniques, 3rd edition, section 2.9, for the ±.
    """
    turned, finite = run.reversed_signs(measure, by).values, run.finite(measure)
    counts = run.helping(measure, by)
    known = np.isfinite(turned).all(axis=1) & finite
    unknown = int((finite & ~known).sum())
    sum_of_turned, half = turned[known].sum(axis=0), np.zeros(turned.shape[1])
    if unknown:
        sample = turned[known & run.audited(measure)]
        mean, spread = _mean_and_error(sample)
        sum_of_turned = sum_of_turned + unknown * mean
        half = TWO_SIDED * unknown * spread
    signs = (counts.helped + counts.hurt).sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return DoubtfulSigns(counts.labels, sum_of_turned / signs, half / signs, int(known.sum()))


def _mean_and_error(sample: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a mean over steps and its standard error; NaN for fewer than two of them."""
    if len(sample) < 2:
        nothing = np.full(sample.shape[1:], np.nan)
        return nothing, nothing
    return sample.mean(axis=0), sample.std(axis=0, ddof=1) / np.sqrt(len(sample))
