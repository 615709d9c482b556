"""Candidates for freezing, pruning or another start: who hurts, and who does nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from attrs import frozen

from lca_core.errors import AnalysisError

if TYPE_CHECKING:
    from lca_core.layout import By
    from lca_core.run import Run


@frozen
class Candidate:
    """A group of parameters whose motion did not pay.

    Args:
        name: of the group.
        reason: "hurts" (its total is above its ±) or "idle" (within it, and small).
        total: its allocation over the window, loss units.
        error: ± of the total.
    """

    name: str
    reason: str
    total: float
    error: float

    @property
    def if_frozen(self) -> float:
        """Change of the loss to expect had it stood still and all others moved as they did.

        They would not have, so it is an expectation and no promise: train again and see.
        """
        return -self.total


def candidates(
    run: Run,
    measure: str,
    by: By = "layer",
    *,
    window: slice = slice(None),
    idle: float = 0.001,
) -> tuple[Candidate, ...]:
    """Return the groups that hurt, worst first, and then those that do nothing.

    A group whose ± is not known is neither.

    Args:
        run: a finished run.
        measure: its name.
        by: "leaf", "layer", or a function of a `Leaf` that names its group.
        window: steps to look at, `slice(-100, None)` for the last hundred.
        idle: a group does nothing if |total| and its ± are below this share of all |totals|.

    Raises:
        AnalysisError: the window is no slice or empty, or nothing finite is known of its steps.

    Example:
        >>> from lca_core.analyses import candidates
        >>> from lca_core.reference import demo_run
        >>> candidates(demo_run(), "train")
        ()
    """
    if not hasattr(window, "indices"):  # a number would be read as a single step
        msg = f"The window is a slice of steps, as slice(-100, None), got {window!r}."
        raise AnalysisError(msg)
    seen, finite = run.seen(measure)[window], run.finite(measure)[window]
    if not seen.size:
        msg = f"The window {window} holds none of the run's {run.steps} steps."
        raise AnalysisError(msg)
    if not seen.any():
        msg = (
            f"No step of '{measure}' in the window {window} was looked at at finite values: "
            "nothing is known of it."
        )
        raise AnalysisError(msg)
    labels, values = run.allocation(measure, by)
    total, error = values[window][finite].sum(axis=0), run.error(measure, by, window).values
    small = idle * np.abs(total).sum()
    found = [
        Candidate(name, reason, float(t), float(e))
        for name, t, e in zip(labels, total, error, strict=True)
        if (reason := _reason(t, e, small))
    ]
    return tuple(sorted(found, key=lambda one: (one.reason != "hurts", -one.total)))


def _reason(total: float, error: float, small: float) -> str:
    if total > error:
        return "hurts"
    return "idle" if abs(total) <= small and error <= small else ""
