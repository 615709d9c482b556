"""How all allocations of all steps and parameters are distributed, two scales."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lca_core import analyses
from lca_core.figures.style import GREY, HELP, HURT, INK, SMALL, TEXT, new_figure, tidy, title

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lca_core.results import Histogram
    from lca_core.run import Run


BINS = 40


def distribution(run: Run, measure: str) -> Figure:
    """Draw the histogram of all allocations that are not zero, logarithmic and linear.

    Args:
        run: a finished run.
        measure: its name.

    Raises:
        NotRecordedError: the observer `Distribution()` was not asked for.
    """
    spread = analyses.distribution(run, measure, by=lambda _: "all")
    found = spread.histogram
    figure = new_figure(2.9)
    left, right = figure.subplots(1, 2)
    mean = float(spread.mean.sum())
    for axes, most, scale in ((left, 1.0, "log"), (right, 0.9, "linear")):
        _bars(axes, found, most)
        axes.axvline(mean, color=INK, lw=1, ls="--")
        if found.sizes.any():  # a logarithm needs something to show
            axes.set_yscale(scale)
        tidy(axes)
    left.set_ylabel("parameters x steps")
    left.set_title("all values, logarithmic", fontsize=SMALL, color=GREY)
    right.set_title("the 90 % nearest to zero, linear", fontsize=SMALL, color=GREY)
    figure.supxlabel("allocation (loss units); dashed: the mean", fontsize=TEXT)
    helped, nothing, hurt = (100 * float(share[0]) for share in spread.shares)
    alpha = spread.tail_index()[0]
    title(
        figure,
        f"{measure}: {int(spread.count[0]):,} allocations of {run.layout.parameters:,} parameters "
        f"over {run.steps:,} steps; mean {mean:.2g}",
        f"{helped:.1f} % helped, {nothing:.1f} % were zero (not drawn), {hurt:.1f} % hurt; tail "
        f"index {alpha:.1f}",
    )
    return figure


def _bars(axes: Axes, found: Histogram, most: float) -> None:
    """Draw equal bins, one edge at zero, over the values that this share is not larger than."""
    reach = _reach(found, most)
    ends = np.linspace(-reach, reach, BINS + 1)
    height = _rebinned(found, ends)
    colours = [HELP if end <= 0 else HURT for end in ends[1:]]
    axes.bar(ends[:-1], height, width=np.diff(ends), align="edge", color=colours, lw=0)
    axes.ticklabel_format(axis="x", style="sci", scilimits=(0, 0))


def _reach(found: Histogram, most: float) -> float:
    """Return the size that a share of all values that are not zero does not exceed."""
    sizes = found.sizes.sum(axis=0)
    if not sizes.any():
        return 1.0
    last = int(np.searchsorted(np.cumsum(sizes), most * sizes.sum()))
    return float(found.edges[found.zero + 2 :][last])


def _rebinned(found: Histogram, ends: np.ndarray) -> np.ndarray:
    """Spread every bin evenly over the equal ones; zeros are left out."""
    shown = found.counts.sum(axis=0).astype(float)
    shown[found.zero] = 0.0
    below = np.concatenate([[0.0], np.cumsum(shown)])
    return np.diff(np.interp(ends, found.edges, below))
