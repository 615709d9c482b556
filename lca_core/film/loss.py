"""The loss below the page, drawn as far as the film has come."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from attrs import frozen

from lca_core.film import lettering
from lca_core.film.pen import PALE, QUIET, stamp, write
from lca_core.film.sheet import Box

if TYPE_CHECKING:
    from lca_core.film.sheet import Sheet
    from lca_core.run import Run


@frozen
class LossCurve:
    """The loss at the iterates that the film passes.

    Args:
        run: whose.
        measure: whose.
        steps: of the film.
        sheet: how a frame is divided.
    """

    run: Run
    measure: str
    steps: range
    sheet: Sheet

    def axes(self, frame: np.ndarray) -> None:
        """Draw what does not move: the whole curve, pale, and the ends of both axes."""
        box, size = self._box, self.sheet.small
        stamp(frame, self._mask, box.x, box.y, PALE)
        first, last = self._iteration[[0, -1]]
        below = box.lower(box.height)
        write(frame, f"step {first:,}", size, below, strength=QUIET)
        write(frame, f"{last:,}", size, below, strength=QUIET, align="right")
        whole, (low, high) = self.sheet.loss, self._range
        write(frame, "loss", size, whole.lower((whole.height - self.sheet.line) // 2))
        write(frame, f"{high:.3g}", size, whole, strength=QUIET)
        lowest = whole.lower(whole.height - self.sheet.line)
        write(frame, f"{low:.3g}", size, lowest, strength=QUIET)

    def so_far(self, frame: np.ndarray, step: int) -> None:
        """Draw the loss up to the end of a step."""
        box, (x, y) = self._box, self._points
        now = step + 1 - self.steps.start
        stamp(frame, self._mask[:, : int(x[now]) + 1], box.x, box.y)
        if np.isfinite(y[now]):
            disc = lettering.dot(max(self.sheet.width / 400, 2.0))
            reach = len(disc) // 2
            stamp(frame, disc, box.x + round(x[now]) - reach, box.y + round(y[now]) - reach)

    @cached_property
    def _box(self) -> Box:
        """The sheet's, behind the numbers on its left."""
        whole = self.sheet.loss
        shift = lettering.text("0.00e+00", self.sheet.small, whole.width).shape[1]
        return Box(whole.x + shift, whole.y, whole.width - shift, whole.height)

    @cached_property
    def _iterates(self) -> slice:
        return slice(self.steps.start, self.steps[-1] + 2)

    @cached_property
    def _iteration(self) -> np.ndarray:
        return np.asarray(self.run.iteration[self._iterates])

    @cached_property
    def _loss(self) -> np.ndarray:
        loss = self.run.loss(self.measure)[self._iterates]
        return np.where(np.isfinite(loss), loss, np.nan)

    @cached_property
    def _range(self) -> tuple[float, float]:
        known = self._loss[np.isfinite(self._loss)]
        return (float(known.min()), float(known.max())) if known.size else (np.nan, np.nan)

    @cached_property
    def _points(self) -> tuple[np.ndarray, np.ndarray]:
        """Pixels of every iterate in the box; a loss that never moves lies in the middle."""
        box, (low, high), at = self._box, self._range, self._iteration
        along = (at - at[0]) / (at[-1] - at[0])
        up = (self._loss - low) / (high - low) if high > low else self._loss - low + 0.5
        pad = self.sheet.line // 2
        return along * (box.width - 1), pad + (1 - up) * (box.height - 2 * pad)

    @cached_property
    def _mask(self) -> np.ndarray:
        thick = max(self.sheet.width / 960, 1.0)
        return lettering.curve(*self._points, (self._box.height, self._box.width), thick)
