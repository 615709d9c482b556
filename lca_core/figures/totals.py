"""What single parameters did over the whole run, two scales."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lca_core.analyses import gini
from lca_core.errors import NotRecordedError
from lca_core.figures.histogram import two_scales
from lca_core.figures.samples import of_samples
from lca_core.figures.style import title
from lca_core.figures.theme import AUTHORS
from lca_core.summary import books, span

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lca_core.figures.theme import Theme
    from lca_core.run import Run


def totals(run: Run, measure: str, layer: str | None = None, *, theme: Theme = AUTHORS) -> Figure:
    """Draw the histogram of single parameters' allocations, each summed over the run.

    Args:
        run: a finished run.
        measure: its name.
        layer: its name; all layers by default.
        theme: how it looks.

    Raises:
        NotRecordedError: the observer `Totals()` was left out, or there is no such layer.
    """
    values = _of_layer(run, measure, layer)
    moved, mean = values[values != 0], float(values.mean()) if values.size else 0.0
    sizes, seen = np.sort(np.abs(moved)), bool(run.seen(measure).any())

    def reach(share: float) -> float:
        return float(sizes[max(int(np.ceil(share * sizes.size)), 1) - 1]) if sizes.size else 1.0

    figure = two_scales(
        lambda ends: np.histogram(moved, ends)[0],
        reach,
        mean,
        theme,
        counted="parameters",
        value="allocation of one parameter over the run (loss units)",
        empty="nothing moved" if seen else "not known",
    )
    found = books(run, measure)
    title(
        figure,
        theme,
        f"{measure}: {values.size:,} parameters of {layer or 'all layers'} over {span(run)}"
        + f"; mean {mean:.2g}" * seen,
        _shares(values) if seen else found.change,
        of_samples(run, measure),
    )
    return figure


def _of_layer(run: Run, measure: str, layer: str | None) -> np.ndarray:
    names = [leaf.name for leaf in run.layout.leaves if layer in {None, leaf.layer}]
    if layer is not None and not names:
        msg = f"There is no layer '{layer}'; there are {list(run.layout.labels('layer'))}."
        raise NotRecordedError(msg)
    total = run.total(measure)
    return np.concatenate([np.zeros(0), *(total[name].ravel() for name in names)])


def _shares(values: np.ndarray) -> str:
    """Say how many helped and hurt, and how unequally: 0 is alike, 1 is one alone."""
    n, helped, hurt = max(values.size, 1), -values[values < 0], values[values > 0]

    def told(some: np.ndarray, word: str) -> str:
        unequal = f" (Gini {gini(some):.2f})" if some.size else ""
        return f"{100 * some.size / n:.1f} % {word}{unequal}"

    nothing = 100 * (values == 0).sum() / n
    return (
        f"{told(helped, 'helped')}, {nothing:.1f} % did nothing (not drawn), {told(hurt, 'hurt')}"
    )
