"""Horizontal bars, one a layer, with their names and whiskers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lca_core.figures.style import TALLEST, TEXT, short, tidy, without_scale

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from lca_core.figures.theme import Theme

MOST_LABELLED = 60


def height_of(bars: int, each: float = 0.24, beside: float = 1.4) -> float:
    """Return how high a figure of bars is: as they need, but only so far."""
    return min(beside + each * max(bars, 3), TALLEST)


def name_bars(axes: Axes, labels: Sequence[str], size: np.ndarray, theme: Theme) -> None:
    """Name the bars from the top on the left; the zero line is theirs.

    Args:
        axes: where they are drawn.
        labels: their names.
        size: how large they are: where not all names have room, large ones come first.
        theme: how it looks.
    """
    place = _labelled(size)
    _few_numbers(axes)
    axes.axvline(0.0, color=theme.ink, lw=0.8)
    axes.set_ylim(max(len(labels), 1) - 0.4, -0.6)
    axes.set_yticks(place, short([labels[i] for i in place], theme), parse_math=False)
    _without_side(axes, theme)


def beside_bars(axes: Axes, texts: Sequence[str], label: str, theme: Theme) -> None:
    """Write something about every bar that has a name on the right; they are named before."""
    place = [int(tick) for tick in axes.get_yticks()]
    right = axes.secondary_yaxis("right")
    right.set_yticks(place, [texts[i] for i in place])
    right.set_ylabel(label, fontsize=TEXT)
    _without_side(right, theme)


def whiskers(
    axes: Axes, value: np.ndarray, half: np.ndarray, place: np.ndarray, theme: Theme
) -> bool:
    """Draw ± where it is known and not zero; return whether there was one."""
    known = np.isfinite(half) & (half > 0.0)
    axes.errorbar(value[known], place[known], xerr=half[known], fmt="none",
                  ecolor=theme.ink, elinewidth=0.9, capsize=2)  # fmt: skip
    return bool(known.any())


def without_bars(axes: Axes) -> None:
    """Leave out the scale where nothing was allocated; zero stands in the middle."""
    axes.set_xlim(-1.0, 1.0)
    without_scale(axes.xaxis)


def _labelled(size: np.ndarray) -> list[int]:
    """Return the bars that have a name: the largest, and so far apart that names have room."""
    apart = -(-len(size) // MOST_LABELLED)
    chosen: list[int] = []
    for bar in np.argsort(-np.nan_to_num(np.abs(size)), kind="stable").tolist():
        if all(abs(bar - other) >= apart for other in chosen):
            chosen.append(bar)
    return sorted(chosen)


def _few_numbers(axes: Axes) -> None:
    """Write few numbers below, whole ones: a common factor would stand in the label's place."""
    axes.locator_params(axis="x", nbins=4, steps=[1, 2, 5, 10], min_n_ticks=3)
    axes.xaxis.set_major_formatter(
        lambda value, _: f"{value:.2g}".replace("e-0", "e-").replace("-", "\N{MINUS SIGN}")
    )


def _without_side(axes: Any, theme: Theme) -> None:
    tidy(axes, theme)
    axes.tick_params(axis="y", length=0)
    axes.spines[["left", "right"]].set_visible(False)
