"""Two parameters, step by step: weight, gradient and allocation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lca_core.figures.style import (
    count_steps,
    new_figure,
    note,
    second_axis,
    short,
    tidy,
    title,
    without_scale,
)
from lca_core.figures.theme import AUTHORS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lca_core.figures.theme import Theme
    from lca_core.run import Run


WINDOW = 60


def trajectories(
    run: Run, measure: str, window: slice | None = None, *, theme: Theme = AUTHORS
) -> Figure:
    """Draw the watched parameters of the lowest and the highest LCA over the run.

    They are those that helped and hurt most, if any helped or hurt: what each did is said above
    it. Steps that were not looked at are left out.

    Args:
        run: a finished run.
        measure: its name.
        window: steps to draw; the last sixty by default.
        theme: how it looks.

    Raises:
        NotRecordedError: the observer `Watch(...)` was not asked for.
    """
    watched = run.watched(measure)
    total = _over_the_run(watched.allocation, run.seen(measure))
    chosen = list(dict.fromkeys([int(total.argmin()), int(total.argmax())]))
    within = np.arange(run.steps)[window or slice(max(run.steps - WINDOW, 0), None)]
    steps = within[run.looked_at(measure)[within]]
    figure = new_figure(1.2 + 2.1 * len(chosen), theme)
    grid = figure.subplots(2 * len(chosen), 1, sharex=True, height_ratios=[2, 1] * len(chosen))
    names = short([watched.labels[i] for i in chosen], theme)
    pairs = np.reshape(grid, (-1, 2))
    for (upper, lower), i, name in zip(pairs, chosen, names, strict=True):
        x = run.iteration[1:][steps]
        _lines(upper, x, watched.weight[steps, i], watched.gradient[steps, i], theme)
        values = watched.allocation[steps, i]
        width = float(np.diff(run.iteration)[steps].min()) if len(steps) else 1.0
        lower.bar(x, values, width=0.8 * width, color=theme.signed(values))
        lower.axhline(0, color=theme.ink, lw=0.6)
        lower.set_ylabel("LCA")
        note(upper, f"{name} {_did(total, i)}", theme)
        tidy(lower, theme)
    count_steps(grid[-1])
    if not len(steps):
        without_scale(*(axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)))
    span = _span(run, within) if len(steps) else "no step is drawn"
    title(figure, theme, f"{measure}: {_which(total)}", span)
    return figure


def _over_the_run(allocation: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Return sums over the steps of which something is known; NaN where there are none."""
    total = allocation[seen].sum(axis=0)
    return np.asarray(total if seen.any() else np.full_like(total, np.nan))


def _did(total: np.ndarray, i: int) -> str:
    """Say what a parameter did over the run, and whether others that are watched did more."""
    if np.isnan(total[i]):
        return "over the run: not known"
    if not total[i]:
        return "neither helped nor hurt"
    alike = np.abs(total[np.sign(total) == np.sign(total[i])])
    rank = "" if len(total) == 1 else " most" if abs(total[i]) == alike.max() else " least"
    return f"{'helped' if total[i] < 0 else 'hurt'}{rank}: {total[i]:+.2e}"


def _which(total: np.ndarray) -> str:
    """Say which parameters are drawn."""
    if np.isnan(total).all():
        return "no step was looked at at finite values"
    if len(total) == 1:
        return "the watched parameter"
    return f"of {len(total):,} watched parameters, those of the lowest and the highest LCA"


def _span(run: Run, within: np.ndarray) -> str:
    """Say which part of the run is drawn."""
    if len(within) == run.steps:
        return "all steps are drawn"
    first, last = run.iteration[within[0]] + 1, run.iteration[within[-1] + 1]
    every = f"{run.iteration[-1]:,}"
    return f"steps {first:,} to {last:,} of {every} are drawn; sums are over all {every}"


def _lines(
    axes: Axes, x: np.ndarray, weight: np.ndarray, gradient: np.ndarray, theme: Theme
) -> None:
    """Draw the weight on the left axis, the gradient on the right one, its zero marked."""
    marker = "o" if len(x) < 2 else ""
    axes.plot(x, weight, color=theme.weight, lw=1.2, marker=marker, ms=3)
    axes.set_ylabel("weight")
    tidy(axes, theme)
    right = second_axis(axes, "gradient", theme)
    right.plot(x, gradient, color=theme.gradient, lw=1.0, marker=marker, ms=3)
    right.axhline(0, color=theme.gradient, lw=0.6, ls=":")
    for side, colour in ((axes, theme.weight), (right, theme.gradient)):
        side.yaxis.label.set_color(colour)
        side.tick_params(axis="y", labelcolor=colour)
