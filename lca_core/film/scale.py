"""How large is strong: the scale of the colours, from one look at the whole run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lca_core.errors import NotRecordedError
from lca_core.film.matrix import as_matrix
from lca_core.observers.distribution import BINS, ascending, edges
from lca_core.results import Histogram

if TYPE_CHECKING:
    from collections.abc import Callable

    from lca_core.film.record import Record

SHARE = 0.99


def colour_scale(record: Record, pool: int, told: Callable[[int, int], None]) -> float:
    """Return the 99th percentile of |allocation| over all finite steps, without zeros.

    Of the sums of pool x pool parameters where that is what is drawn. Known up to the bins of
    `Distribution`, a quarter of an octave, interpolated in them. What that observer has counted
    is not counted again.

    Args:
        record: what was recorded of every parameter.
        pool: parameters to a side of an element.
        told: called with steps counted and steps to count.

    Returns:
        Loss units; 0 where nothing was ever allocated.
    """
    if pool == 1:
        try:
            every = record.run.distribution(record.measure, by="leaf")
        except NotRecordedError:
            pass
        else:
            shown = [every.labels.index(leaf.name) for leaf in record.leaves]
            return percentile(Histogram((record.measure,), every.edges, every.counts[shown]))
    return percentile(counted(record, pool, told))


def counted(record: Record, pool: int, told: Callable[[int, int], None]) -> Histogram:
    """Count everything that is drawn of all steps that are finite."""
    counts = np.zeros(BINS, np.int64)
    steps, done = range(record.run.steps), 0
    for some in record.portions(steps):
        finite = record.finite[some.start : some.stop]
        for number, leaf in enumerate(record.leaves):
            values = record.read(number, some)
            for step in np.flatnonzero(finite):  # one at a time: a portion may be large
                drawn = as_matrix(values[step], leaf, pool)
                bits = np.ascontiguousarray(drawn, np.float32).view(np.uint32) >> 21
                counts += np.bincount(bits.ravel(), minlength=BINS)
        done += len(some)
        told(done, len(steps))
    return Histogram((record.measure,), edges(), ascending(counts)[None])


def percentile(found: Histogram, share: float = SHARE) -> float:
    """Return the size that this share of all values other than zero does not exceed.

    Args:
        found: counts of one or more groups.
        share: of the values.

    Returns:
        Interpolated in its bin; 0 where there are only zeros.
    """
    sizes, ends = found.sizes.sum(axis=0), found.edges[found.zero + 1 :]
    bins = np.flatnonzero(sizes)
    if not bins.size:
        return 0.0
    up_to = np.cumsum(sizes[bins])
    wanted = share * up_to[-1]
    k = int(np.searchsorted(up_to, wanted))
    place, missing = bins[k], up_to[k] - wanted
    width = ends[place + 1] - ends[place]
    return float(ends[place + 1] - width * missing / sizes[place])
