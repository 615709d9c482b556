"""What a histogram of all allocations tells: mean, quantiles, tails, inequality."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from attrs import frozen

from lca_core.analyses.concentration import check_share
from lca_core.analyses.hurting import summed

if TYPE_CHECKING:
    from lca_core.layout import By
    from lca_core.results import Histogram
    from lca_core.run import Run


@frozen
class Spread:
    """The distribution of the allocations of all steps and parameters, group by group.

    Whatever comes from single values is known up to its bin, whose ends are 14 to 25 % apart:
    quantiles to that, ratios of sums (Gini) far better.

    Args:
        histogram: the counts.
        total: the sum of all allocations, shape (groups,), loss units; not from the histogram.
    """

    histogram: Histogram
    total: np.ndarray

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the groups."""
        return self.histogram.labels

    @property
    def count(self) -> np.ndarray:
        """Steps looked at times parameters, shape (groups,), int64."""
        return np.asarray(self.histogram.counts.sum(axis=1))

    @property
    def mean(self) -> np.ndarray:
        """Mean allocation of a parameter at a step, shape (groups,), loss units.

        Of `Redrawn(..., every=k)`, at a look, which stands for k steps.
        """
        return np.asarray(self.total / np.maximum(self.count, 1))

    @property
    def shares(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Shares of all values that helped, did nothing and hurt, each of shape (groups,)."""
        middle, count = self.histogram.zero, np.maximum(self.count, 1)
        counts = self.histogram.counts
        helped, hurt = counts[:, :middle].sum(1), counts[:, middle + 1 :].sum(1)
        return helped / count, counts[:, middle] / count, hurt / count

    @property
    def gini(self) -> tuple[np.ndarray, np.ndarray]:
        """Gini coefficients of all single helps and of all single hurts, shape (groups,)."""
        edges, counts, middle = self.histogram.edges, self.histogram.counts, self.histogram.zero
        values = (edges[:-1] + edges[1:]) / 2
        helps = [_gini(-values[:middle][::-1], row[:middle][::-1]) for row in counts]
        hurts = [_gini(values[middle + 1 :], row[middle + 1 :]) for row in counts]
        return np.array(helps), np.array(hurts)

    def quantile(self, q: float) -> np.ndarray:
        """Return the value that a share q of all values lies below, shape (groups,), loss units.

        Interpolated inside of the bin.

        Raises:
            AnalysisError: q is not between 0 and 1.
        """
        check_share("A share", q)
        return np.array([_quantile(self.histogram.edges, row, q) for row in self.histogram.counts])

    def tail_index(self, share: float = 0.01) -> np.ndarray:
        r"""Return how fast the largest |A| thin out, shape (groups,): the smaller, the heavier.

        .. math:: P(|A| > x) \propto x^{-\alpha}, \qquad
            \frac1\alpha = \frac1k \sum_{j \le k} \ln \frac{|A|_{(j)}}{|A|_{(k)}}

        A normal distribution has no such α and gives about 9 for the largest 1 %; 3 or less
        is a heavy tail, at 2 or less there is no variance.

        Args:
            share: of all values that are not zero; the tail.

        Raises:
            AnalysisError: the share is not between 0 and 1.

        Source: Hill (1975), doi:10.1214/aos/1176343247.
        """
        check_share("A share", share)
        edges = self.histogram.edges[self.histogram.zero + 1 :]
        return np.array([_hill(edges, row, share) for row in self.histogram.sizes])


def distribution(run: Run, measure: str, by: By = "layer") -> Spread:
    """Return how the allocations of all finite steps and parameters are distributed.

    Args:
        run: a finished run.
        measure: its name.
        by: "leaf", "layer", or a function of a `Leaf` that names its group.

    Raises:
        NotRecordedError: the observer `Distribution()` was not asked for.

    Example:
        >>> from lca_core import Distribution
        >>> from lca_core.analyses import distribution
        >>> from lca_core.reference import demo_run
        >>> found = distribution(demo_run(observers=[Distribution()]), "train")
        >>> helped, nothing, hurt = found.shares
        >>> bool((helped > 0.5).all()), bool((found.quantile(0.5) < 0).all())
        (True, True)

    Source: LCA paper (arXiv:1909.01440), "Learning is very noisy".
    """
    return Spread(run.distribution(measure, by), summed(run, measure, by))


def _quantile(edges: np.ndarray, counts: np.ndarray, q: float) -> float:
    bins = np.flatnonzero(counts)
    if not bins.size:
        return float("nan")
    up_to = np.cumsum(counts[bins])
    k = min(int(np.searchsorted(up_to, q * up_to[-1])), len(bins) - 1)
    place, missing = bins[k], up_to[k] - q * up_to[-1]
    if place == len(counts) // 2:
        return 0.0
    width = edges[place + 1] - edges[place]
    return float(edges[place + 1] - width * missing / counts[place])


def _gini(values: np.ndarray, counts: np.ndarray) -> float:
    """Return the Gini coefficient of positive values, ascending, each so many times."""
    n, sums = counts.sum(), counts * values
    if not n:
        return float("nan")
    # Twice the area between the line of equality and the Lorenz curve, a trapezoid a bin.
    people = counts / n
    wealth = np.cumsum(sums) / sums.sum()
    before = np.concatenate([[0.0], wealth[:-1]])
    return float(1 - (people * (wealth + before)).sum())


def _hill(edges: np.ndarray, counts: np.ndarray, share: float) -> float:
    """Return Hill's estimate from counts of sizes between ascending edges, to whole bins."""
    above = np.cumsum(counts[::-1])[::-1]
    starts = (above <= share * counts.sum()) & (counts > 0)
    if not starts.any():
        return float("nan")
    start = int(np.argmax(starts))  # the lowest bin with sizes, and at most that share above it
    tail = counts[start:]
    middles = np.sqrt(edges[start:-1] * edges[start + 1 :])
    logs = tail * np.log(np.where(tail, middles / edges[start], 1.0))
    return float(tail.sum() / logs.sum())
