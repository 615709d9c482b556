"""Heroes and villains: on how many steps every parameter helped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lca_core import analyses
from lca_core.figures.samples import of_samples
from lca_core.figures.style import legend, new_figure, tidy, title, without_scale
from lca_core.figures.theme import AUTHORS
from lca_core.summary import books

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lca_core.figures.theme import Theme
    from lca_core.run import Run


BINS = 50


def heroes_and_villains(run: Run, measure: str, *, theme: Theme = AUTHORS) -> Figure:
    """Draw how many parameters helped on which share of the steps on which they moved.

    Args:
        run: a finished run.
        measure: its name.
        theme: how it looks.

    Raises:
        NotRecordedError: the observer `Tallies()` was not asked for.
    """
    found = analyses.heroes_and_villains(run, measure)
    share = 100 * found.share[np.isfinite(found.share)]
    figure = new_figure(3.0, theme)
    axes = figure.add_subplot()
    ends = _ends(share, int(found.steps.max(initial=1)))
    axes.hist(share, bins=ends.tolist(), color=theme.truth, label="parameters")
    if np.isfinite(found.spread) and found.spread > 0:
        x = np.linspace(ends[0], ends[-1], 400)
        width = 100 * found.spread
        normal = np.exp(-((x - 50) ** 2) / (2 * width**2)) / (width * np.sqrt(2 * np.pi))
        axes.plot(
            x,
            share.size * np.diff(ends).max() * normal,
            color=theme.soft,
            lw=1,
            label="if coins decided",
        )
    axes.axvline(50, color=theme.ink, lw=1, ls=":")
    axes.set_xlabel("helped, % of the steps on which it moved")
    axes.set_ylabel("parameters")
    if not share.size:
        without_scale(axes.yaxis)
    tidy(axes, theme)
    legend(figure, axes.get_legend_handles_labels()[0][::-1], theme)
    title(figure, theme, f"{measure}: {_told(run, measure, found)}", of_samples(run, measure))
    return figure


def _told(run: Run, measure: str, found: analyses.HeroesAndVillains) -> str:
    """Say how many moved, and how often most of them helped."""
    if not run.seen(measure).any():
        return books(run, measure).unseen
    moved = int(np.isfinite(found.share).sum())
    if not moved:
        return "no parameter moved"
    low, high = (100 * value for value in found.between(95))
    return f"{moved:,} parameters that moved; 95 % of them between {low:.0f} and {high:.0f} %"


def _ends(share: np.ndarray, steps: int) -> np.ndarray:
    """Return ends of bins around 50 %, no finer than the shares of so many steps."""
    low, high = min(share.min(initial=49), 49), max(share.max(initial=51), 51)
    least = 100 / max(steps, 10)
    width = least * max(round((high - low) / BINS / least), 1)
    first, last = np.floor((low - 50) / width + 0.5), np.ceil((high - 50) / width - 0.5)
    # The middle of the last bin may be 100 %: no share is beyond.
    return np.asarray(np.clip(50 + width * (np.arange(first, last + 2) - 0.5), 0.0, 100.0))
