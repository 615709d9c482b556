"""Who did the work: every layer's allocation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lca_core.figures.style import (
    HELP,
    HURT,
    INK,
    MOST_BARS_LABELLED,
    TALLEST,
    TEXT,
    new_figure,
    short,
    tidy,
    title,
)
from lca_core.summary import books

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lca_core.run import Run


def allocation_by_layer(run: Run, measure: str) -> Figure:
    """Draw every layer's allocation summed over the run as a bar, with its ± where known.

    Args:
        run: a finished run.
        measure: its name.
    """
    labels, values = run.allocation(measure, "layer")
    total = values[run.finite(measure)].sum(axis=0)
    error = run.error(measure, "layer").values
    known, place = np.isfinite(error) & (error > 0.0), np.arange(len(labels))
    figure = new_figure(min(1.4 + 0.24 * max(len(labels), 3), TALLEST))
    axes = figure.add_subplot()
    axes.barh(place, total, height=0.72, color=[HELP if lca < 0 else HURT for lca in total])
    axes.errorbar(total[known], place[known], xerr=error[known], fmt="none",
                  ecolor=INK, elinewidth=0.9, capsize=2)  # fmt: skip
    axes.axvline(0.0, color=INK, lw=0.8)
    axes.set_ylim(max(len(labels), 1) - 0.4, -0.6)
    _label_bars(axes, labels, run.layout.group_sizes("layer"))
    found = books(run, measure)
    figure.supxlabel(
        f"allocation summed over {found.span} (loss units)\n"
        f"negative helped, positive hurt{'; whiskers: ± error' * bool(known.any())}",
        fontsize=TEXT,
    )
    title(figure, f"{measure}: {found.change}; {found.sums}")
    return figure


def _label_bars(axes: Axes, labels: tuple[str, ...], sizes: np.ndarray) -> None:
    """Name the layers on the left, count their parameters on the right."""
    every = max(-(-len(labels) // MOST_BARS_LABELLED), 1)
    place = np.arange(len(labels))[::every]
    axes.set_yticks(place, [short(label) for label in labels[::every]], parse_math=False)
    right = axes.secondary_yaxis("right")
    right.set_yticks(place, [f"{size:,}" for size in sizes[::every]])
    right.set_ylabel("parameters", fontsize=TEXT)
    for side in (axes, right):
        tidy(side)
        side.tick_params(axis="y", length=0)
        side.spines[["left", "right"]].set_visible(False)
