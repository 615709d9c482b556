"""Layers whatever their size: allocation per parameter, and what share of them helps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lca_core import analyses
from lca_core.figures.bars import beside_bars, height_of, name_bars, whiskers, without_bars
from lca_core.figures.samples import of_samples
from lca_core.figures.style import instead, legend, new_figure, tidy, title, without_scale
from lca_core.figures.theme import AUTHORS
from lca_core.summary import books, span

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lca_core.figures.theme import Theme
    from lca_core.run import Run

_NARROW = 4.0
"""Inches."""


def allocation_per_parameter(run: Run, measure: str, *, theme: Theme = AUTHORS) -> Figure:
    """Draw every layer's allocation divided by its parameters, and its share of helpers.

    Args:
        run: a finished run.
        measure: its name.
        theme: how it looks.

    Raises:
        NotRecordedError: the observer `Counts()` was left out.
    """
    found, sizes = analyses.verdicts(run, measure), run.layout.group_sizes("layer")
    share = 100 * run.helping(measure, "layer").share
    figure = new_figure(height_of(len(sizes), beside=1.7), theme)
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    place, each = np.arange(len(sizes)), found.total / np.maximum(sizes, 1)
    left.barh(place, each, height=0.72, color=theme.signed(each))
    known = whiskers(left, each, found.error / np.maximum(sizes, 1), place, theme)
    name_bars(left, found.labels, each, theme)
    if theme.width < _NARROW:  # small numbers are long, and would run together
        left.locator_params(axis="x", nbins=2, min_n_ticks=2)
    left.set_xlabel("LCA per parameter\n(loss units)")
    if not (known or np.nan_to_num(each).any()):
        without_bars(left)
    if np.isfinite(share).any():
        _draw_shares(right, share, theme)
        legend(figure, right.get_lines()[:2], theme)
    else:
        without_scale(right.xaxis)
        instead(right, "nothing moved" if run.seen(measure).any() else "not known", theme)
    _frame(right, theme)
    beside_bars(right, [f"{size:,}" for size in sizes], "parameters", theme)
    closing = books(run, measure)
    title(
        figure,
        theme,
        f"{measure}: {closing.change} in {span(run)}; allocation of every layer divided by its "
        f"number of parameters{'; whiskers: ± error' * known}",
        of_samples(run, measure),
    )
    return figure


def _draw_shares(axes: Axes, share: np.ndarray, theme: Theme) -> None:
    """Draw mean and largest share over the steps on which a layer moved, layer by layer."""
    place = np.flatnonzero(np.isfinite(share).any(axis=0))
    some = share[:, place]
    for values, face, label in (
        (np.nanmean(some, axis=0), theme.ink, "mean over steps"),
        (np.nanmax(some, axis=0), "none", "largest of a step"),
    ):
        axes.plot(values, place, "o", color=theme.ink, mfc=face, ms=4, label=label, clip_on=False)
    axes.axvline(50, color=theme.ink, lw=1, ls=":")
    axes.set_xlim(0, 102)


def _frame(axes: Axes, theme: Theme) -> None:
    """Say what lies along the bottom; the layers have their names on the left panel."""
    axes.set_xlabel("helped\n(% of those that moved)")
    tidy(axes, theme)
    axes.tick_params(axis="y", length=0, labelleft=False)
    axes.spines["left"].set_visible(False)
