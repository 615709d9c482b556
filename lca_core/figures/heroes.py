"""Heroes and villains: on how many steps every parameter helped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lca_core import analyses
from lca_core.figures.style import BLUE, GREY, INK, legend, new_figure, tidy, title

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lca_core.run import Run


BINS = 50


def heroes_and_villains(run: Run, measure: str) -> Figure:
    """Draw how many parameters helped on which share of the steps on which they moved.

    Args:
        run: a finished run.
        measure: its name.

    Raises:
        NotRecordedError: the observer `Tallies()` was not asked for.
    """
    found = analyses.heroes_and_villains(run, measure)
    share = 100 * found.share[np.isfinite(found.share)]
    figure = new_figure(3.0)
    axes = figure.add_subplot()
    low, high = (float(share.min()), float(share.max())) if share.size else (0.0, 100.0)
    ends = np.linspace(min(low, 49.0), max(high, 51.0), BINS + 1)
    axes.hist(share, bins=ends.tolist(), color=BLUE, label="parameters")
    if np.isfinite(found.spread) and found.spread > 0:
        x = np.linspace(ends[0], ends[-1], 400)
        width = 100 * found.spread
        normal = np.exp(-((x - 50) ** 2) / (2 * width**2)) / (width * np.sqrt(2 * np.pi))
        axes.plot(x, share.size * (ends[1] - ends[0]) * normal, color=GREY, lw=1, label="coins")
    axes.axvline(50, color=INK, lw=1, ls=":")
    axes.set_xlabel("helped, % of the steps on which it moved")
    axes.set_ylabel("parameters")
    tidy(axes)
    legend(figure, [*axes.patches[:1], *axes.get_lines()[:1]], columns=2)
    if share.size:
        inner = [100 * value for value in found.between(95)]
        range_ = f"95 % of them between {inner[0]:.0f} and {inner[1]:.0f} %"
    else:
        range_ = "nothing moved"
    title(figure, f"{measure}: {share.size:,} parameters that moved; {range_}")
    return figure
