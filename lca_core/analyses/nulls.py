"""What peaks would look like if layers learned independently: draws of placements."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np

from lca_core.analyses.peaks import minima
from lca_core.analyses.shifting import Shifts
from lca_core.analyses.stretches import stretches

Null: TypeAlias = Callable[[np.ndarray, np.ndarray, int, np.random.Generator], np.ndarray]
"""(peaks, series, draws, rng) -> placements; (..., layers, T), the same -> (draws, ..., T)."""

WINDOW = 10
"""Steps by which `shifted` moves a peak at most, either way."""


def rotated(
    found: np.ndarray, series: np.ndarray, draws: int, rng: np.random.Generator
) -> np.ndarray:
    r"""Rotate every stretch of a layer, all its classes together: only what layers share goes.

    .. math:: i \mapsto (i + \lfloor u n \rfloor) \bmod n

    for the i-th of the n places of a stretch where a minimum can be: not at an end of the run, nor
    at or beside a step that is not known; u is uniform, one a layer and stretch. Distances within
    a stretch stay, around its ends, and so do bunching over longer ones and whatever the classes
    of a layer have to do with each other, up to places that only some of them know.
    """
    layers, steps = found.shape[-2:]
    stretch, places = stretches(steps), _places(series)
    begins = np.flatnonzero(np.diff(stretch, prepend=-1))
    size = np.add.reduceat(places, begins, axis=-1, dtype=np.int64).ravel()
    first, place = np.cumsum(size) - size, np.flatnonzero(places)
    peak = np.flatnonzero(found)
    group = peak // steps * len(begins) + stretch[peak % steps]
    turn = rng.random((draws, layers * len(begins)))[:, group % (layers * len(begins))]
    rank = np.searchsorted(place, peak) - first[group] + (turn * size[group]).astype(np.int64)
    placed = np.zeros((draws, found.size), bool)
    placed[np.arange(draws)[:, None], place[first[group] + rank % size[group]]] = True
    return placed.reshape(draws, *found.shape)


def uniform(
    found: np.ndarray, series: np.ndarray, draws: int, rng: np.random.Generator
) -> np.ndarray:
    """Place as many peaks anywhere, all steps where a minimum can be being equally likely.

    Peaks really bunch where the loss falls fastest, in all layers: this null takes that for
    synchrony.
    """
    return _drawn_from(_places(series), found, draws, rng)


def minima_permuted(
    found: np.ndarray, series: np.ndarray, draws: int, rng: np.random.Generator
) -> np.ndarray:
    """Draw as many of each series' own local minima: which of them are deep is up to chance."""
    return _drawn_from(minima(series), found, draws, rng)


def shifted(
    found: np.ndarray, series: np.ndarray, draws: int, rng: np.random.Generator
) -> np.ndarray:
    """Move every peak by up to `WINDOW` steps, each by itself: bunching stays, coincidence goes.

    So does what the classes of a layer have in common, and with it the spread of their sum.

    As many peaks stay, and all are where minima can be: none at an end of the run, none at or
    beside a step that is not known, no two side by side. A peak that would leave the run comes back
    as from a mirror; of two that meet, one is drawn again, and so is one at a step that is not
    known. Where there is no room for that, all peaks of a series stay where they are.
    """
    rows = found.reshape(-1, found.shape[-1])
    barred = ~_places(series).reshape(rows.shape)[:, 1:-1]
    most = int(rows.sum(axis=-1).max(initial=0))
    first = np.argsort(~rows, axis=-1, kind="stable")[:, :most]
    real = np.take_along_axis(rows, first, axis=-1)
    own = np.where(real, first - 1, rows.shape[-1] + 2 * np.arange(most))
    moved = Shifts(own, barred, WINDOW).drawn(draws, rng)[:, real] + 1
    placed = np.zeros((draws, *rows.shape), bool)
    placed[(np.arange(draws)[:, None], np.nonzero(real)[0], moved)] = True
    return placed.reshape(draws, *found.shape)


NULLS: Mapping[str, Null] = {
    "rotation": rotated,
    "shift": shifted,
    "minima": minima_permuted,
    "uniform": uniform,
}


def _places(series: np.ndarray) -> np.ndarray:
    """Return where a minimum can be: between known steps, the same shape."""
    known = ~np.isnan(series)
    places = np.zeros(series.shape, bool)
    places[..., 1:-1] = known[..., :-2] & known[..., 1:-1] & known[..., 2:]
    return places


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
