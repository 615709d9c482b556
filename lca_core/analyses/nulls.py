"""What peaks would look like if layers learned independently: draws of placements."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np

from lca_core.analyses.peaks import minima
from lca_core.analyses.shifting import Shifts

Null: TypeAlias = Callable[[np.ndarray, np.ndarray, int, np.random.Generator], np.ndarray]
"""(peaks, series, draws, rng) -> placements; shapes (..., T), (..., T) -> (draws, ..., T)."""

WINDOW = 10
"""Steps by which `shifted` moves a peak at most, either way."""


def uniform(
    found: np.ndarray, series: np.ndarray, draws: int, rng: np.random.Generator
) -> np.ndarray:
    """Place as many peaks anywhere, all known steps being equally likely.

    Peaks really bunch where the loss falls fastest, in all layers: this null takes that for
    synchrony.
    """
    return _drawn_from(~np.isnan(series), found, draws, rng)


def minima_permuted(
    found: np.ndarray, series: np.ndarray, draws: int, rng: np.random.Generator
) -> np.ndarray:
    """Draw as many of each series' own local minima: which of them are deep is up to chance."""
    return _drawn_from(minima(series), found, draws, rng)


def shifted(
    found: np.ndarray, series: np.ndarray, draws: int, rng: np.random.Generator
) -> np.ndarray:
    """Move every peak by up to `WINDOW` steps, each by itself: bunching stays, coincidence goes.

    As many peaks stay, and all are where minima can be: none at an end of the run, none at or
    beside a step that is not known, no two side by side. A peak that would leave the run comes back
    as from a mirror; of two that meet, one is drawn again, and so is one at a step that is not
    known. Where there is no room for that, all peaks of a series stay where they are.
    """
    rows = found.reshape(-1, found.shape[-1])
    unknown = np.isnan(series).reshape(rows.shape)
    barred = unknown[:, :-2] | unknown[:, 1:-1] | unknown[:, 2:]
    most = int(rows.sum(axis=-1).max(initial=0))
    first = np.argsort(~rows, axis=-1, kind="stable")[:, :most]
    real = np.take_along_axis(rows, first, axis=-1)
    own = np.where(real, first - 1, rows.shape[-1] + 2 * np.arange(most))
    moved = Shifts(own, barred, WINDOW).drawn(draws, rng)[:, real] + 1
    placed = np.zeros((draws, *rows.shape), bool)
    placed[(np.arange(draws)[:, None], np.nonzero(real)[0], moved)] = True
    return placed.reshape(draws, *found.shape)


NULLS: Mapping[str, Null] = {
    "shift": shifted,
    "minima": minima_permuted,
    "uniform": uniform,
}


def _drawn_from(
    allowed: np.ndarray, found: np.ndarray, draws: int, rng: np.random.Generator
) -> np.ndarray:
    """Return masks with as many true entries as `found` has, at random among the allowed."""
    placed = np.zeros((draws, *found.shape), bool)
    every = np.arange(draws)[:, None]
    for series in np.ndindex(found.shape[:-1]):
        steps, count = np.flatnonzero(allowed[series]), int(found[series].sum())
        if count:
            lots = rng.random((draws, len(steps)))
            lowest = np.argpartition(lots, count - 1, axis=-1)[:, :count]
            placed[(every, *series, steps[lowest])] = True
    return placed
