"""Do parameters move against their gradient? Of whole layers, and of single parameters."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from attrs import frozen

from lca_core.errors import AnalysisError
from lca_core.results import Grouped
from lca_core.students_t import two_sided_p

if TYPE_CHECKING:
    from lca_core.layout import By
    from lca_core.run import Run


@frozen
class Correlation:
    """How a watched parameter's motion goes with its gradient; arrays of shape (parameters,).

    Args:
        labels: "fc1.weight[3, 17]".
        value: Pearson's correlation over the steps; NaN where one of both never changed.
        p_value: of as large a correlation by chance, if steps were independent.
        steps: that were compared; lost ones are not.
    """

    labels: tuple[str, ...]
    value: np.ndarray
    p_value: np.ndarray
    steps: int


def alignment(run: Run, measure: str, by: By = "layer") -> Grouped:
    r"""Return the cosine between the motion and the mean gradient of every group at every step.

    .. math:: \cos_t = \frac{\sum_i A_{t,i}}{\|\Delta_t\|\, \|\bar g_t\|}

    -1 is steepest descent on the whole measure; near 0, most of the motion is across.

    Args:
        run: with the observer `Sizes()`.
        measure: its name.
        by: "leaf", "layer", a function of a `Leaf` that names its group, or a regular expression.

    Returns:
        Labels and cosines of shape (T, groups); NaN where nothing moved.

    Raises:
        NotRecordedError: the observer `Sizes()` was not asked for.

    Example:
        >>> from lca_core import Sizes
        >>> from lca_core.analyses import alignment
        >>> from lca_core.reference import demo_run
        >>> labels, cosines = alignment(demo_run(observers=[Sizes()]), "train")
        >>> bool((cosines < -0.9).all())  # plain gradient descent
        True
    """
    labels, allocated = run.allocation(measure, by)
    probe = run.probe(measure)
    if probe is not None and probe.redrawn:
        allocated = allocated / probe.every  # a look stands for so many steps, its lengths for one
    lengths = run.size(measure, "motion", by).values * run.size(measure, "gradient", by).values
    cosines = np.full(allocated.shape, np.nan)
    np.divide(allocated, lengths, out=cosines, where=lengths > 0)
    return Grouped(labels, cosines)


def correlation(run: Run, measure: str) -> Correlation:
    """Return how the motion of every watched parameter goes with its gradient, over the steps.

    The motion of a step and the gradient at the step's end: after a step against the gradient
    over a minimum both turn together. Steps whose loss, gradient or motion is not finite are left
    out, for all watched parameters.

    Args:
        run: with the observer `Watch(...)`.
        measure: its name.

    Raises:
        NotRecordedError: the observer `Watch(...)` was not asked for.
        AnalysisError: fewer than three steps to compare, which are four without a lost one.

    Example:
        >>> from lca_core import Watch
        >>> from lca_core.analyses import correlation
        >>> from lca_core.reference import demo_run
        >>> run = demo_run(observers=[Watch([("fc1.weight", (0, 1))])])
        >>> bool(correlation(run, "train").value[0] < -0.9)  # plain gradient descent
        True

    Source: the article's blog: motion and gradient "tend to fluctuate together".
    """
    motion, gradient = _compared(run, measure)
    steps = len(motion)
    if steps < 3:
        msg = (
            f"A correlation needs at least 4 steps, the run has {run.steps}, and {steps} can be "
            "compared: a step and the one before it must be looked at, and finite."
        )
        raise AnalysisError(msg)
    x, y = motion - motion.mean(axis=0), gradient - gradient.mean(axis=0)
    spread = np.sqrt((x**2).sum(axis=0) * (y**2).sum(axis=0))
    value = np.full(spread.shape, np.nan)
    np.divide((x * y).sum(axis=0), spread, out=value, where=spread > 0)
    p = [_p_value(float(one), steps) for one in value]
    return Correlation(run.watched(measure).labels, value, np.array(p), steps)


def _compared(run: Run, measure: str) -> tuple[np.ndarray, np.ndarray]:
    """Return motion and gradient of the watched parameters on the finite steps after the first."""
    watched = run.watched(measure)
    with np.errstate(invalid="ignore", over="ignore"):
        motion, gradient = np.diff(watched.weight, axis=0), watched.gradient[1:]
    known = np.isfinite(motion) & np.isfinite(gradient)
    used = run.finite(measure)[1:] & known.all(axis=1)
    return motion[used], gradient[used]


def _p_value(r: float, n: int) -> float:
    """Return the two-sided p-value of a correlation; Student's t with n - 2 degrees."""
    if math.isnan(r):
        return math.nan
    rest = 1 - r * r
    t = math.inf if rest <= 0 else r * math.sqrt((n - 2) / rest)
    return two_sided_p(t, n - 2)
