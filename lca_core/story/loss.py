"""How far the loss fell, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lca_core.summary import books, number, span

if TYPE_CHECKING:
    from lca_core.run import Run


def loss_passage(run: Run, measure: str) -> str:
    """Say where the loss began and ended."""
    loss, found = run.loss(measure), books(run, measure)
    if not run.steps:
        return f"No step was recorded; the {measure} loss stands at {number(found.start)}."
    if not found.seen:
        return f"The {measure} loss change is not known over {span(run)}, as {found.unseen}."
    if found.estimated or not np.isfinite(loss[[0, -1]]).all():
        return f"The {measure} {found.change} over {span(run)}."
    if found.start == found.end:
        return f"The {measure} {found.change}, where it began, over {span(run)}."
    ends = f"from {number(found.start)} to {number(found.end)}"
    return f"The {measure} {found.change}, {ends}, over {span(run)}{_half(run, loss)}."


def _half(run: Run, loss: np.ndarray) -> str:
    """Say when half of a fall was done."""
    if loss[-1] >= loss[0] or run.steps < 2:
        return ""
    below = loss <= (loss[0] + loss[-1]) / 2
    return f"; half of it by step {run.iteration[int(below.argmax())]:,}"
