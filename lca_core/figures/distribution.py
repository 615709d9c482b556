"""How all allocations of all steps and parameters are distributed, two scales."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lca_core import analyses
from lca_core.figures.histogram import two_scales
from lca_core.figures.samples import of_samples
from lca_core.figures.style import title
from lca_core.figures.theme import AUTHORS
from lca_core.summary import books, span

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lca_core.analyses import Spread
    from lca_core.figures.theme import Theme
    from lca_core.results import Histogram
    from lca_core.run import Run


def distribution(run: Run, measure: str, *, theme: Theme = AUTHORS) -> Figure:
    """Draw the histogram of all allocations that are not zero, logarithmic and linear.

    Args:
        run: a finished run.
        measure: its name.
        theme: how it looks.

    Raises:
        NotRecordedError: the observer `Distribution()` was not asked for.
    """
    spread = analyses.distribution(run, measure, by=lambda _: "all")
    found, seen = spread.histogram, bool(run.seen(measure).any())
    mean = float(spread.mean.sum()) if seen else float("nan")
    figure = two_scales(
        lambda ends: _rebinned(found, ends),
        lambda share: _reach(found, share),
        mean,
        theme,
        counted="parameters × steps",
        value=f"allocation of one parameter {_at(run, measure)} (loss units)",
        empty="nothing moved" if seen else "not known",
    )
    over = books(run, measure)
    if not seen:
        title(figure, theme, f"{measure}: {over.unseen}")
        return figure
    title(
        figure,
        theme,
        f"{measure}: {int(spread.count[0]):,} allocations of {run.layout.parameters:,} parameters "
        f"over {span(run)}; mean {mean:.2g}",
        _shares(spread),
        of_samples(run, measure),
    )
    return figure


def _at(run: Run, measure: str) -> str:
    """Say what one value is of: a look at a step counts for all that it stands for."""
    probe = run.probe(measure)
    return f"at a look, for {probe.every} steps" if probe and probe.every > 1 else "at a step"


def _shares(spread: Spread) -> str:
    """Say how many helped and hurt, and how heavy the tails are."""
    helped, nothing, hurt = (100 * float(share[0]) for share in spread.shares)
    tail = spread.tail_index()[0]
    heavy = f"; tail index {tail:.1f}" if np.isfinite(tail) else ""
    return f"{helped:.1f} % helped, {nothing:.1f} % were zero (not drawn), {hurt:.1f} % hurt{heavy}"


def _reach(found: Histogram, most: float) -> float:
    """Return the size that a share of all values that are not zero does not exceed."""
    sizes = found.sizes.sum(axis=0)
    if not sizes.any():
        return 1.0
    last = int(np.searchsorted(np.cumsum(sizes), most * sizes.sum()))
    return float(found.edges[found.zero + 2 :][last])


def _rebinned(found: Histogram, ends: np.ndarray) -> np.ndarray:
    """Spread every bin evenly over the equal ones; zeros are left out."""
    shown = found.counts.sum(axis=0).astype(float)
    shown[found.zero] = 0.0
    below = np.concatenate([[0.0], np.cumsum(shown)])
    return np.diff(np.interp(ends, found.edges, below))
