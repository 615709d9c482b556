"""Where labels of crowded dots have room."""

from __future__ import annotations

import numpy as np

_RADII, _ANGLES = np.arange(0.12, 0.75, 0.03), np.linspace(0.0, 2 * np.pi, 24, endpoint=False)
_AROUND = (_RADII[:, None, None] * np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=-1)).reshape(
    -1, 2
)
"""Places around a dot, inches: the nearest first, and of these the one to its right."""

_DISTANCES = np.repeat(_RADII, len(_ANGLES))

_LENGTHS = np.linspace(0.2, 0.8, 4)
"""Where the line from a dot to its label is looked at."""

_LABEL, _LINE, _EDGE, _AWAY = 100.0, 1.0, 100.0, 2.0
"""What it costs to lie on a label, to be crossed by a line or to cross a label with one's own, to
leave the frame, and to be an inch away; to lie on a mark costs 1."""


def beside(
    dots: np.ndarray, marks: np.ndarray, size: tuple[float, float], frame: tuple[float, float]
) -> np.ndarray:
    """Return the middle of every dot's label: near its dot, where it hides little.

    Args:
        dots: in the order in which they choose, shape (n, 2), inches from the lower left corner.
        marks: all that is drawn, the dots too, shape (m, 2), inches.
        size: width and height of a label, inches.
        frame: that labels lie in, its width and height, inches.

    Returns:
        Shape (n, 2), inches.

    Example:
        >>> import numpy as np
        >>> from lca_core.figures.labels import beside
        >>> beside(np.array([[1.0, 1.0]]), np.array([[1.0, 1.0]]), (0.1, 0.1), (2.0, 2.0))
        array([[1.12, 1.  ]])
    """
    half = np.array(size) / 2
    found = np.zeros((0, 2))
    lines = np.zeros((0, 2))
    for dot in dots:
        near = dot + _AROUND
        ways = dot + _LENGTHS[:, None, None] * _AROUND
        outside = ((near < half) | (near > np.array(frame) - half)).any(axis=1)
        cost = (
            _AWAY * _DISTANCES
            + _within(near, marks, half + 0.03)
            + _LINE * _within(near, lines, half)
            + _LABEL * _within(near, found, 2 * half)
            + _LINE * sum(_within(way, found, half) for way in ways)
            + _EDGE * outside
        )
        best = int(np.argmin(cost))
        found = np.concatenate([found, near[best][None]])
        lines = np.concatenate([lines, ways[:, best]])
    return found


def _within(places: np.ndarray, others: np.ndarray, half: np.ndarray) -> np.ndarray:
    """Return how many of the others lie in a box around each place."""
    inside = (np.abs(places[:, None] - others) < half).all(axis=-1)
    return np.asarray(inside.sum(axis=-1))
