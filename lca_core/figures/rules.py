"""What quadrature rules get wrong against what they cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lca_core.figures.style import SMALL, legend, new_figure, tidy, title
from lca_core.figures.theme import AUTHORS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lca_core.figures.theme import Colour, Theme

_NARROW, _PANEL = 4.0, 2.5
_APART = 0.125
"""Inches between two numbers, one above the other."""

_CLOSE = 0.2
"""Of the logarithms of two costs: no room for a number in between."""


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
    for axes, (label, of_rule) in zip(panels, errors.items(), strict=True):
        _draw(axes, cost, of_rule, _colours(cost, marked, theme), theme)
        axes.set_xlim(0.85 * every.min(), 1.4 * every.max())
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
    errors: Mapping[str, Sequence[float]],
    colours: Mapping[str, Colour],
    theme: Theme,
) -> None:
    """Draw the dots of one panel, and a number at each."""
    axes.set_xscale("log")
    axes.set_yscale("log")
    dots: dict[int, tuple[float, float]] = {}
    for number, (rule, x) in enumerate(cost.items(), start=1):
        runs = np.array([value for value in errors[rule] if np.isfinite(value) and value > 0])
        if not len(runs):
            continue
        if len(runs) > 1:
            axes.plot(np.full(len(runs), x), runs, "o", mfc="none", mec=theme.grey, ms=4, mew=0.6)
        axes.plot(x, runs.mean(), "o", color=colours[rule], ms=4, zorder=3)
        dots[number] = (x, float(runs.mean()))
    if not dots:
        return
    low, high = axes.get_ylim()
    axes.set_ylim(low / 1.5, high * 1.5)
    _number(axes, dots, list(colours.values()))


def _number(axes: Axes, dots: Mapping[int, tuple[float, float]], colours: list[Colour]) -> None:
    """Write a number to the right of every dot, those of about equal cost apart."""
    low, high = np.log(axes.get_ylim())
    inches = (_PANEL - 0.7) / (high - low)
    for own in _about_equal(dots):
        right = max(x for x, _, _ in own)
        at = np.log([y for _, y, _ in own]) * inches
        for (_, y, number), up in zip(own, _spread(at) - at, strict=True):
            axes.annotate(
                str(number), (right, y), xytext=(4, 72 * up), ha="left", va="center",
                textcoords="offset points", fontsize=SMALL, color=colours[number - 1],
            )  # fmt: skip


def _about_equal(dots: Mapping[int, tuple[float, float]]) -> list[list[tuple[float, float, int]]]:
    """Return cost, error and number of every dot: groups of about one cost, the least error first.

    Args:
        dots: number -> cost and error.
    """
    groups: list[list[tuple[float, float, int]]] = []
    for x, y, number in sorted((*dot, number) for number, dot in dots.items()):
        if not groups or np.log(x / groups[-1][-1][0]) > _CLOSE:
            groups.append([])
        groups[-1].append((x, y, number))
    return [sorted(group, key=lambda dot: dot[1]) for group in groups]


def _spread(at: np.ndarray) -> np.ndarray:
    """Return places at least `_APART` apart, each group of them around where it was.

    Args:
        at: ascending, inches.
    """
    groups: list[list[float]] = []
    for place in at.tolist():
        groups.append([place])
        while len(groups) > 1 and _low(groups[-1]) - _high(groups[-2]) < _APART:
            last = groups.pop()
            groups[-1] += last
    return np.concatenate(
        [np.linspace(_low(one), _high(one), len(one)) for one in groups] or [np.zeros(0)]
    )


def _low(group: Sequence[float]) -> float:
    return float(np.mean(group)) - _APART * (len(group) - 1) / 2


def _high(group: Sequence[float]) -> float:
    return float(np.mean(group)) + _APART * (len(group) - 1) / 2


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
