"""How noisy: what share of the parameters helps at a step, against a coin, and how they turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lca_core.analyses import helping_over_time, heroes_and_villains, steps_between_turns
from lca_core.errors import NotRecordedError
from lca_core.uncertainty import TWO_SIDED
from lca_core.words import counted, percent, plainly

if TYPE_CHECKING:
    from collections.abc import Callable

    from lca_core.run import Run

_MIDDLE, _BARELY = (2.5, 97.5), 0.55


def noise_passage(run: Run, measure: str) -> str:
    """Say what was recorded of it."""
    if not run.seen(measure).any():
        return ""
    told = [_told(part, run, measure) for part in (_helping, _tallies, _turns)]
    if any(told):
        told.append(_segments(run))
    if any(told) and run.redrawn(measure):
        told.append("So it is on the steps' samples, whose luck looks like noise of the learning.")
    return " ".join(filter(None, told))


def _told(part: Callable[[Run, str], str], run: Run, measure: str) -> str:
    try:
        return part(run, measure)
    except NotRecordedError:
        return ""


def _helping(run: Run, measure: str) -> str:
    """Compare the share that helps at a step with one half."""
    share = helping_over_time(run, measure).of_moving
    share = share[np.isfinite(share)]
    if not share.size:
        return "No parameter moved and had a gradient at any step."
    counts = run.helping(measure, by="leaf")
    moving = counts.helped.sum(axis=1) + counts.hurt.sum(axis=1)
    coin = min(TWO_SIDED * float(np.sqrt((0.25 / moving[moving > 0]).mean())), 0.5)
    low, high = np.percentile(share, _MIDDLE)
    most = int((share > 0.5).sum())
    spread = (
        f" ({percent(low, 1)} to {percent(high, 1)} on 95 % of the steps)" if share.size > 1 else ""
    )
    lead = "Learning is noisy: o" if share.mean() < _BARELY else "O"
    return (
        f"{lead}f the parameters that move, {percent(share.mean(), 1)} help at a step on average"
        f"{spread}; coins would give 50 ± {plainly(100 * coin)} %. More than half helped on "
        f"{most:,} of {counted(share.size, 'step')}."
    )


def _tallies(run: Run, measure: str) -> str:
    """Compare single parameters with coins."""
    found = heroes_and_villains(run, measure)
    if not (found.steps > 0).any():
        return ""
    low, high = found.between(95)
    coin = min(TWO_SIDED * found.spread, 0.5)
    return (
        f"Over the run, 95 % of the single parameters helped on {percent(low, 1)} to "
        f"{percent(high, 1)} of their steps; coins would give 50 ± {plainly(100 * coin)} %."
    )


def _turns(run: Run, measure: str) -> str:
    """Say how often weights and gradients turn."""
    found = steps_between_turns(run, measure)
    motion, gradient = found.motion[-1], found.gradient[-1]
    if not (np.isfinite(motion) and np.isfinite(gradient)):
        return ""
    return (
        f"A weight turns back every {motion:.1f} steps on average, its gradient changes sign every "
        f"{gradient:.1f}.{_hardly_any(max(motion, gradient), run.steps)}"
    )


def _hardly_any(mean: float, steps: int) -> str:
    """Explain a mean that is longer than what it is the mean of."""
    if mean <= steps:
        return ""
    run = counted(steps, "step")
    return f" That is beyond the run of {run}: on average, they turn less than once."


def _segments(run: Run) -> str:
    """Say so where steps are longer than those of the training."""
    lengths = np.diff(run.iteration)
    most = int(lengths.max(initial=0))
    if most < 2:
        return ""
    most_often = f"{most:,}" if (lengths == most).all() else f"up to {most:,}"
    return f"A step is a segment of {most_often} steps of the training here."
