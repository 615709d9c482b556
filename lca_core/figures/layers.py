"""Who did the work: every layer's allocation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lca_core import analyses
from lca_core.figures.bars import beside_bars, height_of, name_bars, whiskers, without_bars
from lca_core.figures.style import below, new_figure, title
from lca_core.figures.theme import AUTHORS
from lca_core.summary import books, span

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lca_core.figures.theme import Theme
    from lca_core.run import Run


def allocation_by_layer(run: Run, measure: str, *, theme: Theme = AUTHORS) -> Figure:
    """Draw every layer's allocation summed over the run as a bar, with its ± where known.

    Args:
        run: a finished run.
        measure: its name.
        theme: how it looks.
    """
    found = analyses.verdicts(run, measure)
    place = np.arange(len(found.labels))
    figure = new_figure(height_of(len(place)), theme)
    axes = figure.add_subplot()
    axes.barh(place, found.total, height=0.72, color=theme.signed(found.total))
    known = whiskers(axes, found.total, found.error, place, theme)
    name_bars(axes, found.labels, found.total, theme)
    if not (known or np.nan_to_num(found.total).any()):
        without_bars(axes)
    sizes = [f"{size:,}" for size in run.layout.group_sizes("layer")]
    beside_bars(axes, sizes, "parameters", theme)
    closing = books(run, measure)
    below(
        figure,
        theme,
        f"allocation summed over {span(run)} (loss units)",
        f"negative helped, positive hurt{'; whiskers: ± error' * known}",
    )
    title(figure, theme, f"{measure}: {closing.change}; {closing.sums}")
    return figure
