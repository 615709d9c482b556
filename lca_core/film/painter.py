"""From a step's shades to a frame."""

from __future__ import annotations

from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from attrs import frozen

from lca_core.film.colours import LEVELS, inked
from lca_core.film.heading import NOT_LOOKED_AT, Heading
from lca_core.film.legend import draw_legend
from lca_core.film.loss import LossCurve
from lca_core.film.names import written
from lca_core.film.pen import QUIET, write
from lca_core.film.sheet import Box

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lca_core.film.page import Page
    from lca_core.film.record import Record
    from lca_core.film.sheet import Sheet


@frozen
class Painter:
    """Draws the frames of a film: numbers of the palette, a byte a pixel.

    Args:
        record: what is shown.
        page: where every parameter lies.
        sheet: how a frame is divided.
        scale: what is drawn strongest, loss units; 0 where nothing was allocated.
        steps: which are shown.
        grades: shades of each sign.
    """

    record: Record
    page: Page
    sheet: Sheet
    scale: float
    steps: range
    grades: int = LEVELS

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
        """Say which step it is, and what is known of it."""
        run, sheet = self.record.run, self.sheet
        last = f"{run.iteration[-1]:,}"
        write(frame, f"step {run.iteration[step + 1]:,} of {last}", sheet.large, sheet.title,
              align="right")  # fmt: skip
        write(frame, self._told(step), sheet.small, sheet.subtitle, align="right")

    def _told(self, step: int) -> str:
        """Say what the loss did, or why nobody knows."""
        record = self.record
        if not record.looked_at[step]:
            return NOT_LOOKED_AT
        if not record.finite[step]:
            return self._heading.lost
        loss = record.run.loss(record.measure)[step + 1]
        return self._heading.step.format(loss, record.changes[step]).replace("-", "−")

    @cached_property
    def _still(self) -> np.ndarray:
        """Everything that does not move."""
        (empty,) = inked(np.zeros(1, np.uint8))
        frame = np.full((self.sheet.height, self.sheet.width), empty, np.uint8)
        write(frame, self._heading.title, self.sheet.large, self.sheet.title)
        write(frame, self._heading.square, self.sheet.small, self.sheet.subtitle, strength=QUIET)
        self._names(frame)
        self._loss.axes(frame)
        draw_legend(frame, self.sheet, self.scale, pool=self.page.pool, grades=self.grades)
        return frame

    @cached_property
    def _loss(self) -> LossCurve:
        return LossCurve(self.record.run, self.record.measure, self.steps, self.sheet)

    @cached_property
    def _heading(self) -> Heading:
        return Heading.of(self.record, self.page.pool, self.sheet)

    def _names(self, frame: np.ndarray) -> None:
        """Write the names of layers, as long as the way to the next column."""
        box, (left, top), size = self.sheet.page, self._corner, self.sheet.small
        labels = self.page.labels
        columns = [*sorted({label.x for label in labels}), box.x + box.width - left]
        room = {x: after - x - self.sheet.margin // 2 for x, after in pairwise(columns)}
        rooms = [room[label.x] for label in labels]
        for label, name in zip(
            labels, written(self.record.leaves, labels, rooms, size), strict=True
        ):
            place = Box(left + label.x, top + label.y, room[label.x], self.sheet.line)
            write(frame, name, size, place, strength=QUIET)

    @cached_property
    def _corner(self) -> tuple[int, int]:
        """Where the page begins in the frame: in the middle of its box, at even pixels."""
        box, page = self.sheet.page, self.page
        return (
            box.x + (box.width - page.width) // 4 * 2,
            box.y + (box.height - page.height) // 4 * 2,
        )
