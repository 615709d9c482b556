"""How large is strong: the scale of the colours, from one look at the whole run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lca_core.film.matrix import as_matrix

if TYPE_CHECKING:
    from collections.abc import Callable

    from lca_core.film.record import Record

SHARE = 0.99
_DROPPED = 16
"""Bits of a float32 that are not looked at: 128 bins an octave are left."""


def colour_scale(record: Record, pool: int, told: Callable[[int, int], None]) -> float:
    """Return the 99th percentile of |allocation| over all steps that are known, without zeros.

    Of the sums of pool x pool parameters where that is what is drawn. From a logarithmic
    histogram, to 0.8 %: nothing is kept of what is read.

    Args:
        record: what was recorded of every parameter.
        pool: parameters to a side of an element.
        told: called with steps counted and steps to count.

    Returns:
        Loss units; 0 where nothing was ever allocated.
    """
    counts = np.zeros(2 ** (31 - _DROPPED), np.int64)
    steps, done = range(record.run.steps), 0
    for some in record.portions(steps):
        for number, leaf in enumerate(record.leaves):
            values = record.read(number, some)
            for step in np.flatnonzero(record.seen[some.start : some.stop]):
                drawn = as_matrix(values[step], leaf, pool)
                counts += np.bincount(_bins(drawn), minlength=len(counts))
        done += len(some)
        told(done, len(steps))
    return _percentile(counts)


def _bins(values: np.ndarray) -> np.ndarray:
    """Return the place of every size on a logarithmic grid; zeros come first."""
    sizes = np.abs(values, dtype=np.float32).ravel()
    return np.asarray(sizes.view(np.uint32) >> _DROPPED)


def _percentile(counts: np.ndarray) -> float:
    """Return the size that a share of `SHARE` does not exceed, to the middle of its bin."""
    counts[0] = 0
    up_to = np.cumsum(counts)
    if not up_to[-1]:
        return 0.0
    place = int(np.searchsorted(up_to, SHARE * up_to[-1]))
    ends = (np.arange(place, place + 2, dtype=np.uint32) << _DROPPED).view(np.float32)
    return float(ends.astype(np.float64).mean())
