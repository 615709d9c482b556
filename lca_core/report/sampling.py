"""Fewer points than steps, honestly: what is dropped lies between two points that are kept."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from attrs import frozen


@frozen
class Buckets:
    """Consecutive steps, equally many to a bucket; the last may hold fewer.

    Args:
        steps: how many there are.
        most: buckets there may be.

    Example:
        >>> from lca_core.report.sampling import Buckets
        >>> buckets = Buckets(steps=10, most=4)
        >>> buckets.size, buckets.starts.tolist()
        (3, [0, 3, 6, 9])
    """

    steps: int
    most: int

    @cached_property
    def size(self) -> int:
        """Steps that a point stands for."""
        return max(-(-self.steps // max(self.most, 1)), 1)

    @cached_property
    def starts(self) -> np.ndarray:
        """First step of every bucket, shape (buckets,)."""
        return np.arange(0, self.steps, self.size)

    def largest(self, values: np.ndarray) -> np.ndarray:
        """Return the value of the largest magnitude in every bucket, with its sign.

        Args:
            values: shape (steps, groups); NaN is no value.

        Returns:
            Shape (buckets, groups); NaN where a bucket holds none.
        """
        places = self._folded(np.abs(values), -np.inf).argmax(axis=1)
        return np.asarray(np.take_along_axis(values, self._steps_of(places), axis=0))

    def mean(self, values: np.ndarray, where: np.ndarray) -> np.ndarray:
        """Return the mean of every bucket over the steps that count.

        Args:
            values: shape (steps, groups).
            where: steps that count, shape (steps,), bool.

        Returns:
            Shape (buckets, groups); NaN where none counts.
        """
        if not self.steps:
            return np.zeros((0, values.shape[1]))
        counted = np.add.reduceat(where.astype(float), self.starts)[:, None]
        sums = np.add.reduceat(np.where(where[:, None], values, 0.0), self.starts, axis=0)
        mean = np.full(sums.shape, np.nan)
        np.divide(sums, counted, out=mean, where=counted > 0)
        return mean

    def extremes(self, values: np.ndarray) -> list[np.ndarray]:
        """Return the steps to draw of every group: the ends, each bucket's lowest and highest.

        Args:
            values: shape (steps, groups); NaN is no value, infinities are drawn as none.

        Returns:
            For every group ascending steps; a bucket without any value keeps one step.
        """
        known = np.where(np.isfinite(values), values, np.nan)
        ends = np.unique([0, self.steps - 1]) if self.steps else np.zeros(0, int)
        low = self._steps_of(self._folded(known, np.inf).argmin(axis=1))
        high = self._steps_of(self._folded(known, -np.inf).argmax(axis=1))
        return [np.unique(np.concatenate([ends, a, b])) for a, b in zip(low.T, high.T, strict=True)]

    def _folded(self, values: np.ndarray, stand_in: float) -> np.ndarray:
        """Return (buckets, size, groups); what is missing or NaN can never be chosen."""
        missing = len(self.starts) * self.size - self.steps
        full = np.pad(np.asarray(values, float), ((0, missing), (0, 0)), constant_values=np.nan)
        full = np.where(np.isnan(full), stand_in, full)
        return full.reshape(len(self.starts), self.size, values.shape[1])

    def _steps_of(self, places: np.ndarray) -> np.ndarray:
        return np.asarray(self.starts[:, None] + places)
