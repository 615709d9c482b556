"""Horizontal bars, one a layer, with their names and whiskers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lca_core.figures.style import TALLEST, TEXT, short, tidy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from lca_core.figures.theme import Theme

MOST_LABELLED = 50


def height_of(bars: int, each: float = 0.24, beside: float = 1.4) -> float:
    """Return how high a figure of bars is: as they need, but only so far."""
    return min(beside + each * max(bars, 3), TALLEST)


def name_bars(axes: Axes, labels: Sequence[str], theme: Theme) -> None:
    """Name the bars from the top on the left; the zero line is theirs."""
    place = _labelled(len(labels))
    axes.axvline(0.0, color=theme.ink, lw=0.8)
    axes.set_ylim(max(len(labels), 1) - 0.4, -0.6)
    axes.set_yticks(place, short([labels[i] for i in place], theme), parse_math=False)
    _without_side(axes, theme)


def beside_bars(axes: Axes, texts: Sequence[str], label: str, theme: Theme) -> None:
    """Write something about every bar on the right."""
    place = _labelled(len(texts))
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


def _labelled(count: int) -> list[int]:
    return list(range(0, count, max(-(-count // MOST_LABELLED), 1)))


def _without_side(axes: Any, theme: Theme) -> None:
    tidy(axes, theme)
    axes.tick_params(axis="y", length=0)
    axes.spines[["left", "right"]].set_visible(False)
