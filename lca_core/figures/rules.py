"""What quadrature rules get wrong against what they cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lca_core.figures.labels import beside
from lca_core.figures.style import SMALL, legend, new_figure, tidy, title
from lca_core.figures.theme import AUTHORS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lca_core.figures.theme import Colour, Theme

_NARROW, _PANEL = 4.0, 2.5
_BESIDE, _BELOW = 0.8, 0.7
"""Inches for the numbers and the label of an axis."""

_LABEL = (0.15, 0.13)
"""Inches that a number takes."""


def error_against_cost(
    cost: Mapping[str, float],
    errors: Mapping[str, Mapping[str, Sequence[float]]],
    *,
    marked: Sequence[str] = (),
    line: float | None = None,
    theme: Theme = AUTHORS,
) -> Figure:
    """Draw a numbered dot a rule, and a ring a run, both axes logarithmic.

    Args:
        cost: rule -> gradients a step.
        errors: what kind, a panel each -> rule -> relative error in every run; zero and what is
            not known are not drawn.
        marked: one or two rules in colours of their own.
        line: an error to draw a line at.
        theme: how it looks.
    """
    wide = theme.width > _NARROW
    rows, columns = (1, len(errors)) if wide else (len(errors), 1)
    figure = new_figure(_PANEL * rows + 0.75 + 0.16 * -(-len(cost) // (2 + wide)), theme)
    every = np.array(list(cost.values()))
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    colours = _colours(cost, marked, theme)
    frame = (theme.width / columns - _BESIDE, _PANEL - _BELOW)
    for axes, (label, of_rule) in zip(panels, errors.items(), strict=True):
        axes.set_xscale("log")
        axes.set_xlim(0.85 * every.min(), 1.4 * every.max())
        dots = {rule: drawn for rule in cost if len(drawn := _drawn(of_rule[rule]))}
        _draw(axes, cost, dots, colours, theme)
        _number(axes, cost, dots, colours, theme=theme, frame=frame)
        if line is not None:
            axes.axhline(line, color=theme.ink, lw=0.6, ls=":")
        axes.set_ylabel(label)
        axes.set_xlabel("gradients a step")
        _label_costs(axes, every)
        tidy(axes, theme)
        axes.tick_params(axis="y", which="minor", color=theme.ink)
    legend(figure, _keys(cost, marked, theme), theme)
    runs = max((len(one) for of_rule in errors.values() for one in of_rule.values()), default=0)
    rings = f"; rings: {runs} runs, dots: their mean" * (runs > 1)
    title(figure, theme, f"errors and costs of rules{rings}")
    return figure


def _colours(cost: Mapping[str, float], marked: Sequence[str], theme: Theme) -> dict[str, Colour]:
    special = dict(zip(marked, (theme.gradient, theme.weight), strict=False))
    return {rule: special.get(rule, theme.ink) for rule in cost}


def _draw(
    axes: Axes,
    cost: Mapping[str, float],
    runs: Mapping[str, np.ndarray],
    colours: Mapping[str, Colour],
    theme: Theme,
) -> None:
    """Draw the dots of one panel."""
    axes.set_yscale("log")
    for rule, errors in runs.items():
        x, n = cost[rule], len(errors)
        if n > 1:
            axes.plot(np.full(n, x), errors, "o", mfc="none", mec=theme.grey, ms=4, mew=0.6)
        axes.plot(x, errors.mean(), "o", color=colours[rule], ms=4,
                  zorder=3 if colours[rule] == theme.ink else 4)  # fmt: skip
    if axes.lines:
        low, high = axes.get_ylim()
        axes.set_ylim(low / 1.5, high * 1.5)


def _drawn(errors: Sequence[float]) -> np.ndarray:
    """Return the errors that have a place on a logarithmic axis."""
    return np.array([value for value in errors if np.isfinite(value) and value > 0])


def _number(
    axes: Axes,
    cost: Mapping[str, float],
    runs: Mapping[str, np.ndarray],
    colours: Mapping[str, Colour],
    *,
    theme: Theme,
    frame: tuple[float, float],
) -> None:
    """Write its number near every dot, tied to it by a line; colours choose their places first.

    Args:
        axes: the panel, with its limits.
        cost: rule -> gradients a step.
        runs: rule -> relative error in every run, of those that are drawn.
        colours: rule -> colour.
        theme: how it looks.
        frame: width and height of the panel, inches, about.
    """
    from matplotlib.patheffects import withStroke

    order = sorted(runs, key=lambda rule: colours[rule] == theme.ink)
    dots = _inches(axes, [(cost[rule], runs[rule].mean()) for rule in order], frame)
    rings = [(cost[rule], error) for rule in order for error in runs[rule]]
    marks = np.concatenate([dots, _inches(axes, rings, frame)])
    away = dict(zip(order, 72 * (beside(dots, marks, _LABEL, frame) - dots), strict=True))
    for number, rule in enumerate(cost, start=1):
        if rule not in runs:
            continue
        axes.annotate(
            str(number), (cost[rule], runs[rule].mean()), xytext=tuple(away[rule]),
            textcoords="offset points", ha="center", va="center_baseline", fontsize=SMALL,
            color=colours[rule], zorder=6,
            path_effects=[withStroke(linewidth=2, foreground=theme.paper)],
            arrowprops={"arrowstyle": "-", "lw": 0.5, "color": colours[rule],
                        "shrinkA": 0, "shrinkB": 2, "zorder": 5},
        )  # fmt: skip


def _inches(
    axes: Axes, places: Sequence[tuple[float, float]], frame: tuple[float, float]
) -> np.ndarray:
    """Return places on logarithmic axes in inches from the lower left corner, shape (n, 2)."""
    ends = np.log([axes.get_xlim(), axes.get_ylim()])
    at = np.log(np.asarray(places, float).reshape(-1, 2))
    return np.asarray((at - ends[:, 0]) / np.diff(ends).T * frame)


def _label_costs(axes: Axes, cost: np.ndarray) -> None:
    """Label powers of two as plain numbers."""
    from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter

    powers = 2.0 ** np.arange(0, np.ceil(np.log2(max(float(cost.max()), 1.0))) + 1)
    axes.xaxis.set_major_locator(FixedLocator(powers.tolist()))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))


def _keys(cost: Mapping[str, float], marked: Sequence[str], theme: Theme) -> list[Any]:
    """Return what the legend shows: the number of every rule."""
    from matplotlib.lines import Line2D

    colours = _colours(cost, marked, theme)
    return [
        Line2D([], [], ls="", marker="o", ms=3, color=colours[rule], label=f"{number} {rule}")
        for number, rule in enumerate(cost, start=1)
    ]
