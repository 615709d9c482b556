"""Whether the books close, and how well."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lca_core.segment import Status
from lca_core.summary import books, each, number
from lca_core.words import counted, plainly

if TYPE_CHECKING:
    from lca_core.run import Run
    from lca_core.summary import Books

_MANY = 5.0
"""Times, from which on a share is not told in percent."""


def books_passage(run: Run, measure: str) -> str:
    """Say what the allocations of all parameters sum to, and what is missing or not known."""
    if not run.steps:
        return ""
    found, finite = books(run, measure), run.finite(measure)
    if not finite.any():
        return f"No step could be booked: {found.closing}."
    if not found.seen:
        return f"Nothing was estimated: {found.unseen}."
    if found.estimated:
        return _estimate(run, found)
    closed = found.statuses.get(Status.OK, 0) == found.steps
    gap = float(run.gap(measure)[finite].sum())
    verdict = "The books close" if closed else "Not all of the books close"
    closing = found.closing[0].upper() + found.closing[1:]
    missed = _missed(found.allocated + found.buffers + gap, gap)
    buffers = f" and moving buffers caused {number(found.buffers)}" if found.buffers else ""
    return (
        f"{verdict}: {_allocated(run)} sums to {number(found.allocated)}{buffers}, "
        f"{_rest(missed, _lost(run, measure))}. {closing}; the largest "
        f"gap of a {found.each} is {found.largest_gap:.2g}, at {found.cost}."
        f"{_doubt(run, measure)}"
    )


def _doubt(run: Run, measure: str) -> str:
    """Say what may be wrong where nobody was allocated anything at any step."""
    finite = run.finite(measure)
    if run.allocation(measure, "leaf").values[finite].any():
        return ""
    if run.stood_still(measure)[finite].all():
        return (
            " No parameter moved at any step: perhaps another model is trained, or steps are "
            "closed before the optimizer's."
        )
    return " Parameters moved, and none was allocated anything: the loss seems to have no gradient."


def _estimate(run: Run, found: Books) -> str:
    """Say what a redrawn probe can say: a sum and its ±."""
    return (
        f"The numbers are {found.closing}: {_allocated(run)} sums to "
        f"{number(found.allocated)}{found.within}, at {found.gradients:.2f} gradients of them a "
        f"{found.each}."
    )


def _allocated(run: Run) -> str:
    parameters = run.layout.parameters
    return (
        f"what {counted(parameters, 'parameter')} {'was' if parameters == 1 else 'were'} allocated"
    )


def _rest(missed: str, lost: str) -> str:
    return f"{missed}, and {lost}" if lost else f"and {missed}"


def _lost(run: Run, measure: str) -> str:
    """Say what the loss did in steps that were lost, from the last value before to the next one."""
    loss, lost = run.loss(measure), ~run.finite(measure)
    known = np.isfinite(loss)
    if not lost.any():
        return ""
    if not known[[0, -1]].all():
        return f"what lies in the {each(run)}s that were lost is not known"
    last = np.maximum.accumulate(np.where(known, np.arange(len(loss)), 0))
    change = float(np.diff(loss[last])[lost].sum())
    return f"{number(change) if change else 'nothing'} lies in the {each(run)}s that were lost"


def _missed(change: float, gap: float) -> str:
    """Say what is left over in all, and how much of the change that is."""
    missing, share = plainly(abs(gap)), abs(gap / change) if change else np.inf
    if not gap:
        return "nothing is left over"
    if share <= 1:
        return f"{missing} of the change is left over in all ({plainly(100 * share, 1)} %)"
    if share <= _MANY:
        return f"{missing} is left over in all, {plainly(100 * share)} % of the change"
    far = f", {plainly(share)} times the change" if np.isfinite(share) else ""
    return f"{missing} is left over in all{far}"
