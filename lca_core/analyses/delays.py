"""Does a layer hurt because it comes late? Runs that differ in one layer's delay."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from attrs import frozen

from lca_core.analyses.hurting import common_labels, of_known, summed
from lca_core.errors import AnalysisError
from lca_core.students_t import interval, quantile, two_sided_p

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lca_core.layout import By
    from lca_core.run import Run


@frozen
class Slope:
    """A straight line through points, by least squares.

    Args:
        slope, intercept: of the line.
        half: ± of the slope, 95 %, Student's t; NaN with two points.
        p: of "the slope is 0", two-sided; NaN with two points.
    """

    slope: float
    intercept: float
    half: float
    p: float


@frozen
class DelaySweep:
    """What every group did to the loss, arm after arm of increasing delay.

    Args:
        labels: names of the groups.
        delays: of the arms, steps, ascending, shape (arms,).
        totals: one array an arm, shape (runs, groups), loss units; without runs that lost every
            step.
    """

    labels: tuple[str, ...]
    delays: np.ndarray
    totals: tuple[np.ndarray, ...]

    @property
    def mean(self) -> np.ndarray:
        """Mean over each arm's runs, shape (arms, groups), loss units."""
        return np.array([one.mean(axis=0) for one in self.totals])

    @property
    def interval(self) -> np.ndarray:
        """± of the means, 95 %, Student's t, shape (arms, groups); NaN for a single run."""
        return np.array([interval(one) for one in self.totals])

    def points(self, label: str) -> tuple[np.ndarray, np.ndarray]:
        """Return delay and total of one group for every run.

        Raises:
            AnalysisError: there is no such group.
        """
        if label not in self.labels:
            msg = f"There is no group '{label}'; there are {list(self.labels)}."
            raise AnalysisError(msg)
        i = self.labels.index(label)
        runs = [len(one) for one in self.totals]
        return np.repeat(self.delays, runs), np.concatenate([one[:, i] for one in self.totals])

    def slope(self, label: str) -> Slope:
        """Return how much one group's total changes with a step of delay, from single runs."""
        return slope(*self.points(label))


def delay(momentum: float) -> float:
    r"""Return by how many steps momentum delays a gradient, on average.

    .. math:: \sum_k k\,(1-m)\,m^k = \frac{m}{1 - m}

    Args:
        momentum: m, from 0 to below 1.

    Raises:
        AnalysisError: it is not.

    Example:
        >>> from lca_core.analyses import delay
        >>> round(delay(0.9), 9)
        9.0

    Source: LCA paper (arXiv:1909.01440): a momentum of 0.9 is a delay of 9 steps.
    """
    if not 0 <= momentum < 1:
        msg = f"Momentum must be at least 0 and below 1, got {momentum}."
        raise AnalysisError(msg)
    return momentum / (1 - momentum)


def delay_sweep(arms: Mapping[float, Sequence[Run]], measure: str, by: By = "layer") -> DelaySweep:
    """Return what every group did in runs that differ in the delay of one layer.

    Args:
        arms: delay in steps -> runs of the same network.
        measure: its name.
        by: "leaf", "layer", or a function of a `Leaf` that names its group.

    Raises:
        AnalysisError: fewer than two arms, an arm without runs, or groups that differ.

    Example:
        >>> from lca_core.analyses import delay_sweep
        >>> from lca_core.reference import demo_run
        >>> sweep = delay_sweep({0: [demo_run()], 9: [demo_run(seed=1)]}, "train")
        >>> sweep.labels, sweep.mean.shape
        (('fc1', 'fc2'), (2, 2))

    Source: LCA paper (arXiv:1909.01440), the last layer's momentum against delay.
    """
    if len(arms) < 2 or not all(arms.values()):
        runs = {one: len(some) for one, some in arms.items()}
        msg = f"A sweep needs at least two delays with runs, got {runs} (delay: runs)."
        raise AnalysisError(msg)
    ordered = sorted(arms.items())
    labels = common_labels([run for _, runs in ordered for run in runs], by)
    totals = tuple(
        of_known(np.array([summed(run, measure, by) for run in runs])) for _, runs in ordered
    )
    return DelaySweep(labels, np.array([one for one, _ in ordered], np.float64), totals)


def slope(x: np.ndarray, y: np.ndarray) -> Slope:
    r"""Return the least-squares line, and how sure its slope is.

    .. math:: b = \frac{\sum (x - \bar x)(y - \bar y)}{\sum (x - \bar x)^2}, \qquad
        s_b = \sqrt{\frac{\sum (y - a - b x)^2}{(n - 2) \sum (x - \bar x)^2}}

    Args:
        x: shape (n,), n from 2 up, at least two of them different.
        y: shape (n,).

    Raises:
        AnalysisError: all x are the same.

    Example:
        >>> import numpy as np
        >>> from lca_core.analyses.delays import slope
        >>> slope(np.array([0.0, 1.0, 2.0]), np.array([1.0, 3.0, 5.0])).slope
        2.0
    """
    wide = float(((x - x.mean()) ** 2).sum())
    if not wide:
        msg = f"A line needs at least two different x, got {x.tolist()}."
        raise AnalysisError(msg)
    b = float(((x - x.mean()) * (y - y.mean())).sum()) / wide
    a = float(y.mean() - b * x.mean())
    degrees = len(x) - 2
    if degrees < 1:
        return Slope(b, a, math.nan, math.nan)
    error = math.sqrt(float(((y - a - b * x) ** 2).sum()) / (degrees * wide))
    t = b / error if error else (math.copysign(math.inf, b) if b else math.nan)
    return Slope(b, a, quantile(0.95, degrees) * error, two_sided_p(t, degrees))
