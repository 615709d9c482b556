"""Moments of learning: the deepest peaks of every layer, for every class."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lca_core import analyses
from lca_core.errors import AnalysisError
from lca_core.figures.style import (
    TALLEST,
    count_steps,
    instead,
    new_figure,
    note,
    short,
    tidy,
    title,
)
from lca_core.figures.theme import AUTHORS
from lca_core.words import counted, expected

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lca_core.analyses.moments import Quantity
    from lca_core.figures.theme import Theme
    from lca_core.run import Run

_PEAKS = {
    "allocation": "deepest minima of every layer's LCA",
    "gradient": "highest peaks of the length of every layer's gradient",
    "motion": "highest peaks of the length of every layer's motion",
}


def moments_of_learning(
    run: Run,
    measure: str,
    of: Quantity = "allocation",
    *,
    count: int = analyses.PEAKS,
    theme: Theme = AUTHORS,
) -> Figure:
    """Draw a dot where a layer has one of its peaks, in colour where all layers have one.

    Gradient and motion are the controls: are they as synchronous as the learning is?

    Args:
        run: a finished run.
        measure: its name; of a partitioned one, every part has a band of its own. All parts
            share one motion.
        of: "allocation", whose minima are drawn, or "gradient" or "motion", maxima.
        count: peaks of every layer.
        theme: how it looks.

    Raises:
        NotRecordedError: "gradient" or "motion", and the observer `Sizes()` was not asked for.
    """
    moments = analyses.Moments.of(run, measure, of, count=count)
    parts, layers = moments.parts, run.layout.labels("layer")
    peaks, aligned = moments.peaks, moments.aligned
    unknown = _unknown(run, parts, of)
    told = unknown or (_tested(moments, theme) if peaks.any() else "")
    rows = len(parts) * len(layers)
    figure = new_figure(min(1.5 + 0.32 * len(parts) + 0.03 * rows, TALLEST), theme)
    axes = figure.add_subplot()
    gap = len(layers) + 1
    for shared, colour, size in ((False, theme.grey, 4), (True, theme.hurt, 5)):
        c, row, t = np.nonzero(peaks & (aligned[:, None] == shared))
        axes.plot(run.iteration[1:][t], c * gap + row, ".", color=colour, ms=size, mew=0)
    if not peaks.any():
        known = any(run.seen(part).any() for part in parts) and not unknown
        instead(axes, "no layer had a peak" if known else "not known", theme)
    middles = np.arange(len(parts)) * gap + (len(layers) - 1) / 2
    axes.set_yticks(middles, [part.removeprefix(f"{measure}/") for part in parts], parse_math=False)
    axes.set_ylim(len(parts) * gap - 1, -1)
    axes.set_xlim(*run.iteration[[0, -1]] + np.array([-0.5, 0.5]))
    count_steps(axes)
    tidy(axes, theme)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    note(axes, f"in every band, from the top:{_order(layers, theme)}", theme)
    title(figure, theme, f"{measure}: {_many(moments)} {_PEAKS[of]}", told)
    return figure


def _unknown(run: Run, parts: tuple[str, ...], of: Quantity) -> str:
    """Say why nobody knows the moments, "" where somebody does."""
    if of != "motion" and any(map(run.redrawn, parts)):
        return "not known of samples: the luck of one moves all layers at once"
    if not all(run.looked_at(part).all() for part in parts):
        return "not all steps were looked at, and a peak is seen beside its neighbours alone"
    return ""


def _many(moments: analyses.Moments) -> str:
    """Say how many peaks every layer has, at most where one has fewer."""
    all_of_them = (moments.peaks.sum(axis=-1) == moments.count).all()
    return f"the {moments.count}" if all_of_them else f"up to {moments.count}"


def _order(layers: tuple[str, ...], theme: Theme) -> str:
    """Name all layers where there is room, else the first and the last."""
    names = f" {', '.join(layers)}"
    if len(names) <= 7 * theme.width:
        return names
    first, last = short([layers[0], layers[-1]], theme)
    return f"\n{first} to {last}"


def _tested(moments: analyses.Moments, theme: Theme) -> str:
    """Say how many moments are shared, and what chance would give."""
    try:
        found = moments.tested()
    except AnalysisError:  # one layer, or hardly a step: nothing to be aligned
        return "too few layers or steps to align"
    active = moments.active
    which = "layers" if active.all() else "layers that did anything"
    return (
        f"{counted(found.observed, 'moment')} shared by all {active.sum()} {which} "
        f"({theme.hurt_word}), {expected(found.expected)} expected if layers are moved at random, "
        f"p = {found.p_value:.2g} ({len(found.null):,} draws)"
    )
