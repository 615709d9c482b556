"""Who helped training and hurt the held-out data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from attrs import evolve

from lca_core.analyses import verdicts
from lca_core.analyses.common_steps import on_common_steps
from lca_core.summary import books, each
from lca_core.words import called, counted, few, measured

if TYPE_CHECKING:
    from lca_core.run import Run


def generalisation_passage(run: Run, measure: str) -> str:
    """Set the same motion's effect on two measures side by side."""
    pair = _pair(run, measure)
    if pair is None:
        return ""
    run = on_common_steps(run, *pair)
    common = run.finite(pair[0])
    if not common.any():
        return ""
    falls = " and ".join(f"the {one} {_change(run, one)}" for one in pair)
    both = counted(int(common.sum()), each(run))
    lost = "" if common.all() else f" in the {both} finite in both,"
    return f"By the same motion,{lost} {falls}. {_overfitted(run, *pair)}"


def _change(run: Run, measure: str) -> str:
    """Say what the loss did in the finite steps; a redrawn measure's books are of these alone."""
    found, finite = books(run, measure), run.finite(measure)
    if finite.all() or found.estimated:
        return found.change
    return evolve(found, fall=float(np.diff(run.loss(measure))[finite].sum())).change


def _overfitted(run: Run, learned: str, held_out: str) -> str:
    """Name the layers that helped the one and hurt the other, both beyond their errors."""
    train, val = verdicts(run, learned), verdicts(run, held_out)
    unknown = np.isnan([train.error, val.error]).any(axis=0)
    if unknown.all():
        return "Which layers overfitted cannot be told, as their error is not known."
    both = np.flatnonzero(train.helps & val.hurts)
    worst = both[np.argsort(-val.total[both], kind="stable")]
    names = [
        f"{called(train.labels[i])} ({measured(train.total[i], train.error[i])} and "
        f"{measured(val.total[i], val.error[i])})"
        for i in worst
    ]
    left_out = [called(train.labels[i]) for i in np.flatnonzero(unknown)]
    rest = f" Whether {few(left_out)} did is not known." if left_out else ""
    if names:
        return (
            f"{few(names)} helped {learned} and hurt {held_out}, beyond the errors of both.{rest}"
        )
    return f"No layer helped {learned} and hurt {held_out} beyond the errors of both.{rest}"


def _pair(run: Run, measure: str) -> tuple[str, str] | None:
    """Return the measure that is trained on and the one to compare; parts are no measures here."""
    parts = {part for whole in run.measures for part in run.parts(whole)}
    wholes = [one for one in run.measures if one not in parts]
    if measure not in wholes or len(wholes) < 2:
        return None
    first, second, *_ = wholes
    return first, second if measure == first else measure
