"""Peaks moved at random, each by itself, as many as before."""

from __future__ import annotations

import numpy as np
from attrs import frozen

_APART = 2
"""Steps between two peaks at least: of two neighbours, only one can be lower than the other."""

_TRIES = 60
"""How often a series is drawn again whose peaks meet; enough if a third of its steps are peaks."""


@frozen
class Shifts:
    """Draws of places for the peaks of every series.

    Args:
        own: where the peaks are, shape (series, peaks); what is beyond the places is no peak and
            stays, so that series may have different numbers.
        barred: where none can be, shape (series, places), bool; a peak that would leave the places
            comes back as from a mirror.
        window: steps that a peak moves at most, either way.
    """

    own: np.ndarray
    barred: np.ndarray
    window: int

    def drawn(self, draws: int, rng: np.random.Generator) -> np.ndarray:
        """Return places, shape (draws, series, peaks); none of a series are the same or neighbours.

        One of two peaks that meet is drawn again, and so is one that comes to where none can be.
        Where there still are such at the last of `_TRIES`, the series has no room, and its peaks
        stay where they are.
        """
        own = np.tile(self.own, (draws, 1))
        drawn = self._moved(own, rng)
        left = np.arange(len(drawn))
        for _ in range(_TRIES):
            row, peak = self._amiss(drawn[left], left % len(self.own), rng)
            if not len(row):
                break
            row = left[row]
            drawn[row, peak] = self._moved(own[row, peak], rng)
            left = row[np.diff(row, prepend=-1) > 0]
        else:
            drawn[left] = own[left]
        return drawn.reshape(draws, *self.own.shape)

    def _moved(self, own: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return places near their own; the mirrors are beyond the outermost places."""
        shifts = rng.integers(-self.window, self.window + 1, own.shape)
        places = self.barred.shape[1]
        there = (own + shifts) % (2 * places)
        return np.where(own < places, np.minimum(there, 2 * places - 1 - there), own)

    def _amiss(
        self, drawn: np.ndarray, series: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return row and column of the peaks that are drawn again, in the order of the rows."""
        row, peak = _meeting(drawn, rng)
        if not self.barred.any():
            return row, peak
        outside = np.zeros((len(self.barred), 1), bool)
        barred = np.concatenate([self.barred, outside], axis=1)
        at = np.minimum(drawn, self.barred.shape[1])
        width = drawn.shape[1]
        again = np.union1d(row * width + peak, np.flatnonzero(barred[series[:, None], at]))
        return np.divmod(again, width)


def _meeting(places: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return row and column of one, by chance, of any two of a row that are too near."""
    width = places.shape[1]
    keys = np.sort(places * width + np.arange(width), axis=1)
    in_order = keys // width
    row, first = np.nonzero(in_order[:, 1:] - in_order[:, :-1] < _APART)
    return row, keys[row, first + rng.integers(0, 2, len(row))] % width
