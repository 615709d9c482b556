"""One share in several arms: means over runs, their intervals and every single run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lca_core.figures.bars import height_of, whiskers
from lca_core.figures.style import below, new_figure, short, tidy, title
from lca_core.figures.theme import AUTHORS
from lca_core.students_t import interval

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.figure import Figure

    from lca_core.figures.theme import Theme


def shares_of_arms(
    shares: Mapping[str, np.ndarray],
    *,
    expected: tuple[float, float],
    what: str,
    heading: str,
    theme: Theme = AUTHORS,
) -> Figure:
    """Draw a row an arm: a ring a run, a dot for their mean, whiskers for its interval.

    Args:
        shares: arm -> one value a run, from 0 to 1, shape (runs,), n from 1 up.
        expected: range that is shaded, its lower end dotted.
        what: the share is of.
        heading: above the picture.
        theme: how it looks.
    """
    place = np.arange(len(shares))
    percent = [100 * np.asarray(values, float) for values in shares.values()]
    means = np.array([values.mean() for values in percent])
    halves = np.array([float(interval(values)) for values in percent])
    figure = new_figure(height_of(len(place), beside=1.5), theme)
    axes = figure.add_subplot()
    low, high = (100 * end for end in expected)
    axes.axvspan(low, high, color=theme.pale, lw=0, zorder=0)
    axes.axvline(low, color=theme.ink, lw=1, ls=":")
    for i, values in enumerate(percent):
        axes.plot(values, np.full(len(values), i), "o", mfc="none", mec=theme.soft, mew=0.5, ms=3.5)
    axes.plot(means, place, "o", color=theme.ink, ms=3.5)
    known = whiskers(axes, means, halves, place, theme)
    axes.set_yticks(place, short(list(shares), theme), parse_math=False)
    axes.set_ylim(len(place) - 0.4, -0.6)
    tidy(axes, theme)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    below(
        figure,
        theme,
        what,
        f"rings: single runs; dots: their mean; shaded: {low:.0f} to {high:.0f} %",
        "whiskers: 95 % interval (Student's t)" * known,
    )
    title(figure, theme, heading)
    return figure
