"""Which layers hurt beyond their error, and of which it cannot be told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lca_core.analyses import verdicts
from lca_core.words import called, few, named

if TYPE_CHECKING:
    from lca_core.analyses import Verdicts
    from lca_core.run import Run


def hurt_passage(run: Run, measure: str) -> str:
    """Name the layers that hurt, the worst first, and those within their error."""
    if not run.seen(measure).any():
        return ""
    found = verdicts(run, measure)
    unknown = np.isnan(found.error)
    if unknown.all():
        return _without_errors(found)
    still = (found.total == 0) & (found.error == 0)
    within = ~found.hurts & ~found.helps & ~still & ~unknown
    hurt, untold, open_ = (_named(found, some) for some in (found.hurts, within, unknown))
    names = [called(found.labels[i]) for i in np.flatnonzero(still)]
    sentences = [
        f"{few(hurt)} hurt beyond {_their(hurt)}." if hurt else "No layer hurt beyond its error.",
        f"Whether {few(untold)} helped or hurt cannot be told: {_the_sum(untold)}."
        if untold
        else "",
        f"Whether {few(open_)} helped or hurt is not known: {_no_error(open_)}." if open_ else "",
        f"{few(names)} did nothing at all: no motion, or no gradient." if names else "",
    ]
    return " ".join(filter(None, sentences))


def _without_errors(found: Verdicts) -> str:
    """Say what the sums alone say."""
    positive = _named(found, found.total > 0)
    sums = f"; by the sums alone, {few(positive)} hurt" if positive else "; no sum is positive"
    return f"Whether a layer hurt cannot be told, as its error is not known{sums}."


def _named(found: Verdicts, chosen: np.ndarray) -> list[str]:
    """Write the chosen layers, the largest totals first."""
    order = np.argsort(-found.total, kind="stable")
    return [named(found.labels[i], found.total[i], found.error[i]) for i in order if chosen[i]]


def _their(names: list[str]) -> str:
    return "its error" if len(names) == 1 else "their errors"


def _no_error(names: list[str]) -> str:
    return "it has no ±" if len(names) == 1 else "they have no ±"


def _the_sum(names: list[str]) -> str:
    return (
        "its sum is within its error" if len(names) == 1 else "their sums are within their errors"
    )
