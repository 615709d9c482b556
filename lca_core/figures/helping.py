"""How many helped: shares of all parameters, step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lca_core.figures.samples import of_samples
from lca_core.figures.style import (
    count_steps,
    fill_steps,
    legend,
    new_figure,
    second_axis,
    shade_nonfinite,
    tidy,
    title,
    without_infinities,
)
from lca_core.figures.theme import AUTHORS
from lca_core.summary import books, span

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lca_core.figures.theme import Theme
    from lca_core.run import Run


def helping_over_time(run: Run, measure: str, *, theme: Theme = AUTHORS) -> Figure:
    """Draw the share of all parameters that helped, stood still and hurt at every step.

    Args:
        run: a finished run.
        measure: its name.
        theme: how it looks.

    Raises:
        NotRecordedError: the observer `Counts()` was left out.
    """
    figure = new_figure(3.4, theme)
    axes = figure.add_subplot()
    _draw_shares(axes, run, measure, theme)
    _draw_helping_of_moved(axes, run, measure, theme)
    axes.axhline(50.0, color=theme.ink, lw=1, ls=":")
    axes.set_ylim(0.0, 100.0)
    axes.margins(x=0.0)
    axes.set_ylabel("parameters (%)")
    count_steps(axes)
    shade_nonfinite(axes, run, measure, theme)
    tidy(axes, theme)
    loss = second_axis(axes, "loss", theme)
    loss.plot(run.iteration, without_infinities(run.loss(measure)), color=theme.ink, lw=1.2,
              label="loss", marker="o" if run.steps < 2 else "", ms=3)  # fmt: skip
    helped, zero, hurt, *rest = axes.collections
    legend(figure, [helped, axes.get_lines()[0], zero, *loss.get_lines(), hurt, *rest], theme)
    found = books(run, measure)
    title(figure, theme, f"{measure}: {found.change} in {span(run)}", of_samples(run, measure))
    return figure


def _draw_shares(axes: Axes, run: Run, measure: str, theme: Theme) -> None:
    """Stack helped, unmoved and hurt, in % of all parameters, one stair a step."""
    counts = run.helping(measure, "leaf")
    seen = run.seen(measure)
    zero = "zero" if run.looked_at(measure).all() else "zero, or not looked at"
    below = np.zeros(run.steps)
    for number, colour, label in (
        (counts.helped, theme.help, "helped"),
        (counts.unmoved, theme.paper, zero),
        (counts.hurt, theme.hurt, "hurt"),
    ):
        above = below + 100.0 * number.sum(axis=1) / max(run.layout.parameters, 1)
        fill_steps(axes, run, seen, below, above, color=colour, label=label)
        below = above


def _draw_helping_of_moved(axes: Axes, run: Run, measure: str, theme: Theme) -> None:
    """Draw helped / (helped + hurt) in %, over a window of about a thirtieth of the run."""
    from matplotlib.patheffects import withStroke

    counts = run.helping(measure, "leaf")
    helped, moved = counts.helped.sum(axis=1), (counts.helped + counts.hurt).sum(axis=1)
    window = 1 + 2 * (run.steps // 60)
    if run.steps:
        helped, moved = (np.convolve(n, np.ones(window), "same") for n in (helped, moved))
    nan = np.full(run.steps, np.nan)
    share = 100.0 * np.divide(helped, moved, out=nan, where=moved > 0)
    over = f", over {window} steps" if window > 1 else ""
    middle = (run.iteration[1:] + run.iteration[:-1]) / 2
    axes.plot(middle, share, color=theme.moving, lw=1.4, marker="o" if run.steps < 2 else "", ms=3,
              path_effects=[withStroke(linewidth=2.8, foreground="white")],
              label=f"helped / (helped + hurt){over}")  # fmt: skip
