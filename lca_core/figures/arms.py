"""Two arms of an experiment: what every layer did, and where the loss went."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen

from lca_core import analyses
from lca_core.analyses.hurting import common_labels, of_known
from lca_core.figures.bars import height_of, name_bars, whiskers
from lca_core.figures.seeds import final_loss
from lca_core.figures.style import (
    count_steps,
    legend,
    new_figure,
    tidy,
    title,
    without_infinities,
    without_scale,
)
from lca_core.figures.theme import AUTHORS
from lca_core.students_t import interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lca_core.figures.theme import Theme
    from lca_core.run import Run

_NARROW = 4.0
"""Inches; below, the two panels stand one above the other."""


@frozen
class _Arm:
    """One arm, and how it is drawn."""

    name: str
    runs: Sequence[Run]
    hatch: str
    line: str
    shift: float


def two_arms(
    runs: Sequence[Run],
    measure: str,
    against: Sequence[Run],
    *,
    names: tuple[str, str] = ("first", "second"),
    theme: Theme = AUTHORS,
) -> Figure:
    """Draw every layer's allocation in two arms, solid against hatched, and both losses.

    Args:
        runs: the first arm; one run or several.
        measure: its name.
        against: the second arm; of the same network.
        names: of the arms.
        theme: how it looks.

    Raises:
        AnalysisError: the layers differ, in names or parameters.

    Source: LCA paper (arXiv:1909.01440): the last layer frozen, ten runs an arm.
    """
    numbered = {str(i): run for i, run in enumerate([*runs, *against])}
    common_labels(list(numbered.values()), "layer")  # refuses runs of different networks
    found = analyses.compare(numbered, measure)
    arms = (
        _Arm(names[0], runs, "", "-", -0.2),
        _Arm(names[1], against, "//////", "--", 0.2),
    )
    several = max(len(runs), len(against)) > 1
    figure, left, right = _panels(len(found.labels), theme)
    known = False
    for arm, own in zip(arms, (slice(len(runs)), slice(len(runs), None)), strict=True):
        totals = of_known(found.total[own])
        half = interval(totals) if several else found.error[own][0]
        known |= _draw_bars(left, arm, totals.mean(axis=0), half, theme)
        _draw_loss(right, arm, measure, theme)
    name_bars(left, found.labels, np.nan_to_num(np.abs(found.total)).max(axis=0), theme)
    if not any(run.seen(measure).any() for run in (*runs, *against)):
        without_scale(left.xaxis)
    left.set_xlabel(f"allocation over the run\n({'mean of runs, ' * several}loss units)")
    right.set_ylabel("loss")
    count_steps(right)
    tidy(right, theme)
    legend(figure, [_key(arm, theme) for arm in arms], theme)
    kind = "95 % interval of the mean (Student's t)" if several else "± error"
    title(
        figure,
        theme,
        f"{measure}: {names[0]} at the end: a loss of {final_loss(runs, measure)}, "
        f"{names[1]}: {final_loss(against, measure)}",
        f"{'whiskers and bands' if several else 'whiskers'}: {kind}" * known,
    )
    return figure


def _panels(layers: int, theme: Theme) -> tuple[Figure, Axes, Axes]:
    """Return a panel for bars and one for losses, side by side where there is room."""
    wide = theme.width > _NARROW
    height = height_of(layers, each=0.34, beside=1.9 if wide else 3.9)
    figure = new_figure(height, theme)
    if wide:
        left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    else:
        left, right = figure.subplots(2, 1, height_ratios=(max(height - 3.4, 1.0), 1.6))
    return figure, left, right


def _draw_bars(axes: Axes, arm: _Arm, total: np.ndarray, half: np.ndarray, theme: Theme) -> bool:
    """Draw a bar a layer, beside the other arm's; return whether there was a whisker."""
    place = np.arange(len(total)) + arm.shift
    colours = theme.signed(total)
    axes.barh(place, total, height=0.32, hatch=arm.hatch, edgecolor=colours, linewidth=0.8,
              color=[theme.paper] * len(total) if arm.hatch else colours)  # fmt: skip
    return whiskers(axes, total, half, place, theme)


def _draw_loss(axes: Axes, arm: _Arm, measure: str, theme: Theme) -> None:
    """Draw the mean loss and a band of its interval, at the steps that all runs of the arm have."""
    x = reduce(np.intersect1d, [run.iteration for run in arm.runs])
    losses = np.array([run.loss(measure)[np.isin(run.iteration, x)] for run in arm.runs])
    losses = without_infinities(losses)
    mean, half = losses.mean(axis=0), interval(losses)
    axes.fill_between(x, mean - half, mean + half, color=theme.grey, alpha=0.4, lw=0)
    axes.plot(x, mean, color=theme.ink, lw=1.2, ls=arm.line, label=arm.name,
              marker="o" if len(x) < 3 else "", ms=3)  # fmt: skip


def _key(arm: _Arm, theme: Theme) -> Any:
    """Return what the legend shows of an arm: its bars' filling, and its line's dashes."""
    from matplotlib.patches import Patch

    runs = f"{len(arm.runs)} run{'s' * (len(arm.runs) > 1)}"
    line = "solid" if arm.line == "-" else "dashed"
    return Patch(hatch=arm.hatch, label=f"{arm.name} ({runs}; loss {line})", edgecolor=theme.ink,
                 facecolor=theme.paper if arm.hatch else theme.ink)  # fmt: skip
