"""What a layer leaves behind when examples go through it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias

import numpy as np
from attrs import field, frozen

Mode: TypeAlias = Literal["train", "eval", "batch-stats"]
"""How a layer behaves: as in training; with moving averages and without dropout; or with the
batch's own statistics and without dropout."""

Weights: TypeAlias = Mapping[str, np.ndarray]
"""Name -> array: a layer's own names ("kernel") or a network's ("conv1.kernel")."""

Backward: TypeAlias = Callable[[np.ndarray], tuple[np.ndarray, dict[str, np.ndarray]]]
"""From ∂L/∂output to ∂L/∂input and, by name, ∂L/∂weight."""


@frozen
class Pass:
    """One way through a layer, and the way back.

    Args:
        output: shape (n, ...).
        backward: to be called with ∂L/∂output, any number of times.
        moved: the new values of the buffers that the layer moved, by name.
    """

    output: np.ndarray
    backward: Backward
    moved: Weights = field(factory=dict)


def rows(array: np.ndarray) -> np.ndarray:
    """Return all axes but the last as one."""
    return array.reshape(-1, array.shape[-1])
