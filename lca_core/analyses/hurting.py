"""Which layers hurt: in one run beyond its error, and over several runs beyond chance."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from attrs import frozen

from lca_core.analyses.means import mean_of
from lca_core.analyses.several import holm
from lca_core.errors import AnalysisError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lca_core.layout import By
    from lca_core.run import Run


@frozen
class Verdicts:
    """What every group did to the loss in one run.

    Args:
        labels: names of the groups.
        total: allocation summed over the run, shape (groups,), loss units.
        error: its ±, from `Run.error`; NaN where nothing is known.
    """

    labels: tuple[str, ...]
    total: np.ndarray
    error: np.ndarray

    @property
    def helps(self) -> np.ndarray:
        """Below zero by more than the error, shape (groups,), bool."""
        return np.asarray(self.total < -self.error)

    @property
    def hurts(self) -> np.ndarray:
        """Above zero by more than the error; where neither holds, the run does not say."""
        return np.asarray(self.total > self.error)


@frozen
class OverRuns:
    """What every group did to the loss over several runs.

    Args:
        labels: names of the groups.
        totals: of every run, shape (runs, groups), loss units; NaN for one that lost every step.
        mean: over the other runs, shape (groups,).
        interval: ± of the mean, 95 %, Student's t, shape (groups,).
        t_test: p of "the mean is 0", two-sided, shape (groups,).
        sign_test: p of "as likely positive as negative", two-sided, shape (groups,).
    """

    labels: tuple[str, ...]
    totals: np.ndarray
    mean: np.ndarray
    interval: np.ndarray
    t_test: np.ndarray
    sign_test: np.ndarray

    @property
    def corrected(self) -> np.ndarray:
        """The t-test's p, corrected for looking at several groups (Holm), shape (groups,)."""
        return holm(self.t_test)


def summed(run: Run, measure: str, by: By) -> np.ndarray:
    """Return every group's allocation over all finite steps, shape (groups,), loss units.

    Of a run of which nobody saw a step, as all were lost, nothing is known: NaN.
    """
    values = run.allocation(measure, by).values
    if run.steps and not run.seen(measure).any():
        return np.full(values.shape[1], np.nan)
    return np.asarray(values[run.finite(measure)].sum(axis=0))


def of_known(totals: np.ndarray) -> np.ndarray:
    """Return the totals, shape (runs, groups), of the runs that did not lose every step.

    Where all of them did, all are returned: nothing is known of their mean either.
    """
    known = ~np.isnan(totals).any(axis=1)
    return np.asarray(totals[known] if known.any() else totals)


def verdicts(run: Run, measure: str, by: By = "layer") -> Verdicts:
    """Return what every group did to the loss in one run, and how sure the integral is of it.

    Args:
        run: a finished run.
        measure: its name.
        by: "leaf", "layer", or a function of a `Leaf` that names its group.

    Example:
        >>> from lca_core.analyses import verdicts
        >>> from lca_core.reference import demo_run
        >>> found = verdicts(demo_run(), "train")
        >>> found.labels, found.total.round(2).tolist(), found.hurts.tolist()
        (('fc1', 'fc2'), [-0.58, -0.51], [False, False])
    """
    labels = run.layout.labels(by)
    return Verdicts(labels, summed(run, measure, by), run.error(measure, by).values)


def over_runs(runs: Sequence[Run], measure: str, by: By = "layer") -> OverRuns:
    r"""Test over several runs (seeds) whether a group helps or hurts.

    .. math:: t = \frac{\bar A}{s / \sqrt{n}}

    The t-test asks of the mean; the sign test asks only how often the total was positive, and
    needs no normal distribution: with n runs it cannot get below 2 / 2^n.

    Args:
        runs: of the same network; differing in seed, say.
        measure: its name.
        by: "leaf", "layer", "unit", or a function of a `Leaf` that names its group.

    Raises:
        AnalysisError: fewer than two runs, or their groups differ in names or parameters.

    Example:
        >>> from lca_core.analyses import over_runs
        >>> from lca_core.reference import demo_run
        >>> over_runs([demo_run(), demo_run()], "train").sign_test.tolist()
        [0.5, 0.5]

    Source: LCA paper (arXiv:1909.01440), "Some layers hurt overall": ten runs, p < 1e-4.
    """
    labels = common_labels(runs, by)
    totals = np.array([summed(run, measure, by) for run in runs])
    known = of_known(totals)
    means = [mean_of(column) for column in known.T]
    return OverRuns(
        labels=labels,
        totals=totals,
        mean=np.array([one.value for one in means]),
        interval=np.array([one.half for one in means]),
        t_test=np.array([one.p for one in means]),
        sign_test=np.array([sign_test(column) for column in known.T]),
    )


def sign_test(values: np.ndarray) -> float:
    """Return p of "positive as often as negative", two-sided; zeros are left out.

    Args:
        values: shape (n,).

    Example:
        >>> import numpy as np
        >>> from lca_core.analyses import sign_test
        >>> sign_test(np.array([1.0, 2.0, 0.5, 3.0, 0.1]))
        0.0625

    Source: Conover, Practical Nonparametric Statistics, 3rd edition, 3.4.
    """
    positive, negative = int((values > 0).sum()), int((values < 0).sum())
    n, fewer = positive + negative, min(positive, negative)
    tail = sum(math.comb(n, k) for k in range(fewer + 1)) / 2**n
    return float(min(1.0, 2 * tail))


def common_labels(runs: Sequence[Run], by: By) -> tuple[str, ...]:
    """Return the names of the groups, the same and as large in at least two runs.

    Raises:
        AnalysisError: fewer than two runs, or they are of different networks.
    """
    check_several(runs)
    first, *rest = (run.layout for run in runs)
    labels, sizes = first.labels(by), first.group_sizes(by)
    for i, other in enumerate(rest, start=1):
        theirs = other.labels(by)
        if theirs != labels:
            odd = sorted(set(labels) ^ set(theirs)) or "the order"
            raise _different(i, f"{odd} differs")
        for label, size, their_size in zip(labels, sizes, other.group_sizes(by), strict=True):
            if size != their_size:
                raise _different(i, f"'{label}' has {size:,} and {their_size:,} parameters")
    return labels


def check_several(runs: Sequence[Run]) -> None:
    """Raise an `AnalysisError` unless there are at least two runs."""
    if len(runs) < 2:
        msg = f"A test over runs needs at least two of them, got {len(runs)}."
        raise AnalysisError(msg)


def _different(place: int, how: str) -> AnalysisError:
    return AnalysisError(
        f"Runs 0 and {place} are of different networks: {how}. Pool runs of one network; "
        "analyses.compare sets what several networks share side by side."
    )
