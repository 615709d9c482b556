"""How noisy one training is: what share helps, how single parameters do, how they turn."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from attrs import frozen

from lca_core.analyses import (
    distribution,
    helping_over_time,
    heroes_and_villains,
    steps_between_turns,
)
from lca_core.experiments.windows import equal
from lca_core.uncertainty import TWO_SIDED

if TYPE_CHECKING:
    from lca_core.run import Run

MEASURE = "train"
_EARLY, _LATE, _TAIL = 0.1, 0.5, 0.01


@frozen
class Noisiness:
    """Numbers of one run; shares are from 0 to 1, NaN where nothing is known.

    Args:
        of_moving: helped / (helped + hurt), mean over the steps.
        of_all: helped / all parameters, mean over the steps.
        early: `of_moving` over the first tenth of the steps.
        late: the same over the second half.
        low, high: ends of the range of 95 % of the parameters' own shares of steps.
        coins: half of that range if coins decided.
        motion, gradient, allocation: steps between two turns of them.
        mean: allocation of a parameter at a step, loss units.
        tail: index of the tail of the largest 1 % of the allocations.
        helps, hurts: Gini coefficients of single helps and hurts.
        loss: in the end.
    """

    of_moving: float
    of_all: float
    early: float
    late: float
    low: float
    high: float
    coins: float
    motion: float
    gradient: float
    allocation: float
    mean: float
    tail: float
    helps: float
    hurts: float
    loss: float

    @classmethod
    def of(cls, run: Run) -> Noisiness:
        """Return the numbers of a run that was observed for them."""
        found = helping_over_time(run, MEASURE)
        share, steps = found.of_moving, run.steps
        single = heroes_and_villains(run, MEASURE)
        low, high = single.between(95)
        turns = steps_between_turns(run, MEASURE)
        spread = distribution(run, MEASURE, by=lambda _: "all")
        helps, hurts = spread.gini
        return cls(
            of_moving=known_mean(share),
            of_all=known_mean(found.of_all[run.finite(MEASURE)]),
            early=known_mean(share[: max(round(_EARLY * steps), 1)]),
            late=known_mean(share[round((1 - _LATE) * steps) :]),
            low=low,
            high=high,
            coins=TWO_SIDED * single.spread,
            motion=float(turns.motion[-1]),
            gradient=float(turns.gradient[-1]),
            allocation=float(turns.allocation[-1]),
            mean=float(spread.mean[0]),
            tail=float(spread.tail_index(_TAIL)[0]),
            helps=float(helps[0]),
            hurts=float(hurts[0]),
            loss=float(run.loss(MEASURE)[-1]),
        )


def share_over_time(run: Run, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the share of the moving parameters that help, over windows of the steps.

    Args:
        run: with the observer `Counts()`.
        count: of windows, at most.

    Returns:
        Middles of the windows, in steps, and shares, each of shape (windows,).
    """
    ends = equal(run.steps, count)
    share = helping_over_time(run, MEASURE).of_moving
    parts = list(pairwise(ends))
    middles = np.array([(run.iteration[a] + run.iteration[b]) / 2 for a, b in parts])
    return middles, np.array([known_mean(share[a:b]) for a, b in parts])


def known_mean(values: np.ndarray) -> float:
    """Return the mean of what is finite; NaN of nothing."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else float("nan")
