"""Means over runs as training goes on, a line for each arm or layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from attrs import frozen

from lca_core.figures.style import (
    count_steps,
    legend,
    new_figure,
    short,
    tidy,
    title,
    without_infinities,
)
from lca_core.figures.theme import AUTHORS
from lca_core.students_t import interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

    from lca_core.figures.theme import Theme

_HEIGHT = 3.6
"""Inches, with room for a usual legend."""
_DASHES = ("-", "--", "-.")
"""Neighbours in the ramp of colours differ in these too."""


@frozen
class Line:
    """One line.

    Args:
        label: its name.
        steps: where its values lie, shape (X,).
        values: of every run, shape (runs, X); a mean is drawn where all are finite.
    """

    label: str
    steps: np.ndarray
    values: np.ndarray


def means_over_steps(
    lines: Sequence[Line],
    *,
    what: str,
    heading: str,
    level: float | None = None,
    bounds: tuple[float, float] = (-np.inf, np.inf),
    theme: Theme = AUTHORS,
) -> Figure:
    """Draw means over runs; the first line in ink, with a band of its 95 % interval.

    Args:
        lines: the first is what the others are seen beside.
        what: the values are, with their unit.
        heading: above the picture.
        level: of a dotted line to compare with.
        bounds: that no value can exceed; an interval is cut there.
        theme: how it looks.
    """
    first, *others = lines
    figure = new_figure(_HEIGHT, theme)
    axes = figure.add_subplot()
    if level is not None:
        axes.axhline(level, color=theme.ink, lw=0.8, ls=":")
    colours = [theme.ink, *theme.ramp(len(others))]
    names = short([line.label for line in lines], theme)
    for i, (line, name, colour) in enumerate(zip(lines, names, colours, strict=True)):
        mean = _mean(line.values)
        leads = line is first
        dashes = "-" if leads else _DASHES[(i - 1) % len(_DASHES)]
        axes.plot(line.steps, mean, color=colour, lw=1.6 if leads else 1.0, ls=dashes,
                  label=name, zorder=3 if leads else 2,
                  marker="o" if len(line.steps) < 21 else "", ms=2.5)  # fmt: skip
    if len(first.values) > 1:
        mean, half = _mean(first.values), interval(without_infinities(first.values))
        ends = (np.clip(end, *bounds) for end in (mean - half, mean + half))
        axes.fill_between(first.steps, *ends, color=theme.grey, alpha=0.4, lw=0)
    axes.set_ylim(*np.clip(axes.get_ylim(), *bounds))
    axes.set_ylabel(what)
    count_steps(axes)
    tidy(axes, theme)
    legend(figure, axes.get_lines()[-len(lines) :], theme)
    runs = len(first.values)
    band = f"mean of {runs} runs; band: 95 % interval (Student's t) of the first line"
    title(figure, theme, heading, band * (runs > 1))
    return figure


def _mean(values: np.ndarray) -> np.ndarray:
    """Return means over runs; a gap where one of them has no value."""
    return np.asarray(without_infinities(values).mean(axis=0))
