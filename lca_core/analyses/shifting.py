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
        own: where the peaks are, shape (series, peaks); what is `places` or more is no peak and
            stays, so that series may have different numbers.
        places: 0 to places - 1 are there; a peak that would leave them comes back as from a mirror.
        window: steps that a peak moves at most, either way.
    """

    own: np.ndarray
    places: int
    window: int

    def drawn(self, draws: int, rng: np.random.Generator) -> np.ndarray:
        """Return places, shape (draws, series, peaks); none of a series are the same or neighbours.

        One of two peaks that meet is drawn again. Where some still meet at the last of `_TRIES`,
        the series has no room, and its peaks stay where they are.
        """
        own = np.tile(self.own, (draws, 1))
        drawn = self._moved(own, rng)
        left = np.arange(len(drawn))
        for _ in range(_TRIES):
            row, peak = _meeting(drawn[left], rng)
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
        there = (own + shifts) % (2 * self.places)
        return np.where(own < self.places, np.minimum(there, 2 * self.places - 1 - there), own)


def _meeting(places: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return row and column of one, by chance, of any two of a row that are too near."""
    width = places.shape[1]
    keys = np.sort(places * width + np.arange(width), axis=1)
    in_order = keys // width
    row, first = np.nonzero(in_order[:, 1:] - in_order[:, :-1] < _APART)
    return row, keys[row, first + rng.integers(0, 2, len(row))] % width
