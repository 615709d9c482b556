"""A mean over runs, its interval, and whether it is nothing."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from attrs import asdict, frozen

from lca_core.errors import AnalysisError
from lca_core.students_t import interval, two_sided_p

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@frozen
class Mean:
    """A mean of independent values.

    Args:
        value: the mean.
        half: its ±, 95 %, Student's t; NaN for a single value.
        p: of "it is 0", two-sided t-test; NaN for a single value and where all are 0.
        n: how many values.
    """

    value: float
    half: float
    p: float
    n: int

    def as_json(self) -> dict[str, float | int | None]:
        """Return the parts as JSON values, None for NaN."""
        return {name: None if math.isnan(part) else part for name, part in asdict(self).items()}


def mean_of(values: Sequence[float] | np.ndarray) -> Mean:
    r"""Return a mean, its interval and the test of its being 0.

    .. math:: t = \frac{\bar x}{s / \sqrt{n}}

    Args:
        values: shape (n,), n from 1 up; one a run.

    Raises:
        AnalysisError: there is none.

    Example:
        >>> from lca_core.analyses import mean_of
        >>> found = mean_of([1.0, 2.0, 3.0])
        >>> round(found.value, 3), round(found.half, 3), round(found.p, 3)
        (2.0, 2.484, 0.074)

    Source: Student, The probable error of a mean, Biometrika 6 (1908), 1-25.
    """
    x = np.asarray(values, np.float64)
    if not x.size:
        msg = "A mean needs at least one value, got none."
        raise AnalysisError(msg)
    if len(x) == 1:
        return Mean(float(x[0]), math.nan, math.nan, 1)
    mean, error = float(x.mean()), float(x.std(ddof=1)) / math.sqrt(len(x))
    t = mean / error if error else (math.copysign(math.inf, mean) if mean else math.nan)
    return Mean(mean, float(interval(x)), two_sided_p(t, len(x) - 1), len(x))


def paired(first: Mapping[int, float], second: Mapping[int, float]) -> Mean:
    """Return the mean of second - first over the seeds that both have.

    Args:
        first: seed -> value.
        second: the same of what is compared with it.

    Raises:
        AnalysisError: they share no seed.

    Example:
        >>> from lca_core.analyses import paired
        >>> paired({0: 1.0, 1: 2.0}, {0: 1.5, 1: 2.5, 2: 9.0})
        Mean(value=0.5, half=0.0, p=0.0, n=2)
    """
    shared = sorted(first.keys() & second.keys())
    if not shared:
        msg = f"No seed is in both: {sorted(first)} and {sorted(second)}."
        raise AnalysisError(msg)
    return mean_of([second[seed] - first[seed] for seed in shared])
