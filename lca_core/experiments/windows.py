"""Sums of what was allocated, window by window, to what is learned and what is held out."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from attrs import frozen

from lca_core.errors import ExperimentError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lca_core.run import Run

LEARNED, HELD_OUT = "train", "val"


@frozen
class Windows:
    """Allocations summed over windows of steps; arrays of shape (windows, layers + 1).

    Args:
        labels: of the layers, and "all".
        ends: of the windows, in steps, shape (windows + 1,).
        learned: of the measure that is trained on, loss units.
        held_out: of the other one.
    """

    labels: tuple[str, ...]
    ends: np.ndarray
    learned: np.ndarray
    held_out: np.ndarray

    @property
    def ratio(self) -> np.ndarray:
        """Held out / learned; NaN where nothing was learned."""
        ratio = np.full(self.learned.shape, np.nan)
        np.divide(self.held_out, self.learned, out=ratio, where=self.learned < 0)
        return ratio


def windows(run: Run, ends: Sequence[int]) -> Windows:
    """Return what was allocated between these steps.

    Args:
        run: with the measures "train" and "val".
        ends: of the windows, from 0 to the last step.

    Raises:
        ExperimentError: the run is shorter.
    """
    if ends[-1] > run.steps:
        msg = f"Windows end at step {ends[-1]}, the run has {run.steps}: runs of one arm differ."
        raise ExperimentError(msg)
    finite = (run.finite(LEARNED) & run.finite(HELD_OUT))[:, None]

    def summed(measure: str) -> np.ndarray:
        values = np.where(finite, run.allocation(measure).values, 0.0)
        sums = np.array([values[a:b].sum(axis=0) for a, b in pairwise(ends)])
        return np.column_stack([sums, sums.sum(axis=1)])

    labels = (*run.layout.labels("layer"), "all")
    return Windows(labels, np.asarray(ends), summed(LEARNED), summed(HELD_OUT))


def equal(steps: int, count: int) -> list[int]:
    """Return ends of at most `count` windows that are equal to a step.

    Example:
        >>> from lca_core.experiments.windows import equal
        >>> equal(10, 4), equal(2, 4)
        ([0, 2, 5, 8, 10], [0, 1, 2])
    """
    count = max(min(count, steps), 1)
    return [round(i * steps / count) for i in range(count + 1)]
