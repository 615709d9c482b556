"""Who did the work over several runs: mean, interval and test of every layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lca_core import analyses
from lca_core.figures.bars import beside_bars, height_of, name_bars, whiskers
from lca_core.figures.style import below, new_figure, title, without_scale
from lca_core.figures.theme import AUTHORS
from lca_core.students_t import interval
from lca_core.summary import span
from lca_core.words import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

    from lca_core.figures.theme import Theme
    from lca_core.run import Run


def allocation_over_runs(runs: Sequence[Run], measure: str, *, theme: Theme = AUTHORS) -> Figure:
    """Draw every layer's mean allocation over runs, its 95 % interval, and every single run.

    Args:
        runs: at least two of the same network; differing in seed, say.
        measure: its name.
        theme: how it looks.

    Raises:
        AnalysisError: fewer than two runs, or their layers differ.

    Source: LCA paper (arXiv:1909.01440), "Some layers hurt overall"; see `analyses.over_runs`.
    """
    found = analyses.over_runs(runs, measure)
    place = np.arange(len(found.labels))
    figure = new_figure(height_of(len(place), beside=1.75), theme)
    axes = figure.add_subplot()
    axes.barh(place, found.mean, height=0.72, color=theme.signed(found.mean))
    for totals in found.totals:
        axes.plot(totals, place, "o", mfc="none", mec=theme.ink, mew=0.5, ms=3, alpha=0.7)
    whiskers(axes, found.mean, found.interval, place, theme)
    name_bars(axes, found.labels, found.mean, theme)
    if not any(run.seen(measure).any() for run in runs):
        without_scale(axes.xaxis)
    beside_bars(axes, [probability(p) for p in found.corrected], "p of “mean is 0”", theme)
    below(
        figure,
        theme,
        f"allocation summed over {_span(runs)} (loss units): {_mean_of(found.totals)}",
        "negative helped, positive hurt; whiskers: 95 % interval (Student's t); rings: single "
        "runs; p: t-test, Holm-corrected for the number of layers",
    )
    title(figure, theme, f"{measure}: final loss {final_loss(runs, measure)}")
    return figure


def final_loss(runs: Sequence[Run], measure: str) -> str:
    """Return the mean loss at the end in words, ± its 95 % interval if there are several runs.

    Runs whose loss is not finite in the end are counted beside it.
    """
    ends = np.array([run.loss(measure)[-1] for run in runs])
    known = ends[np.isfinite(ends)]
    if not known.size:
        return "not finite"
    half = float(interval(known))
    error = f" ± {half:.2g}" if np.isfinite(half) else ""
    of = f" (mean of {len(known)} runs)" if len(known) > 1 else ""
    lost = len(ends) - len(known)
    return f"{known.mean():.3g}{error}{of}" + f", {lost} not finite" * bool(lost)


def _mean_of(totals: np.ndarray) -> str:
    """Say how many runs there is a mean of, and how many have nothing in it."""
    lost = int(np.isnan(totals).any(axis=1).sum())
    rest = f"; {lost} lost every step" if lost else ""
    return f"mean of {counted(len(totals) - lost, 'run')}{rest}"


def probability(p: float) -> str:
    """Return a probability in few letters; nothing where there was no test."""
    if not np.isfinite(p):
        return ""
    return f"{p:.2g}" if p >= 1e-4 else "< 0.0001"


def _span(runs: Sequence[Run]) -> str:
    """Say over how many steps of the training the runs go."""
    spans = {span(run) for run in runs}
    if len(spans) == 1:
        return spans.pop()
    trained = [int(run.iteration[-1]) for run in runs]
    return f"{min(trained):,} to {counted(max(trained), 'step')}"
