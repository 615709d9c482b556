"""A run cut into stretches, within which chance may move what bunches over longer ones."""

from __future__ import annotations

import numpy as np

STRETCH = 20
"""Steps of a stretch, about: a run is cut evenly."""


def stretches(steps: int) -> np.ndarray:
    """Return the stretch to which every step belongs, shape (steps,), from 0.

    Example:
        >>> import numpy as np
        >>> from lca_core.analyses.stretches import stretches
        >>> np.bincount(stretches(90))
        array([23, 22, 23, 22])
    """
    number = max(1, round(steps / STRETCH))
    return np.arange(steps) * number // max(steps, 1)
