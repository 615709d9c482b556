"""How many steps pass between two turns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from attrs import frozen

if TYPE_CHECKING:
    from lca_core.run import Run

OF = ("motion", "gradient", "allocation")


@frozen
class StepsBetweenTurns:
    """How many steps pass between two sign changes; each array has shape (leaves + 1,).

    Args:
        labels: names of the leaves, and "all".
        motion: of the weights: the article finds about 7.
        gradient: at the iterates: the article finds about 10.
        allocation: of the LCA.
    """

    labels: tuple[str, ...]
    motion: np.ndarray
    gradient: np.ndarray
    allocation: np.ndarray


def steps_between_turns(run: Run, measure: str) -> StepsBetweenTurns:
    r"""Return the mean number of steps between two turns, leaf by leaf and overall.

    .. math:: \frac{T \cdot \#\{i : x_i \text{ ever} \ne 0\}}{\sum_i n_i}

    A step is a closed segment, which is longer where the tracker has `every=k`. Parameters that
    never had a sign have nothing to turn, and are left out. Infinite where
    nothing turned. NaN where steps were not looked at (`Redrawn(..., every=k)`): a sign that turns
    twice between two looks is as if it had not turned.

    Args:
        run: a finished run.
        measure: its name.

    Raises:
        NotRecordedError: the observer `Oscillation()` was not asked for.

    Source: LCA paper (arXiv:1909.01440), "Learning is very noisy".
    """
    found = {of: _of(run, measure, of) for of in OF}
    return StepsBetweenTurns((*run.layout.names, "all"), **found)


def _of(run: Run, measure: str, of: str) -> np.ndarray:
    turns = run.turns(measure, of).values()
    count = np.array([one.count.sum() for one in turns], float)
    steps = np.array([one.ever.sum() for one in turns], float) * run.finite(measure).sum()
    count, steps = np.append(count, count.sum()), np.append(steps, steps.sum())
    between = np.full(count.shape, np.inf)
    np.divide(steps, count, out=between, where=count > 0)
    known = (steps > 0) & run.looked_at(measure).all()
    return np.where(known, between, np.nan)
