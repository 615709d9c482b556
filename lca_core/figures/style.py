"""How all pictures look: colours, sizes, axes, legends; nothing global is changed."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np

from lca_core.errors import MissingExtraError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lca_core.run import Run

HURT, ZERO, HELP = (0.9, 0.25, 0.25), (1.0, 1.0, 1.0), (0.3, 0.75, 0.3)
"""The authors' colours: red, white, green."""

INK, GREY, PALE = "0.1", "0.6", "0.88"
BLUE, DARK_GREEN = (0.62, 0.77, 0.93), (0.0, 0.35, 0.1)
_WIDTH, TALLEST, DPI = 5.0, 9.0, 200
TEXT, SMALL = 9.0, 8.0
MOST_BARS_LABELLED, _LONGEST_LABEL, _TITLE_WIDTH = 50, 30, 70


def new_figure(height: float) -> Figure:
    """Make a figure that belongs to nobody: no window, no global state."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("Figures", "cli") from error
    return Figure(figsize=(_WIDTH, height), layout="constrained")


def without_infinities(values: np.ndarray) -> np.ndarray:
    """Turn infinities into gaps of the line."""
    return np.where(np.isfinite(values), values, np.nan)


def shade_nonfinite(axes: Axes, run: Run, measure: str) -> None:
    """Shade the steps that allocated nothing because a value was not finite."""
    lost = ~run.finite(measure)
    if lost.any():
        fill_steps(axes, run, lost, np.zeros(run.steps), np.ones(run.steps), color=PALE,
                    zorder=0, transform=axes.get_xaxis_transform(), label="not finite")  # fmt: skip


def fill_steps(
    axes: Axes, run: Run, where: np.ndarray, below: np.ndarray, above: np.ndarray, **style: Any
) -> None:
    """Fill one stair a step, as wide as from its first iterate to its last."""
    ends = np.repeat(run.iteration, 2)[1:-1]
    below, above, where = (np.repeat(values, 2) for values in (below, above, where))
    axes.fill_between(ends, below, above, where=where, lw=0.0, **style)


def short(label: str) -> str:
    """Keep the end of a long name: it tells layers apart."""
    return label if len(label) <= _LONGEST_LABEL else "…" + label[1 - _LONGEST_LABEL :]


def count_steps(axes: Axes) -> None:
    """Label whole steps along the bottom."""
    from matplotlib.ticker import MaxNLocator

    axes.set_xlabel("step")
    axes.xaxis.set_major_locator(
        MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True, min_n_ticks=1)
    )


def tidy(axes: Any) -> None:
    """Give an axis small ticks and no frame beyond its axes."""
    axes.tick_params(labelsize=SMALL)
    axes.xaxis.label.set_size(TEXT)
    axes.yaxis.label.set_size(TEXT)
    axes.xaxis.get_offset_text().set_size(SMALL)
    axes.yaxis.get_offset_text().set_size(SMALL)
    axes.spines[["top", "right"]].set_visible(False)


def legend(figure: Figure, handles: list[Any], columns: int) -> None:
    """Put the legend below, where it hides nothing; outline white patches."""
    made = figure.legend(handles=handles, loc="outside lower center", ncols=columns,
                           frameon=False, fontsize=SMALL, markerscale=1.5)  # fmt: skip
    for patch in made.get_patches():
        patch.set(edgecolor=GREY, linewidth=0.5)


def title(figure: Figure, *lines: str) -> None:
    """Write lines above everything, broken where they are too long."""
    text = "\n".join(fill(line, _TITLE_WIDTH) for line in lines)
    figure.suptitle(text, x=0.01, ha="left", fontsize=TEXT, parse_math=False)
