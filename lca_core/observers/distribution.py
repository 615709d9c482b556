"""How the allocations of all steps and parameters are distributed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lca_core.leafwise import add_exactly, difference, each_pair, histograms, zeros

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lca_core.layout import Layout
    from lca_core.typing import Array, ArrayOps, Declared, ObserverState, Params, StepView

BINS = 2048
_FINITE, _NEGATIVE = 1020, 1024


def edges() -> np.ndarray:
    """Return the ends of the bins, ascending, shape (2040,), float64: four bins an octave.

    The bin in the middle holds the zeros, and what is as good as zero (below 3e-39).
    """
    magnitudes = (np.arange(1, _FINITE, dtype=np.uint32) << 21).view(np.float32).astype(np.float64)
    magnitudes = np.append(magnitudes, 2.0**128)
    return np.concatenate([-magnitudes[::-1], magnitudes])


def ascending(counts: np.ndarray) -> np.ndarray:
    """Return counts between `edges()`, from those by leading bits.

    What float32 takes for infinite is in the bins at the ends.

    Args:
        counts: shape (..., 2048).

    Returns:
        Shape (..., 2039).
    """
    halves = (counts[..., start + 1 : start + _FINITE].copy() for start in (0, _NEGATIVE))
    positive, negative = halves
    positive[..., -1] += counts[..., _FINITE]
    negative[..., -1] += counts[..., _NEGATIVE + _FINITE]
    zero = counts[..., :1] + counts[..., _NEGATIVE : _NEGATIVE + 1]
    return np.concatenate([negative[..., ::-1], zero, positive], axis=-1)


class Distribution:
    r"""A histogram of A_{t,i} over all steps and parameters, for every leaf.

    .. math:: n_k = \#\{(t, i) : b_k \le A_{t,i} < b_{k+1}\}

    On a logarithmic grid of both signs with four bins an octave, over the whole range of float32:
    nothing falls outside, what is beyond counts at its ends. Read it with `Run.distribution`.
    Counts are kept as an unevaluated sum of two arrays of the parameters' own type: exact up to
    2**24 parameters a leaf in float32.

    Source: LCA paper (arXiv:1909.01440), "Learning is very noisy" and its figure of the
    distribution.
    """

    def declare(self, layout: Layout) -> tuple[Declared, ...]:
        """Add nothing per step."""
        return ()

    def init(self, ops: ArrayOps, params: Params) -> ObserverState:
        """Return no counts."""
        counts = histograms(ops, zeros(ops, params))
        none = difference(counts, counts)
        return {"histogram": none, "histogram_rounding": none}

    def update(
        self, ops: ArrayOps, layout: Layout, view: StepView, state: ObserverState
    ) -> tuple[Mapping[str, Array], ObserverState]:
        """Count the step's allocations."""
        step = histograms(ops, view.allocation)
        counts, rounding = each_pair(
            add_exactly, state["histogram"], state["histogram_rounding"], step
        )
        return {}, {"histogram": counts, "histogram_rounding": rounding}
