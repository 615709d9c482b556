"""Moments of learning: the deepest peaks of every layer, for every class."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lca_core import analyses
from lca_core.errors import AnalysisError
from lca_core.figures.style import GREY, HURT, SMALL, TALLEST, count_steps, new_figure, tidy, title

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lca_core.run import Run


def moments_of_learning(run: Run, measure: str) -> Figure:
    """Draw a dot where a layer's allocation has one of its deepest minima, red where all have.

    Args:
        run: a finished run.
        measure: its name; of a partitioned one, every part has a band of its own.
    """
    parts = list(run.parts(measure)) or [measure]
    layers = run.layout.labels("layer")
    series = np.stack([run.allocation(part).values.T for part in parts])
    try:
        found = analyses.synchrony(series)
    except AnalysisError:  # one layer, or hardly a step: nothing to be aligned
        peaks = analyses.peaks(series)
        aligned, told = np.zeros((len(parts), run.steps), bool), "too few layers or steps to align"
    else:
        peaks, aligned = found.peaks, found.aligned
        told = (
            f"{found.observed} moments shared by all {len(layers)} layers (red), "
            f"{found.expected:.1f} expected if each peak is shifted at random, "
            f"p = {found.p_value:.2g}"
        )
    figure = new_figure(min(1.5 + 0.32 * len(parts) + 0.03 * len(parts) * len(layers), TALLEST))
    axes = figure.add_subplot()
    steps = run.iteration[1:]
    gap = len(layers) + 1
    for c in range(len(parts)):
        for row in range(len(layers)):
            where, y = peaks[c, row], c * gap + row
            plain, shared = where & ~aligned[c], where & aligned[c]
            axes.plot(steps[plain], np.full(plain.sum(), y), ".", color=GREY, ms=3, mew=0)
            axes.plot(steps[shared], np.full(shared.sum(), y), ".", color=HURT, ms=4, mew=0)
    middles = np.arange(len(parts)) * gap + (len(layers) - 1) / 2
    axes.set_yticks(middles, [part.rpartition("/")[2] for part in parts], parse_math=False)
    axes.set_ylim(len(parts) * gap - 1, -1)
    axes.set_xlim(*run.iteration[[0, -1]] + np.array([-0.5, 0.5]))
    axes.tick_params(axis="y", length=0)
    count_steps(axes)
    tidy(axes)
    axes.spines["left"].set_visible(False)
    order = ", ".join(layers) if len(layers) <= 6 else f"{layers[0]} to {layers[-1]}"
    axes.set_title(f"in every band, from the top: {order}", fontsize=SMALL, loc="left", color=GREY)
    title(figure, f"{measure}: the {analyses.PEAKS} deepest minima of every layer's LCA", told)
    return figure
