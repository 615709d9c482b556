"""Does a layer hurt because it comes late? Every layer's allocation, delay after delay."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lca_core import analyses
from lca_core.figures.bars import height_of, name_bars
from lca_core.figures.seeds import probability
from lca_core.figures.style import legend, new_figure, note, short, tidy, title, without_scale
from lca_core.figures.theme import AUTHORS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lca_core.analyses import DelaySweep, Mean
    from lca_core.figures.theme import Theme
    from lca_core.run import Run


def delay_sweep(
    arms: Mapping[float, Sequence[Run]],
    measure: str,
    layer: str | None = None,
    *,
    skip: int = 0,
    paired: Mean | None = None,
    theme: Theme = AUTHORS,
) -> Figure:
    """Draw every layer's allocation, a colour a delay, and one layer's allocation against delay.

    Args:
        arms: the layer's delay in steps, `analyses.delay(momentum)` -> runs.
        measure: its name.
        layer: whose delay it is; the last by default.
        skip: so many layers, from the first on, are not drawn.
        paired: the slope, of runs that are no independent points since seeds are shared between
            delays; by default that of the line through all of them.
        theme: how it looks.

    Raises:
        AnalysisError: fewer than two arms, an arm without runs, layers that differ, or no such
            layer.

    Source: LCA paper (arXiv:1909.01440): ResNet, delays 0 to 9, ten layers left out.
    """
    sweep = analyses.delay_sweep(arms, measure)
    layer = layer or sweep.labels[-1]
    rows = len(sweep.labels) - skip
    height = height_of(rows, each=0.1 + 0.05 * len(arms), beside=4.2)
    figure = new_figure(height, theme)
    upper, lower = figure.subplots(2, 1, height_ratios=(max(height - 3.7, 1.2), 1.6))
    colours = theme.ramp(len(arms))
    _draw_layers(upper, sweep, skip, colours, theme)
    _draw_line(lower, sweep, layer, colours, theme)
    if not any(run.seen(measure).any() for runs in arms.values() for run in runs):
        without_scale(upper.xaxis, lower.yaxis)
    counts = sorted({len(runs) for runs in arms.values()})
    runs = f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else f"{counts[0]}"
    legend(figure, upper.containers, theme, heading="delay (steps)")
    title(
        figure,
        theme,
        f"{measure}: {len(arms)} delays of {layer}, {runs} run{'s' * (counts[-1] > 1)} each"
        + "; whiskers: 95 % interval of the mean (Student's t)" * (counts[-1] > 1),
        f"a step of delay changes {layer} by {_change(paired or _pooled(sweep, layer))}",
    )
    return figure


def _pooled(sweep: DelaySweep, layer: str) -> Mean:
    """Return the slope of the line through all runs."""
    line = sweep.slope(layer)
    return analyses.Mean(line.slope, line.half, line.p, len(sweep.points(layer)[0]))


def _change(line: Mean) -> str:
    """Return the slope in words, and how sure it is."""
    slope = f"{line.value:+#.2g}".rstrip(".")
    if not np.isfinite(line.half):
        return f"{slope} loss units"
    half, p = f"{line.half:#.2g}".rstrip("."), probability(line.p)
    chance = f", p {p if p.startswith('<') else f'= {p}'}" * bool(p)
    return f"{slope} ± {half} loss units (95 %){chance}"


def _draw_layers(
    axes: Axes, sweep: DelaySweep, skip: int, colours: list[object], theme: Theme
) -> None:
    """Draw a dot with whiskers a layer and delay, delays one below the other."""
    place = np.arange(len(sweep.labels) - skip)
    shifts = np.linspace(-0.32, 0.32, len(sweep.delays))
    for i, colour in enumerate(colours):
        axes.errorbar(
            sweep.mean[i, skip:], place + shifts[i], xerr=np.nan_to_num(sweep.interval[i, skip:]),
            fmt="o", ms=3, color=colour, elinewidth=0.9, label=f"{sweep.delays[i]:.3g}",
        )  # fmt: skip
    name_bars(axes, sweep.labels[skip:], np.abs(sweep.mean[:, skip:]).max(axis=0), theme)
    axes.set_xlabel("allocation over the run\n(mean of runs, loss units)")


def _draw_line(
    axes: Axes, sweep: DelaySweep, layer: str, colours: list[object], theme: Theme
) -> None:
    """Draw every run of one layer against delay, and the straight line through them."""
    x, y = sweep.points(layer)
    line, ends = sweep.slope(layer), sweep.delays[[0, -1]]
    for delay, colour in zip(sweep.delays, colours, strict=True):
        own = x == delay
        axes.plot(x[own], y[own], "o", color=colour, ms=3.5)
    axes.plot(ends, line.intercept + line.slope * ends, color=theme.ink, lw=1)
    axes.axhline(0, color=theme.ink, lw=0.6, ls=":")
    axes.set_xlabel("delay (steps)")
    axes.set_ylabel("allocation\n(loss units)")
    note(axes, f"{short([layer], theme)[0]}, every run", theme)
    tidy(axes, theme)
