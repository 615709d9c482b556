"""Which layers did the work."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lca_core.analyses import verdicts
from lca_core.words import FEW, listed, named, percent

if TYPE_CHECKING:
    from lca_core.run import Run

_MOST = 0.9


def work_passage(run: Run, measure: str) -> str:
    """Name the few layers that did most of the helping."""
    if not run.seen(measure).any():
        return ""
    found = verdicts(run, measure)
    unknown = np.isnan(found.error)
    helped = found.helps | (unknown & (found.total < 0))
    helpers = [i for i in np.argsort(found.total, kind="stable") if helped[i]]
    if not helpers:
        return "No layer helped beyond its error."
    done = np.cumsum(found.total[helpers]) / found.total[helpers].sum()
    first = min(FEW, int((done < _MOST).sum()) + 1)
    who = listed([named(found.labels[i], found.total[i], found.error[i]) for i in helpers[:first]])
    rest = len(helpers) - first
    if ((found.total < 0) & ~helped).any():  # others may have helped, within their errors
        return _beyond_errors(who, rest, done[first - 1], alone=first == 1)
    if not rest:
        return f"{who} did all of the helping."
    return f"{who} did {percent(done[first - 1])} of the helping; {_rest(rest)} helped too."


def _beyond_errors(who: str, rest: int, share: float, *, alone: bool) -> str:
    if not rest:
        return f"Beyond {'its error' if alone else 'their errors'}, only {who} helped."
    return f"Of the helping beyond errors, {who} did {percent(share)}; {_rest(rest)} did the rest."


def _rest(count: int) -> str:
    return f"{count:,} more layers" if count > 1 else "one more layer"
