"""The small pictures of a run in the terminal: its loss, who helps, how large the gaps are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from rich.table import Table
from rich.text import Text

from lca_core.analyses import helping_over_time
from lca_core.cli.charts import Frame, binned, columns, curve, marked, spark
from lca_core.errors import NotRecordedError
from lca_core.summary import booked_loss, number

if TYPE_CHECKING:
    from rich.console import RenderableType

    from lca_core.run import Run

_HEIGHT, _WIDEST, _MARKS = 7, 76, 10
_EDGE = 10
"""Characters for what stands to the left of a picture; more where a number is longer."""


def pictures(run: Run, measure: str, width: int, *, ascii_only: bool) -> RenderableType:
    """Return the loss as a curve, and below it, over the same steps, two spark lines.

    Args:
        run: a finished run, with a step at least.
        measure: its name.
        width: characters.
        ascii_only: draw with what every terminal has.
    """
    frame = _around_loss(run, measure)
    edge = max(_EDGE, *(len(number(value)) for value in (frame.low, frame.high)))
    across = max(min(width - edge - 2, _WIDEST), 16)
    grid = Table.grid(padding=(0, 1))
    grid.add_column(justify="right", width=edge, no_wrap=True)
    grid.add_column(no_wrap=True, width=across)
    _add_loss(grid, run, measure, frame, across, ascii_only=ascii_only)
    _add_helping(grid, run, measure, across, ascii_only=ascii_only)
    _add_gaps(grid, run, measure, across, ascii_only=ascii_only)
    return grid


def _around_loss(run: Run, measure: str) -> Frame:
    """Return the frame of the loss, and of what was booked."""
    return Frame.around(np.concatenate([run.loss(measure), booked_loss(run, measure)]), _HEIGHT)


def _add_loss(
    grid: Table, run: Run, measure: str, frame: Frame, across: int, *, ascii_only: bool
) -> None:
    """Add the loss as a line, with marks at what was booked."""
    loss, booked = run.loss(measure), booked_loss(run, measure)
    lines = curve(loss, across, frame, ascii_only=ascii_only)
    at = columns(len(loss), across)
    chosen = np.unique(np.rint(np.linspace(0, run.steps, _MARKS)).astype(int))
    places = [i for i in chosen.tolist() if np.isfinite(booked[i])]
    for i, row in zip(places, frame.rows(booked[places]).tolist(), strict=True):
        lines = marked(lines, row, int(at[i]), "o")
    edges, ends = [""] * _HEIGHT, np.array([frame.high, frame.low])
    for value, row in zip(ends.tolist(), frame.rows(ends).tolist(), strict=True):
        edges[row] = number(value)
    whose = "loss of its samples" if run.redrawn(measure) else "loss"
    words = f"line: {measure} {whose}; o: first loss + everything allocated since"
    grid.add_row("loss", Text(words, no_wrap=False))
    for edge, line in zip(edges, lines, strict=True):
        grid.add_row(edge, Text.assemble(*(_inked(piece) for piece in line)))
    last = f"step {run.iteration[-1]:,}"
    grid.add_row("", f"0{last:>{across - 1}}")


def _inked(piece: str) -> tuple[str, str]:
    return piece, "bold" if piece == "o" else "blue"


def _add_helping(grid: Table, run: Run, measure: str, across: int, *, ascii_only: bool) -> None:
    """Add the share of moving parameters that help."""
    try:
        share = 100.0 * helping_over_time(run, measure).of_moving
    except NotRecordedError:
        return
    bins = binned(share, across)
    if np.isfinite(bins).any():
        frame = Frame.around(bins, 1)
        ends = _between(f"{frame.low:.1f}", f"{frame.high:.1f}")
        means = ", means of columns" if len(share) > across else ""
        scale = f"{ends} % of the moving parameters help{means}"
        _add_spark(grid, "helping", scale, spark(bins, frame, ascii_only=ascii_only))


def _add_gaps(grid: Table, run: Run, measure: str, across: int, *, ascii_only: bool) -> None:
    """Add the size of the gaps, on a logarithmic scale: the largest of what shares a character."""
    gap = np.where(run.finite(measure), np.abs(run.gap(measure)), np.nan)
    bins = binned(gap, across, np.max)
    drawn = np.log10(bins, out=np.full(bins.shape, np.nan), where=bins > 0.0)
    if np.isfinite(drawn).any():
        ends = _between(f"{bins[bins > 0].min():.1g}", f"{bins[bins > 0].max():.1g}")
        scale = f"{ends}, logarithmic"
        _add_spark(grid, "gap", scale, spark(drawn, Frame.around(drawn, 1), ascii_only=ascii_only))


def _between(low: str, high: str) -> str:
    return low if low == high else f"{low} to {high}"


def _add_spark(grid: Table, name: str, scale: str, line: str) -> None:
    grid.add_row("", "")
    grid.add_row(name, Text(scale, no_wrap=False))
    grid.add_row("", Text(line, "blue"))
