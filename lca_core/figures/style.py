"""How all pictures are laid out: sizes, axes, legends, titles; nothing global is changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lca_core.errors import MissingExtraError
from lca_core.shortened import shortened
from lca_core.wrapped import wrapped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

    from lca_core.figures.theme import Theme
    from lca_core.run import Run

TALLEST, DPI = 9.0, 200
TEXT, SMALL = 9.0, 8.0
_LETTER, _MARK = 0.066, 0.55
"""Inches that a small letter, and a legend's mark with its distances, take."""

_FROM_LEFT, _CENTRED = 14.5, 14.0
"""Letters an inch, on average: the longest line that begins at an edge, and that touches none."""

_LINE, _LINES = 0.17, 4
"""Inches of a line, and how many of a legend or a title pictures have room for."""

_VECTOR: Any = {
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "svg.hashsalt": "lca",
}
"""Words stay words in vector formats, to be searched and edited."""


def new_figure(height: float, theme: Theme) -> Figure:
    """Make a figure that belongs to nobody: no window, no global state."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("A figure", "cli") from error
    return Figure(figsize=(theme.width, height), layout="constrained", facecolor=theme.paper)


def write(figure: Figure, path: Any, kind: str) -> None:
    """Write a figure in a format, on its own paper."""
    import matplotlib as mpl

    with mpl.rc_context(_VECTOR):
        figure.savefig(path, format=kind, dpi=DPI, facecolor=figure.get_facecolor())


def without_infinities(values: np.ndarray) -> np.ndarray:
    """Turn infinities into gaps of the line."""
    return np.where(np.isfinite(values), values, np.nan)


def shade_nonfinite(axes: Axes, run: Run, measure: str, theme: Theme) -> None:
    """Shade the steps that allocated nothing because a value was not finite."""
    lost = ~run.finite(measure)
    if lost.any():
        fill_steps(axes, run, lost, np.zeros(run.steps), np.ones(run.steps), color=theme.pale,
                    zorder=0, transform=axes.get_xaxis_transform(), label="not finite")  # fmt: skip


def fill_steps(
    axes: Axes, run: Run, where: np.ndarray, below: np.ndarray, above: np.ndarray, **style: Any
) -> None:
    """Fill one stair a step, as wide as from its first iterate to its last."""
    ends = np.repeat(run.iteration, 2)[1:-1]
    below, above, where = (np.repeat(values, 2) for values in (below, above, where))
    axes.fill_between(ends, below, above, where=where, lw=0.0, **style)


def short(labels: Sequence[str], theme: Theme) -> list[str]:
    """Keep two fifths of the width of long names: their ends, or what comes before equal ends."""
    return shortened(labels, int(6 * theme.width))


def span_steps(axes: Axes, run: Run) -> None:
    """Let the bottom be as long as the run, even where nothing is drawn."""
    if run.steps:
        axes.set_xlim(run.iteration[0], run.iteration[-1])


def count_steps(axes: Axes) -> None:
    """Label whole steps along the bottom."""
    from matplotlib.ticker import MaxNLocator

    axes.set_xlabel("step")
    axes.xaxis.set_major_locator(
        MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True, min_n_ticks=1)
    )


def tidy(axes: Any, theme: Theme) -> None:
    """Give an axis small ticks, ink of the theme, and no frame beyond its axes."""
    axes.tick_params(which="both", labelsize=SMALL, color=theme.ink, labelcolor=theme.ink)
    for axis in (axes.xaxis, axes.yaxis):
        axis.label.set(size=TEXT, color=theme.ink)
        axis.get_offset_text().set(size=SMALL, color=theme.ink)
    axes.spines[:].set_color(theme.ink)
    axes.spines[["top", "right"]].set_visible(False)
    axes.patch.set_visible(False)


def without_scale(*axes: Axis) -> None:
    """Leave out ticks and numbers along which nothing is drawn: they would mean nothing."""
    for axis in axes:
        axis.set_ticks([])


def instead(axes: Axes, words: str, theme: Theme) -> None:
    """Say in the middle of an empty frame why it is empty."""
    axes.text(0.5, 0.5, words, transform=axes.transAxes, ha="center", va="center", wrap=True,
              fontsize=TEXT, color=theme.ink, parse_math=False)  # fmt: skip


def second_axis(axes: Axes, label: str, theme: Theme) -> Axes:
    """Return an axis of its own on the right."""
    right = axes.twinx()
    axes.patch.set_visible(False)
    right.set_ylabel(label)
    tidy(right, theme)
    right.spines["left"].set_visible(False)
    right.spines["right"].set_visible(True)
    return right


def note(axes: Axes, text: str, theme: Theme) -> None:
    """Write a small line above an axis."""
    axes.set_title(text, fontsize=SMALL, loc="left", color=theme.soft, parse_math=False)


def below(figure: Figure, theme: Theme, *lines: str) -> None:
    """Write lines below everything, their middles below its middle: what the axis is."""
    figure.supxlabel(_broken(figure, lines, _CENTRED), fontsize=TEXT, color=theme.ink)


def legend(figure: Figure, handles: list[Any], theme: Theme, heading: str | None = None) -> None:
    """Put the legend below, where it hides nothing; outline patches of the paper's colour."""
    columns = _columns([handle.get_label() for handle in handles], theme.width)
    lines = -(-len(handles) // columns)
    _make_room(figure, lines - _LINES)
    made = figure.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False,
                         fontsize=SMALL, markerscale=1.5, labelcolor=theme.ink,
                         title=heading, title_fontsize=SMALL)  # fmt: skip
    made.get_title().set_color(theme.ink)
    for text in made.get_texts():
        text.set_parse_math(False)
    for patch in made.get_patches():
        patch.set(edgecolor=theme.grey, linewidth=0.5)


def _make_room(figure: Figure, lines: int) -> None:
    """Make a figure higher by so many lines, if they are any."""
    figure.set_figheight(figure.get_figheight() + _LINE * max(lines, 0))


def _columns(labels: list[str], width: float) -> int:
    """Return how many columns fit; each is as wide as its longest label."""
    for count in range(len(labels), 1, -1):
        longest = [max(map(len, column)) for column in np.array_split(np.array(labels), count)]
        if sum(_LETTER * n + _MARK for n in longest) <= width:
            return count
    return 1


def title(figure: Figure, theme: Theme, *lines: str) -> None:
    """Write lines above everything, broken where they are too long."""
    text = _broken(figure, lines, _FROM_LEFT)
    _make_room(figure, text.count("\n") + 1 - _LINES)
    figure.suptitle(text, x=0.01, ha="left", fontsize=TEXT, color=theme.ink, parse_math=False)


def _broken(figure: Figure, lines: tuple[str, ...], letters: float) -> str:
    """Break lines where the figure ends: so many letters an inch."""
    width = int(letters * figure.get_figwidth())
    return "\n".join(wrapped(line, width) for line in lines if line)
