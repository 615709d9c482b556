"""Two measures side by side: of the same steps, those that came to finite values in both."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from attrs import evolve

from lca_core.segment import Status

if TYPE_CHECKING:
    from lca_core.run import Run


def on_common_steps(run: Run, *measures: str) -> Run:
    """Return the run with every step that one of these measures lost as lost by all of them.

    Sums over its finite steps are then of the same motion. Running totals stay as they were kept,
    see `same_steps`.

    Args:
        run: a finished run.
        measures: their names.

    Example:
        >>> from lca_core.analyses.common_steps import on_common_steps
        >>> from lca_core.reference import demo_run
        >>> on_common_steps(demo_run(steps=3), "train").finite("train").tolist()
        [True, True, True]
    """
    lost = ~np.logical_and.reduce([run.finite(one) for one in measures])
    status = np.array(run.rows["status"])
    for one in measures:
        status[lost, run.measures.index(one)] = Status.NONFINITE
    return evolve(run, rows={**run.rows, "status": status})


def same_steps(run: Run, *measures: str) -> bool:
    """Return whether these measures lost the same steps, or none.

    Args:
        run: a finished run.
        measures: their names.
    """
    first, *others = (run.finite(one) for one in measures)
    return all(np.array_equal(first, other) for other in others)
