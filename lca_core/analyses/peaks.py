"""Moments of learning: the lowest local minima of a series of allocations."""

from __future__ import annotations

import numpy as np

PEAKS = 20
"""As many as the article takes."""


def minima(series: np.ndarray) -> np.ndarray:
    r"""Return where a series is lower than just before and just after.

    .. math:: A_t < A_{t-1} \quad\text{and}\quad A_t < A_{t+1}

    Ends, plateaus and what is not a number are no minima.

    Args:
        series: shape (..., T).

    Returns:
        Shape (..., T), bool.
    """
    found = np.zeros(series.shape, bool)
    middle = series[..., 1:-1]
    found[..., 1:-1] = (middle < series[..., :-2]) & (middle < series[..., 2:])
    return found


def peaks(series: np.ndarray, count: int = PEAKS) -> np.ndarray:
    """Return where the lowest local minima of a series are: its moments of learning.

    Args:
        series: allocations, shape (..., T), loss units. For peaks upwards (of the size of a
            motion or a gradient) pass its negative.
        count: how many to keep of every series; fewer where it has fewer minima.

    Returns:
        Shape (..., T), bool.

    Example:
        >>> import numpy as np
        >>> from lca_core.analyses import peaks
        >>> np.flatnonzero(peaks(np.array([0.0, -3.0, 0.0, -1.0, 0.0, -2.0, 0.0]), count=2))
        array([1, 5])

    Source: LCA paper (arXiv:1909.01440), "Learning is synchronized across layers".
    """
    found = minima(series)
    depth = np.where(found, series, np.inf)
    rank = np.argsort(np.argsort(depth, axis=-1, kind="stable"), axis=-1, kind="stable")
    kept: np.ndarray = found & (rank < count)
    return kept
