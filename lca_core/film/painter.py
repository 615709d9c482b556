"""From a step's shades to a frame."""

from __future__ import annotations

from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from attrs import frozen

from lca_core.film.colours import inked
from lca_core.film.legend import draw_legend
from lca_core.film.loss import LossCurve
from lca_core.film.pen import QUIET, write
from lca_core.film.sheet import Box

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lca_core.film.page import Page
    from lca_core.film.record import Record
    from lca_core.film.sheet import Sheet
    from lca_core.layout import Leaf


@frozen
class Painter:
    """Draws the frames of a film: numbers of the palette, a byte a pixel.

    Args:
        record: what is shown.
        page: where every parameter lies.
        sheet: how a frame is divided.
        scale: what is drawn strongest, loss units; 0 where nothing was allocated.
        steps: which are shown.
    """

    record: Record
    page: Page
    sheet: Sheet
    scale: float
    steps: range

    def frame(self, step: int, shades: Sequence[np.ndarray]) -> np.ndarray:
        """Return one frame.

        Args:
            step: its number, from 0.
            shades: a matrix a leaf, uint8; see `colours.levels`.

        Returns:
            Shape (height, width), uint8.
        """
        frame = self._still.copy()
        self._parameters(frame, shades)
        self._counter(frame, step)
        self._loss.so_far(frame, step)
        return frame

    def _parameters(self, frame: np.ndarray, shades: Sequence[np.ndarray]) -> None:
        zoom, (left, top) = self.page.zoom, self._corner
        for b in self.page.blocks:
            part = shades[b.leaf][b.row : b.row + b.rows, b.column : b.column + b.columns]
            x, y = left + b.x, top + b.y
            large = part.repeat(zoom, axis=0).repeat(zoom, axis=1)
            frame[y : y + b.rows * zoom, x : x + b.columns * zoom] = large

    def _counter(self, frame: np.ndarray, step: int) -> None:
        """Say which step it is, and what the loss did."""
        run, sheet = self.record.run, self.sheet
        counter = f"step {run.iteration[step + 1]:,} of {run.iteration[-1]:,}"
        write(frame, counter, sheet.large, sheet.title, align="right")
        before, after = run.loss(self.record.measure)[step : step + 2]
        told = f"loss {after:.4g}, changed by {after - before:+.2e}".replace("-", "−")
        if not self.record.finite[step]:
            told = "not finite: nothing was allocated"
        write(frame, told, sheet.small, sheet.subtitle, align="right")

    @cached_property
    def _still(self) -> np.ndarray:
        """Everything that does not move."""
        (empty,) = inked(np.zeros(1, np.uint8))
        frame = np.full((self.sheet.height, self.sheet.width), empty, np.uint8)
        self._title(frame)
        self._names(frame)
        self._loss.axes(frame)
        draw_legend(frame, self.sheet, self.scale)
        return frame

    @cached_property
    def _loss(self) -> LossCurve:
        return LossCurve(self.record.run, self.record.measure, self.steps, self.sheet)

    def _title(self, frame: np.ndarray) -> None:
        record, sheet, pool = self.record, self.sheet, self.page.pool
        shown, every = sum(leaf.size for leaf in record.leaves), record.run.layout.parameters
        count = f"{every:,}" if shown == every else f"{shown:,} of {every:,}"
        title = f"{record.measure}: the loss change of every step, allocated to {count} parameters"
        one = "a parameter" if pool == 1 else f"the sum of {pool} × {pool} parameters"
        told = f"every square is {one}; inputs go down, units to the right"
        write(frame, title, sheet.large, sheet.title.left(0.75))
        write(frame, told, sheet.small, sheet.subtitle.left(0.7), strength=QUIET)

    def _names(self, frame: np.ndarray) -> None:
        """Write the names of layers, as long as the way to the next column."""
        (left, top), leaves, labels = self._corner, self.record.leaves, self.page.labels
        columns = [*sorted({label.x for label in labels}), self.sheet.page.width - left]
        room = {x: after - x - self.sheet.margin // 2 for x, after in pairwise(columns)}
        ends = [*(label.leaf for label in labels[1:]), len(leaves)]
        for label, end in zip(labels, ends, strict=True):
            words = name_of(leaves[label.leaf : max(end, label.leaf + 1)])
            box = Box(left + label.x, top + label.y, room[label.x], self.sheet.line)
            write(frame, words, self.sheet.small, box, strength=QUIET)

    @cached_property
    def _corner(self) -> tuple[int, int]:
        """Where the page begins in the frame: in the middle of its box, at even pixels."""
        box, page = self.sheet.page, self.page
        return (
            box.x + (box.width - page.width) // 4 * 2,
            box.y + (box.height - page.height) // 4 * 2,
        )


def name_of(leaves: Sequence[Leaf]) -> str:
    """Return the name of a layer, and of its leaves in it.

    Example:
        >>> from lca_core import Leaf
        >>> from lca_core.film.painter import name_of
        >>> name_of([Leaf("fc1.weight", (3, 2), layer="fc1"), Leaf("fc1.bias", (3,), layer="fc1")])
        'fc1: weight, bias'
    """
    layer = leaves[0].layer
    own = [leaf.name.removeprefix(layer).lstrip("./") for leaf in leaves if leaf.size]
    return f"{layer}: {', '.join(own)}" if layer and all(own) else leaves[0].name
