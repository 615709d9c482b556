"""How synchronous: do all layers learn at the same moments?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lca_core.analyses import PEAKS, synchrony
from lca_core.analyses.nulls import WINDOW
from lca_core.story.words import counted

if TYPE_CHECKING:
    from lca_core.run import Run

DRAWS, _FEWEST, _CELLS = 1000, 199, 10**9
"""Draws from the null; fewer for long runs of many layers, so that it takes a second or two."""

_SURE = 0.01


def synchrony_passage(run: Run, measure: str) -> str:
    """Count the steps at which all layers have a peak, and ask whether chance does as well."""
    series = _series(run, measure)
    if series.shape[-2] < 2 or series.shape[-1] < 3:
        return ""
    draws = int(np.clip(_CELLS // series.size, _FEWEST, DRAWS))
    found = synchrony(series, draws=draws)
    if not found.peaks.any(axis=(-1)).all():
        return ""  # a layer whose allocation has no local minimum cannot learn together with others
    verdict = "Layers learned" if found.p_value <= _SURE else "It is not clear that layers learned"
    layers = "both" if series.shape[-2] == 2 else f"all {series.shape[-2]:,}"
    parts = f", over {counted(len(series), 'part')} of {measure}" if series.ndim == 3 else ""
    return (
        f"{verdict} at the same moments: {layers} layers had one of their up to {PEAKS} largest "
        f"peaks at the same step {counted(found.observed, 'time')}{parts}; if chance had moved "
        f"each peak by up to {WINDOW} steps, it would be {found.expected:.1f} "
        f"(p = {found.p_value:.1g}, {counted(draws, 'draw')})."
    )


def _series(run: Run, measure: str) -> np.ndarray:
    """Return allocations, (layers, T) or (parts, layers, T), of layers that did anything."""
    parts = tuple(run.parts(measure))
    series = np.stack([_of(run, part) for part in parts or (measure,)])
    moved = (series != 0).any(axis=(0, 2))
    return series[:, moved] if parts else series[0, moved]


def _of(run: Run, measure: str) -> np.ndarray:
    """Return one measure's allocations, 0 at steps that were lost, NaN where nobody looked."""
    finite, looked = run.finite(measure)[:, None], run.looked_at(measure)[:, None]
    found = np.where(finite, run.allocation(measure, "layer").values, 0.0)
    return np.where(looked, found, np.nan).T
