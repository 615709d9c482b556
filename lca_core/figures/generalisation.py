"""Who learns and who overfits: one motion, allocated to two measures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lca_core import analyses
from lca_core.errors import NotRecordedError
from lca_core.figures.style import INK, count_steps, legend, new_figure, short, tidy, title

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lca_core.run import Run


MOST_LAYERS = 8


def generalisation(run: Run, measure: str, held_out: str = "val") -> Figure:
    """Draw what every layer did to two measures, added up since the start.

    Args:
        run: a finished run.
        measure: the one that is trained on.
        held_out: another one.

    Raises:
        NotRecordedError: there is no such other measure.
    """
    import matplotlib as mpl

    if measure == held_out:
        msg = f"Generalisation compares two measures, got '{measure}' twice."
        raise NotRecordedError(msg)
    found = analyses.generalisation(run, measure, held_out)
    figure = new_figure(3.4)
    axes = figure.add_subplot()
    last = found.learned[-1] if run.steps else np.zeros(len(found.labels))
    ranked = np.argsort(-np.abs(last))[:MOST_LAYERS]
    colours = mpl.colormaps["tab10"]
    start = np.zeros((1, len(found.labels)))
    solid, dashed = (np.concatenate([start, s]) for s in (found.learned, found.held_out))
    for k, i in enumerate(ranked):
        name, colour = short(found.labels[i]), colours(k)
        axes.plot(run.iteration, solid[:, i], color=colour, lw=1.3, label=name)
        axes.plot(run.iteration, dashed[:, i], color=colour, lw=1.1, ls=(0, (4, 2)))
    axes.axhline(0, color=INK, lw=0.6)
    axes.set_ylabel("allocation since the start\n(loss units)")
    count_steps(axes)
    tidy(axes)
    legend(figure, axes.get_lines()[: 2 * len(ranked) : 2], columns=4)
    many = f" (the {MOST_LAYERS} largest layers)" if len(found.labels) > MOST_LAYERS else ""
    title(figure, f"{measure} (solid) and {held_out} (dashed){many}; {_verdict(run, found)}")
    return figure


def _verdict(run: Run, found: analyses.Generalisation) -> str:
    """Name the layers that helped the one measure and hurt the other."""
    bad = found.overfits if run.steps else np.zeros(len(found.labels), bool)
    names = [label for label, one in zip(found.labels, bad, strict=True) if one]
    if not names:
        return "no layer helped the first and hurt the second over the run"
    return f"helped the first and hurt the second over the run: {', '.join(names)}"
