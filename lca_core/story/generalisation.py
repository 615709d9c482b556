"""Who helped training and hurt the held-out data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lca_core.analyses import verdicts
from lca_core.story.words import called, few, measured
from lca_core.summary import books

if TYPE_CHECKING:
    from lca_core.run import Run


def generalisation_passage(run: Run, measure: str) -> str:
    """Set the same motion's effect on two measures side by side."""
    pair = _pair(run, measure)
    if pair is None or not all(run.finite(one).any() for one in pair):
        return ""
    learned, held_out = pair
    falls = " and ".join(f"the {one} {books(run, one).change}" for one in pair)
    return f"By the same motion, {falls}. {_overfitted(run, learned, held_out)}"


def _overfitted(run: Run, learned: str, held_out: str) -> str:
    """Name the layers that helped the one and hurt the other, both beyond their errors."""
    train, val = verdicts(run, learned), verdicts(run, held_out)
    if np.isnan([train.error, val.error]).any():
        return "Which layers overfitted cannot be told, as their error is not known."
    both = np.flatnonzero(train.helps & val.hurts)
    worst = both[np.argsort(-val.total[both], kind="stable")]
    names = [
        f"{called(train.labels[i])} ({measured(train.total[i], train.error[i])} and "
        f"{measured(val.total[i], val.error[i])})"
        for i in worst
    ]
    if names:
        return f"{few(names)} helped {learned} and hurt {held_out}, beyond the errors of both."
    return f"No layer helped {learned} and hurt {held_out} beyond the errors of both."


def _pair(run: Run, measure: str) -> tuple[str, str] | None:
    """Return the measure that is trained on and the one to compare; parts are no measures here."""
    parts = {part for whole in run.measures for part in run.parts(whole)}
    wholes = [one for one in run.measures if one not in parts]
    if measure not in wholes or len(wholes) < 2:
        return None
    first, second, *_ = wholes
    return first, second if measure == first else measure
