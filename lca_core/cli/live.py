"""A table of the layers that lives while a training goes on."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Group
from rich.table import Table
from rich.text import Text

from lca_core.cli.charts import signed_spark
from lca_core.cli.numbers import aligned, coloured, known
from lca_core.cli.progress import TrainingProgress
from lca_core.errors import NotRecordedError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from lca_core.tracker import Tracker

_RECENT = 24
_AROUND = 6
"""Lines that are not layers: heading, total, progress."""


class LiveLayers(TrainingProgress):
    """The progress line with a table above it: what every layer was allocated, so far and lately.

    It costs one sum of a vector of leaves a step; what is shown is looked at only when it is.

    Args:
        console: a terminal.
        steps: how many there will be.
    """

    def __init__(self, console: Console, steps: int) -> None:
        super().__init__(console, steps)
        self._console = console
        self._closed = 0
        self._total: np.ndarray | float = 0.0
        self._recent: deque[np.ndarray] = deque(maxlen=_RECENT)

    def __call__(self, tracker: Tracker) -> None:
        """Add what the newest step allocated."""
        newest = tracker.newest("allocation")
        if newest is not None and tracker.segments != self._closed:
            self._closed = tracker.segments
            self._recent.append(newest)
            if np.isfinite(newest).all():  # as in the run: other steps count for nobody
                self._total = self._total + newest
        super().__call__(tracker)

    def _shown(self, tracker: Tracker) -> RenderableType:
        line = self._line(tracker)
        return Group(self._table(tracker), line) if self._recent else line

    def _table(self, tracker: Tracker) -> Table:
        layout, ascii_only = tracker.layout, self._console.options.ascii_only
        labels = layout.labels("layer")
        total = layout.group(np.asarray(self._total), "layer")
        recent = layout.group(np.array(self._recent), "layer").T
        helping = _helping(tracker)
        shown = self._largest(total)
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(no_wrap=True)
        for _ in range(3):
            table.add_column(justify="right", no_wrap=True)
        table.add_column(no_wrap=True, width=_RECENT)
        headings = ("layer", "LCA so far", "share", "helping now", "last steps")
        table.add_row(*(Text(heading, "bold") for heading in headings))
        everything = total.sum()
        columns = zip(aligned(total.tolist()), total.tolist(), strict=True)
        for i, (written, lca) in enumerate(columns):
            if i in shown:
                share = lca / everything if everything else np.nan
                table.add_row(
                    Text(labels[i]),
                    coloured(written, lca),
                    known(100.0 * share, ".1f", " %"),
                    known(100.0 * helping[i], ".1f", " %"),
                    _lately(recent[i], ascii_only=ascii_only),
                )
        if len(shown) < len(labels):
            table.add_row(Text(f"and {len(labels) - len(shown):,} more", "dim"))
        return table

    def _largest(self, total: np.ndarray) -> set[int]:
        """Return the layers to show: all, or as many of the largest as the terminal has lines."""
        room = max(self._console.height - _AROUND, 1)
        return set(np.argsort(-np.abs(total), kind="stable")[:room].tolist())


def _helping(tracker: Tracker) -> np.ndarray:
    """Return helped / (helped + hurt) of the newest step, shape (layers,); NaN where unknown."""
    layout = tracker.layout
    share = np.full(len(layout.labels("layer")), np.nan)
    try:
        helped, hurt = (tracker.newest(name) for name in ("helped", "hurt"))
    except NotRecordedError:
        return share
    helped, hurt = (layout.group(np.asarray(one), "layer") for one in (helped, hurt))
    np.divide(helped, helped + hurt, out=share, where=helped + hurt > 0)
    return share


def _lately(values: np.ndarray, *, ascii_only: bool) -> Text:
    """Draw the last steps of one layer, each in its colour."""
    drawn = signed_spark(values, ascii_only=ascii_only)
    return Text.assemble(*map(coloured, drawn, values.tolist()))
