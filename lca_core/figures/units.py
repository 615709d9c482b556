"""The units of one layer: a heat map over steps, and what they add up to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lca_core.errors import NotRecordedError
from lca_core.figures.samples import of_samples
from lca_core.figures.style import (
    TEXT,
    count_steps,
    new_figure,
    shade_nonfinite,
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


MOST_CURVES, PERCENTILE = 50, 99


def units_over_time(
    run: Run, measure: str, layer: str | None = None, *, theme: Theme = AUTHORS
) -> Figure:
    """Draw the allocation of every unit of a layer at every step, and its sum over the steps.

    Args:
        run: a finished run.
        measure: its name.
        layer: its name; by default the one with units that learned most.
        theme: how it looks.

    Raises:
        NotRecordedError: the observer `UnitSums()` was not asked for, or there is no such layer.
    """
    labels, values = run.allocation(measure, by="unit")
    layer = layer or _busiest(run, measure)
    own = [i for i, label in enumerate(labels) if label.rpartition("[")[0] == layer]
    if not own:
        others = list(_with_units(run, 1))
        there = f"there are {others}" if others else "none has any"
        msg = f"There is no layer '{layer}' with units in it; {there}."
        raise NotRecordedError(msg)
    finite = run.finite(measure)
    shown = np.where(finite[:, None], values[:, own], 0.0)
    reach = float(np.percentile(np.abs(shown), PERCENTILE)) if shown.size else 0.0
    reach = reach or float(np.abs(shown).max(initial=0.0))
    figure = new_figure(4.4, theme)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1.3))
    ends = run.iteration.astype(float)
    seen = bool(run.seen(measure).any())
    if reach:
        mesh = upper.pcolormesh(
            ends, np.arange(len(own) + 1), np.where(finite, shown.T, np.nan),
            cmap=theme.diverging(), vmin=-reach, vmax=reach, rasterized=True,
        )  # fmt: skip
        bar = figure.colorbar(mesh, ax=upper, extend="both", aspect=12)
        bar.set_label("allocation (loss units)", fontsize=TEXT)
        tidy(bar.ax, theme)
        bar.outline.set_edgecolor(theme.ink)
    upper.set_ylim(len(own), 0)
    upper.yaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    upper.set_ylabel(f"unit (of {len(own)})")
    some = np.linspace(0, len(own) - 1, min(len(own), MOST_CURVES)).astype(int)
    sums = np.concatenate([np.zeros((1, len(own))), shown.cumsum(axis=0)])
    if not seen:
        sums[:] = np.nan
    for i, colour in zip(some, theme.signed(sums[-1, some]), strict=True):
        lower.plot(ends, sums[:, i], color=colour, lw=0.7, alpha=0.8)
    lower.axhline(0, color=theme.ink, lw=0.6)
    lower.set_ylabel("summed since the\nstart (loss units)")
    if not reach:
        without_scale(lower.yaxis)
        span_steps(lower, run)
    count_steps(lower)
    for axes in (upper, lower):
        tidy(axes, theme)
        shade_nonfinite(axes, run, measure, theme)
    found = books(run, measure)
    few = f"; {len(some)} of them below" if len(some) < len(own) else ""
    lost = "" if finite.all() else "; grey: not finite"
    hurt = f"{int((sums[-1] > 0).sum())} of them hurt over the run"
    drawn = f"{hurt}; colours end at the {PERCENTILE}th percentile{few}{lost}"
    nothing = f"{'nothing was allocated' if seen else found.change}{lost}"
    title(
        figure,
        theme,
        f"{measure}: {len(own)} unit{'s' * (len(own) > 1)} of {layer}, allocations summed over "
        "each unit's weights",
        drawn if reach else nothing,
        of_samples(run, measure),
    )
    return figure


def _busiest(run: Run, measure: str) -> str:
    """Return the layer that has the lowest total: of those of several units, of one, or of all."""
    labels, values = run.allocation(measure, by="layer")
    total = dict(zip(labels, values[run.finite(measure)].sum(axis=0).tolist(), strict=True))
    among = _with_units(run, 2) or _with_units(run, 1) or labels
    return min(among, key=lambda name: (total[name], name))


def _with_units(run: Run, least: int) -> tuple[str, ...]:
    """Return the layers in which a leaf has so many units, in order."""
    leaves = [leaf for leaf in run.layout.leaves if leaf.unit_axis is not None]
    return tuple(dict.fromkeys(leaf.layer for leaf in leaves if leaf.units >= least))
