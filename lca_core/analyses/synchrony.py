"""Do layers learn at the same moments?"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from attrs import frozen

from lca_core.analyses.nulls import NULLS
from lca_core.analyses.peaks import PEAKS, peaks
from lca_core.analyses.stretches import stretches
from lca_core.errors import AnalysisError
from lca_core.numbers import whole

if TYPE_CHECKING:
    from lca_core.analyses.nulls import Null

DRAWS = 10_000
_CELLS = 2 * 10**9
"""Draws × cells of the series: for long runs of many layers, so that they take seconds."""
_BLOCK_BYTES = 2**26


@frozen
class Synchrony:
    """How often all layers had a peak at the same step, and how often they would by chance.

    Args:
        peaks: where every layer's peaks are, shape (..., layers, T).
        aligned: steps at which all layers have one, shape (..., T); the leading axes are classes.
        observed: how many there are over all classes.
        null: counts over all classes under the null, shape (draws,), int64.
    """

    peaks: np.ndarray
    aligned: np.ndarray
    observed: int
    null: np.ndarray

    @property
    def expected(self) -> float:
        """Mean count under the null."""
        return float(self.null.mean())

    @property
    def p_value(self) -> float:
        """Probability of as many or more under the null, (1 + #{null >= observed}) / (1 + draws).

        Never 0, and as a draw's never too small: Phipson and Smyth, doi:10.2202/1544-6115.1585.
        """
        return float((1 + (self.null >= self.observed).sum()) / (1 + len(self.null)))


def synchrony(
    series: np.ndarray,
    *,
    count: int = PEAKS,
    null: str = "rotation",
    draws: int = DRAWS,
    seed: int = 0,
) -> Synchrony:
    r"""Count the steps at which all layers have a peak, and ask how often chance does as well.

    .. math:: S = \sum_c \#\{t : t \in P_{c,l} \text{ for all layers } l\}

    with P the `count` lowest local minima of a layer's allocation for a class. The test is as
    honest as its null. "rotation" cuts the run into stretches of about 20 steps and rotates each
    at random, in every layer by itself but with all its classes together: bunching stays, as it
    is early in training, and so does that the classes of a layer peak together, since they share
    its motion. The others place every series by itself and expect the same number, but with
    such classes too narrow a spread, and p comes out too small: "shift" moves every peak by up
    to ten steps, "minima" draws the peaks among the series' own local minima, and "uniform"
    among all steps where one can be, which finds synchrony in whatever bunches.

    Args:
        series: allocations, shape (layers, T), or (classes, layers, T) for a measure a class;
            pass the negative of sizes of motion or gradient. NaN where a step is not known: none
            has a peak there or beside it, by chance neither.
        count: peaks a series.
        null: "rotation", "shift", "minima" or "uniform".
        draws: from the null.
        seed: of the draws.

    Raises:
        AnalysisError: fewer than two layers, fewer than three steps, or no such null.
        RuleError: `count` or `draws` is no whole number from 1 up.

    Example:
        >>> import numpy as np
        >>> from lca_core.analyses import synchrony
        >>> series = np.random.default_rng(0).normal(size=(3, 500))
        >>> together = series - 9.0 * (np.arange(500) % 100 == 50)
        >>> found = synchrony(together, count=20, draws=1000)
        >>> found.observed >= 5, found.p_value < 0.01
        (True, True)

    Source: LCA paper (arXiv:1909.01440), "Learning is synchronized across layers"; the article
    does not say which null it used.
    """
    _checked(series, null)
    count, draws = whole("count", count, 1), whole("draws", draws, 1)
    return against_chance(series, peaks(series, count), null=null, draws=draws, seed=seed)


def against_chance(
    series: np.ndarray,
    found: np.ndarray,
    *,
    null: str = "rotation",
    draws: int = DRAWS,
    seed: int = 0,
) -> Synchrony:
    """Ask of peaks that are found already how often chance does as well; see `synchrony`.

    Args:
        series: shape (..., layers, T).
        found: its peaks, the same shape, bool.
        null: as `synchrony` takes it.
        draws: from the null.
        seed: of the draws.

    Raises:
        AnalysisError: as `synchrony`.
    """
    chosen = _checked(series, null)
    aligned = np.asarray(found.all(axis=-2))
    rng = np.random.default_rng(seed)
    per_block = max(1, _BLOCK_BYTES // (8 * max(series.size, 1)))
    blocks = [
        min(per_block, draws - begin) for begin in range(0, draws, per_block)
    ]  # bounded memory, whatever the draws
    counts = [_count(chosen(found, series, block, rng)) for block in blocks]
    return Synchrony(
        peaks=found,
        aligned=aligned,
        observed=int(aligned.sum()),
        null=np.concatenate([np.zeros(0, np.int64), *counts]),
    )


def draws_for(cells: int, fewest: int) -> int:
    """Return how often to draw: `DRAWS` times, fewer where that would take long.

    Args:
        cells: of the series, all of them.
        fewest: that tell enough.
    """
    return int(np.clip(_CELLS // max(cells, 1), fewest, DRAWS))


def coincidence(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    r"""Return how many of the first peaks fall on a second one, and how many would by chance.

    .. math:: \frac{|P \cap Q|}{|P|}, \qquad \frac{1}{|P|} \sum_s \frac{|P_s| |Q_s|}{n_s}

    with s the stretches of the null "rotation" and n their steps, the ends of the run aside: the
    mean if the second ones were rotated. Where both bunch, chance does more. Steps that were lost
    count, so that beside them it does a little more than is said.

    Args:
        first: peaks of the allocation, say; shape (..., T), bool.
        second: peaks of the motion; the same shape, or the last axes of it: all classes share
            one motion.

    Returns:
        Two shares of shape (...,); NaN where there is no first peak.

    Raises:
        AnalysisError: the shapes do not fit.
    """
    if first.shape[first.ndim - second.ndim :] != second.shape:
        msg = (
            "coincidence() compares peaks of the same series: expected equal shapes, or one for "
            f"all classes, got {first.shape} and {second.shape}."
        )
        raise AnalysisError(msg)
    second = np.broadcast_to(second, first.shape)
    both, own = (first & second).sum(axis=-1), first.sum(axis=-1)
    with np.errstate(invalid="ignore"):
        return both / own, _met_by_chance(first, second) / own


def _met_by_chance(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return how many of both are at the same step on average if the second are rotated."""
    begins = np.flatnonzero(np.diff(stretches(first.shape[-1]), prepend=-1))
    room = np.ones(first.shape[-1], np.int64)
    room[:1] = room[-1:] = 0

    def within(which: np.ndarray) -> np.ndarray:
        return np.asarray(np.add.reduceat(which, begins, axis=-1, dtype=np.int64))

    return np.asarray((within(first) * within(second) / within(room)).sum(axis=-1))


def _count(placed: np.ndarray) -> np.ndarray:
    """Return aligned steps of every draw."""
    aligned = placed.all(axis=-2)
    return np.asarray(aligned.sum(axis=tuple(range(1, aligned.ndim))), np.int64)


def _checked(series: np.ndarray, null: str) -> Null:
    if series.ndim < 2 or series.shape[-2] < 2 or series.shape[-1] < 3:
        msg = (
            "synchrony() needs series of at least two layers and three steps, shape "
            f"(layers, T) or (classes, layers, T); got shape {series.shape}."
        )
        raise AnalysisError(msg)
    if null not in NULLS:
        msg = f"null must be one of {list(NULLS)}, got '{null}'."
        raise AnalysisError(msg)
    return NULLS[null]


def chance(layers: int, steps: int, count: int = PEAKS) -> float:
    r"""Return the aligned steps a class to expect if peaks were anywhere.

    .. math:: T \min\left(1, \frac{n}{T}\right)^L

    Args:
        layers: L.
        steps: T, at least 1.
        count: n, peaks a layer.

    Example:
        >>> from lca_core.analyses import chance
        >>> round(chance(3, 880, 20), 4)
        0.0103
    """
    return steps * math.pow(min(1.0, count / steps), layers)
