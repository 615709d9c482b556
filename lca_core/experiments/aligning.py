"""Moments that all layers share, counted over seeds and held against chance."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen

from lca_core.analyses import PEAKS, Mean, coincidence, mean_of, peaks, synchrony
from lca_core.analyses.synchrony import draws_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lca_core.run import Run

_FEWEST_DRAWS = 999
_STEPS_A_PEAK = 15


@frozen
class Series:
    """What may have moments in one run; a moment is a minimum, shape (classes, layers, T).

    Args:
        allocation: LCA by class.
        gradient: negative length of the gradient by class.
        whole: LCA of all classes together, one "class".
        whole_gradient: negative length of its gradient.
        motion: negative length of the motion, which all classes share.
    """

    allocation: np.ndarray
    gradient: np.ndarray
    whole: np.ndarray
    whole_gradient: np.ndarray
    motion: np.ndarray

    @classmethod
    def of(cls, run: Run, measure: str) -> Series:
        """Return the series of the layers that moved; NaN at steps that were lost."""
        parts = list(run.parts(measure)) or [measure]
        moved = (run.size(measure, "motion").values > 0).any(axis=0)

        def series(name: str, of: str) -> np.ndarray:
            values = (
                run.allocation(name).values if of == "allocation" else -run.size(name, of).values
            )
            return np.where(run.seen(name)[:, None], values, np.nan)[:, moved].T

        def stacked(names: Sequence[str], of: str) -> np.ndarray:
            return np.stack([series(name, of) for name in names])

        return cls(
            allocation=stacked(parts, "allocation"),
            gradient=stacked(parts, "gradient"),
            whole=stacked([measure], "allocation"),
            whole_gradient=stacked([measure], "gradient"),
            motion=stacked([measure], "motion"),
        )

    @property
    def layers(self) -> int:
        """How many layers moved."""
        return int(self.allocation.shape[1])

    @property
    def steps(self) -> int:
        """How many there are."""
        return int(self.allocation.shape[2])

    def on_motion(self, count: int) -> tuple[float, float]:
        """Return the share of LCA peaks by class on a motion peak of the layer, and by chance.

        Of the layers whose motion has a peak; NaN where none has.
        """
        motion = peaks(self.motion[0], count)
        share, chance = coincidence(peaks(self.allocation, count), motion)
        known = np.isfinite(share) & motion.any(axis=-1)
        if not known.any():
            return math.nan, math.nan
        return float(share[known].mean()), float(chance[known].mean())


@frozen
class Aligned:
    """How often all layers had a peak at the same step, and how often by chance, over seeds.

    Args:
        observed: of every seed, over its classes, shape (seeds,).
        expected: mean under the null, shape (seeds,).
        p: of every seed, empirical.
        joint: p of as many over all seeds; the nulls of the seeds are drawn independently.
        draws: from the null.
        open: chance could have given another number; not so where all minima are peaks, say.
    """

    observed: np.ndarray
    expected: np.ndarray
    p: np.ndarray
    joint: float
    draws: int
    open: bool

    @property
    def excess(self) -> Mean:
        """Observed minus expected, over seeds.

        The classes of a run share its motion. A null that places their peaks independently, as
        all but "rotation", expects the right number, but not its spread; seeds show it.
        """
        return mean_of(self.observed - self.expected)

    def as_json(self) -> dict[str, Any]:
        """Return the parts, and the excess."""
        return {
            "observed": self.observed,
            "expected": self.expected,
            "p": self.p,
            "joint_p": self.joint,
            "draws": self.draws,
            "excess": self.excess,
        }


def aligned(series: Sequence[np.ndarray], null: str, count: int) -> Aligned:
    r"""Count aligned steps in every seed, and draw all seeds together from the null.

    .. math:: p = \frac{1 + \#\{\sum_s N_s \ge \sum_s S_s\}}{1 + \text{draws}}

    Args:
        series: one a seed, shape (classes, layers, T).
        null: name of one of `analyses.NULLS`.
        count: peaks a series.
    """
    draws = draws_for(max(one.size for one in series), _FEWEST_DRAWS)
    found = [
        synchrony(one, count=count, null=null, draws=draws, seed=i) for i, one in enumerate(series)
    ]
    together = np.sum([one.null for one in found], axis=0)
    as_many = int((together >= sum(one.observed for one in found)).sum())
    return Aligned(
        observed=np.array([one.observed for one in found]),
        expected=np.array([one.expected for one in found]),
        p=np.array([one.p_value for one in found]),
        joint=(1 + as_many) / (1 + draws),
        draws=draws,
        open=bool(together.min() < together.max()),
    )


def peaks_of(steps: int) -> int:
    """Return how many peaks a series has: the article's 20, fewer in a short run.

    Of about T/4 minima all would be peaks, and no null could place them otherwise.

    Args:
        steps: T.

    Example:
        >>> from lca_core.experiments.aligning import peaks_of
        >>> peaks_of(880), peaks_of(60), peaks_of(8)
        (20, 4, 2)
    """
    return int(np.clip(steps // _STEPS_A_PEAK, 2, PEAKS))
