"""Do the books close? The loss, what was allocated, and the gap."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lca_core.figures.style import (
    count_steps,
    instead,
    legend,
    new_figure,
    shade_nonfinite,
    tidy,
    title,
    without_infinities,
    without_scale,
)
from lca_core.figures.theme import AUTHORS
from lca_core.segment import Status
from lca_core.summary import booked_loss, books

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lca_core.figures.theme import Theme
    from lca_core.run import Run


_HUGE = 1e100
"""A gap from which on the usual ticks of a logarithmic axis reach beyond what a float holds."""


def loss_and_allocation(run: Run, measure: str, *, theme: Theme = AUTHORS) -> Figure:
    """Draw the true loss against L_0 plus everything allocated since, and the gap of every step.

    Of a redrawn measure, the loss is that of its samples, and the line an estimate with its 95 %.

    Args:
        run: a finished run.
        measure: its name.
        theme: how it looks.
    """
    figure = new_figure(4.2, theme)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1.8))
    seen = "loss of the steps' samples" if run.redrawn(measure) else "true loss"
    loss, booked = map(without_infinities, (run.loss(measure), booked_loss(run, measure)))
    upper.plot(run.iteration, loss, label=seen, color=theme.truth, lw=5, ms=9,
               solid_capstyle="round", **_marked(loss))  # fmt: skip
    upper.plot(run.iteration, booked, label="L₀ + everything allocated since",
               color=theme.ink, lw=1.1, ls=(0, (4, 2)), ms=3, **_marked(booked))  # fmt: skip
    _shade_error(upper, run, measure, booked, theme)
    upper.set_ylabel("loss")
    _draw_gaps(lower, run, measure, theme)
    count_steps(lower)
    for axes in (upper, lower):
        shade_nonfinite(axes, run, measure, theme)
        tidy(axes, theme)
    upper.margins(x=0.02)
    handles = [*upper.get_lines(), *lower.get_lines(), *upper.collections]
    legend(figure, handles, theme)
    found = books(run, measure)
    title(figure, theme, f"{measure}: {found.change}; {found.sums}", found.closing)
    return figure


def _marked(values: np.ndarray) -> dict[str, Any]:
    """Return how points are marked that have no line: those whose neighbours are not known."""
    if len(values) < 3:
        return {"marker": "o"}
    known = np.pad(np.isfinite(values), 1)
    alone = known[1:-1] & ~known[:-2] & ~known[2:]
    return {"marker": "o", "markevery": np.flatnonzero(alone).tolist()} if alone.any() else {}


def _shade_error(axes: Axes, run: Run, measure: str, booked: np.ndarray, theme: Theme) -> None:
    """Shade the 95 % of all that a redrawn measure has allocated since the start."""
    if not run.redrawn(measure):
        return
    half = run.draws(measure, by=lambda _: "all").since_the_start[:, 0]
    axes.fill_between(run.iteration, booked - half, booked + half, color=theme.grey, alpha=0.4,
                      lw=0, label="95 % of sampling")  # fmt: skip


def _draw_gaps(axes: Axes, run: Run, measure: str, theme: Theme) -> None:
    """Draw |gap| of every step, in the hurt colour where it did not close, and the noise floor."""
    axes.set_ylabel("|gap| (loss units)")
    if run.redrawn(measure):
        instead(axes, "not known of samples", theme)
        without_scale(axes.yaxis)
        return
    step, gap = run.iteration[1:], np.abs(run.gap(measure))
    drawn = run.finite(measure) & (gap > 0.0)
    closed = run.status(measure) == Status.OK
    noise = without_infinities(run.noise(measure))
    axes.plot(step, noise, color=theme.grey, lw=0.8, marker="_" if run.steps < 2 else "",
              label="noise floor")  # fmt: skip
    axes.plot(step[drawn & closed], gap[drawn & closed], ".", color=theme.ink, ms=3, mew=0,
              label="gap of a closed step")  # fmt: skip
    if (drawn & ~closed).any():
        axes.plot(step[drawn & ~closed], gap[drawn & ~closed], "D", color=theme.hurt, ms=3, mew=0,
                  label="gap of an open step")  # fmt: skip
    if drawn.any() or (noise > 0.0).any():  # a logarithmic axis needs something to show
        axes.set_yscale("log")
        _label_few(axes)
        if max(gap[drawn].max(initial=0.0), noise[np.isfinite(noise)].max(initial=0.0)) > _HUGE:
            axes.set_yticks(np.logspace(-300, 300, 13))
            axes.set_yticks([], minor=True)
    elif not np.isfinite(noise).any():
        without_scale(axes.yaxis)


def _label_few(axes: Axes) -> None:
    """Number 1, 2 and 4 of every power of ten where there are few: more would overlap."""
    from matplotlib.ticker import LogFormatterSciNotation, LogLocator

    low, high = axes.get_ylim()
    if high < 1e3 * low:
        axes.yaxis.set_minor_locator(LogLocator(subs=(2.0, 4.0)))
        axes.yaxis.set_minor_formatter(LogFormatterSciNotation(minor_thresholds=(3, 0.4)))
