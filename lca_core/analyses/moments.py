"""What of a run may have moments of learning, and whether its layers have them together."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from attrs import frozen

from lca_core.analyses.peaks import PEAKS, peaks
from lca_core.analyses.synchrony import against_chance, draws_for

if TYPE_CHECKING:
    from lca_core.analyses.synchrony import Synchrony
    from lca_core.run import Run

Quantity: TypeAlias = Literal["allocation", "gradient", "motion"]

_FEWEST = 199
"""Draws, however long the run and many its layers."""


@frozen(slots=False)
class Moments:
    """Series whose minima are moments of learning, of every layer and every part of the data.

    Story, figures and report read them here, so that they count the same moments.

    Args:
        parts: names of the measures: the parts of a partitioned one, else itself.
        series: shape (parts, layers, T), loss units, or minus lengths; NaN at steps that were lost
            or that nobody looked at: a step beside one is no minimum. So are allocations and
            gradients of a redrawn measure: a sample moves all layers at once by its luck.
        count: peaks of every layer.

    Example:
        >>> from lca_core.analyses import Moments
        >>> from lca_core.reference import demo_run
        >>> moments = Moments.of(demo_run(by_class=True), "train")
        >>> moments.series.shape, bool(moments.tested().observed == moments.aligned.sum())
        ((3, 2, 20), True)
    """

    parts: tuple[str, ...]
    series: np.ndarray
    count: int = PEAKS

    @classmethod
    def of(
        cls, run: Run, measure: str, of: Quantity = "allocation", *, count: int = PEAKS
    ) -> Moments:
        """Return those of a run.

        Args:
            run: a finished run.
            measure: its name.
            of: "allocation", or the length of every layer's "gradient" or "motion", whose peaks
                are upwards: they are controls. All parts share one motion.
            count: peaks of every layer.

        Raises:
            NotRecordedError: "gradient" or "motion", and the observer `Sizes()` was not asked for.
        """
        parts = (measure,) if of == "motion" else tuple(run.parts(measure)) or (measure,)
        return cls(parts, np.stack([_series(run, part, of) for part in parts]), count)

    @cached_property
    def active(self) -> np.ndarray:
        """Which layers did anything, shape (layers,): a frozen one learns with no other."""
        return np.asarray((np.nan_to_num(self.series) != 0).any(axis=(0, 2)))

    @cached_property
    def peaks(self) -> np.ndarray:
        """Where the moments are, shape (parts, layers, T), bool."""
        return peaks(self.series, self.count)

    @cached_property
    def aligned(self) -> np.ndarray:
        """The steps at which all active layers have one, at least two; shape (parts, T), bool."""
        enough = self.active.sum() > 1
        return np.asarray(self.peaks[:, self.active].all(axis=1) & enough)

    def tested(self) -> Synchrony:
        """Ask of the active layers whether chance has as many moments in common.

        It takes 10,000 draws, fewer for long runs of many layers, and always the same ones. All
        parts of a layer are moved together, see `synchrony`.

        Raises:
            AnalysisError: fewer than two active layers, or fewer than three steps.
        """
        tested = self.series[:, self.active]
        draws = draws_for(tested.size, _FEWEST)
        return against_chance(tested, self.peaks[:, self.active], draws=draws)


def _series(run: Run, measure: str, of: Quantity) -> np.ndarray:
    """Return one measure's series, shape (layers, T)."""
    values = run.allocation(measure).values if of == "allocation" else -run.size(measure, of).values
    # All layers see the same fresh sample, and its luck dips them all at once.
    known = run.seen(measure) & (of == "motion" or not run.redrawn(measure))
    return np.where(known[:, None], values, np.nan).T
