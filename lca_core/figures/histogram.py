"""A histogram of signed values on two scales: all of them, and those nearest to zero."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lca_core.figures.style import TEXT, below, instead, new_figure, note, tidy, without_scale

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lca_core.figures.theme import Theme

BINS = 40


def two_scales(
    count: Callable[[np.ndarray], np.ndarray],
    reach: Callable[[float], float],
    mean: float,
    theme: Theme,
    *,
    counted: str,
    value: str,
    empty: str,
) -> Figure:
    """Draw equal bins with an edge at zero, logarithmic and linear; the mean dashed.

    Args:
        count: ends of bins, shape (BINS + 1,) -> how many values lie between, zeros left out.
        reach: share -> the size that this share of all values does not exceed.
        mean: of all values.
        theme: how it looks.
        counted: what is counted.
        value: what the values are.
        empty: what is said where there is no value that is not zero.
    """
    figure = new_figure(2.9, theme)
    left, right = figure.subplots(1, 2)
    some = _bars(left, count, reach(1.0), theme)
    _bars(right, count, reach(0.9), theme)
    for axes, scale in ((left, "log"), (right, "linear")):
        if some:
            axes.axvline(mean, color=theme.ink, lw=1, ls="--")
            axes.set_yscale(scale)
        else:
            without_scale(axes.xaxis, axes.yaxis)
            instead(axes, empty, theme)
        tidy(axes, theme)
    left.set_ylabel(counted, fontsize=TEXT)
    note(left, "all, logarithmic", theme)
    note(right, "nearest 90 %, linear", theme)
    below(figure, theme, f"{value}{'; dashed: mean' * some}")
    return figure


def _bars(
    axes: Axes, count: Callable[[np.ndarray], np.ndarray], reach: float, theme: Theme
) -> bool:
    """Draw the bins up to a size; return whether there was anything."""
    from matplotlib.ticker import MaxNLocator

    ends = np.linspace(-reach, reach, BINS + 1)
    heights = count(ends)
    axes.bar(ends[:-1], heights, width=np.diff(ends), align="edge", lw=0,
             color=theme.signed(ends[1:] - reach / BINS))  # fmt: skip
    axes.ticklabel_format(axis="x", style="sci", scilimits=(0, 0))
    axes.xaxis.set_major_locator(MaxNLocator(4, symmetric=True))
    return bool(heights.any())
