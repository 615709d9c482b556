"""Who learns and who overfits: one motion, allocated to two measures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lca_core import analyses
from lca_core.analyses.common_steps import on_common_steps
from lca_core.errors import NotRecordedError
from lca_core.figures.style import (
    count_steps,
    legend,
    new_figure,
    shade_nonfinite,
    short,
    span_steps,
    tidy,
    title,
    without_scale,
)
from lca_core.figures.theme import AUTHORS
from lca_core.summary import books

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lca_core.figures.theme import Theme
    from lca_core.run import Run


MOST_LAYERS = 8


def generalisation(
    run: Run, measure: str, held_out: str = "val", *, theme: Theme = AUTHORS
) -> Figure:
    """Draw what every layer did to two measures, added up since the start.

    Args:
        run: a finished run.
        measure: the one that is trained on.
        held_out: another one.
        theme: how it looks.

    Raises:
        NotRecordedError: there is no such other measure.
    """
    if measure == held_out:
        msg = f"Generalisation compares two measures, got '{measure}' twice."
        raise NotRecordedError(msg)
    run = on_common_steps(run, measure, held_out)
    found = analyses.generalisation(run, measure, held_out)
    figure = new_figure(3.4, theme)
    axes = figure.add_subplot()
    last = found.learned[-1] if run.steps else np.zeros(len(found.labels))
    largest = np.sort(np.argsort(-np.abs(last))[:MOST_LAYERS])
    solid = _since_the_start(run, measure, found.learned)
    dashed = _since_the_start(run, held_out, found.held_out)
    marker = "o" if run.steps < 2 else ""
    names = short([found.labels[i] for i in largest], theme)
    for i, name, colour in zip(largest, names, theme.ramp(len(largest)), strict=True):
        axes.plot(run.iteration, solid[:, i], color=colour, lw=1.3, label=name, marker=marker, ms=3)
        axes.plot(run.iteration, dashed[:, i], color=colour, lw=1.3, ls=(0, (4, 2)))
    axes.axhline(0, color=theme.ink, lw=0.6)
    axes.set_ylabel("allocation since the start\n(loss units)")
    if not (np.nan_to_num(solid).any() or np.nan_to_num(dashed).any()):
        without_scale(axes.yaxis)
        span_steps(axes, run)
    count_steps(axes)
    shade_nonfinite(axes, run, measure, theme)
    tidy(axes, theme)
    legend(figure, [*axes.get_lines()[: 2 * len(largest) : 2], *axes.collections], theme)
    many = f" (the {MOST_LAYERS} largest layers)" if len(found.labels) > MOST_LAYERS else ""
    title(
        figure,
        theme,
        f"{measure} (solid) and {held_out} (dashed){many}",
        _verdict(run, found, (measure, held_out)),
    )
    return figure


def _since_the_start(run: Run, measure: str, summed: np.ndarray) -> np.ndarray:
    """Put the start before what was added up since; NaN where no step was seen."""
    start = np.zeros((1, summed.shape[1]))
    return np.concatenate([start, summed]) + (0.0 if run.seen(measure).any() else np.nan)


def _verdict(run: Run, found: analyses.Generalisation, measures: tuple[str, str]) -> str:
    """Name the layers that helped the one measure and hurt the other, if both were looked at."""
    for measure in measures:
        if not (told := books(run, measure)).seen:
            return f"the {measure} {told.change}"
    if not run.seen(measures[0]).any():  # the same steps of both
        return "nothing is known, as no step is finite in both"
    learned, held_out = (analyses.verdicts(run, measure) for measure in measures)
    known = not np.isnan([learned.error, held_out.error]).any()
    overfit = learned.helps & held_out.hurts if known else found.overfits
    beyond = "beyond the errors of both" if known else "over the run (± not known)"
    names = [label for label, bad in zip(found.labels, overfit, strict=True) if bad]
    if not names:
        return f"no layer helped the first and hurt the second {beyond}"
    return f"helped the first and hurt the second {beyond}: {', '.join(names)}"
