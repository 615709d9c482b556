"""What measuring costs: seconds inside `Tracker.step`, and between its calls."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Self

from attrs import frozen

if TYPE_CHECKING:
    from types import TracebackType


@frozen
class Overhead:
    """Time spent on measuring and on training, since the first measurement was done.

    The first one also compiles, and is left out. Nothing waits for a device that the tracker does
    not wait for anyway: training that is still under way there when `step` is called is counted
    as measuring, so that the sum is right and `factor` at most too large.

    Args:
        inside: seconds in the tracker's own calls.
        outside: seconds between them: the training alone.
        steps: of the optimizer, in this time.
    """

    inside: float = 0.0
    outside: float = 0.0
    steps: int = 0

    @property
    def factor(self) -> float:
        """Time of the measured training / time of the training alone; NaN before it is known.

        Example:
            >>> Overhead(inside=6.0, outside=2.0, steps=10).factor
            4.0
        """
        return (self.inside + self.outside) / self.outside if self.outside > 0.0 else math.nan

    @property
    def seconds_a_step(self) -> float:
        """Seconds of measured training a step; NaN before the first."""
        return (self.inside + self.outside) / self.steps if self.steps else math.nan


class Stopwatch:
    """Times its `with` blocks and what lies between them, once it was started."""

    def __init__(self) -> None:
        self.inside = self.outside = 0.0
        self._mark = math.nan

    @property
    def running(self) -> bool:
        """Whether it counts."""
        return not math.isnan(self._mark)

    def start(self) -> None:
        """Begin to count, between two blocks."""
        self._mark = time.perf_counter()

    def __enter__(self) -> Self:
        """Count what lies behind as outside."""
        self.outside += self._lap()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Count the block as inside."""
        self.inside += self._lap()

    def _lap(self) -> float:
        """Return the seconds since the last mark, and set the next."""
        if not self.running:
            return 0.0
        before, self._mark = self._mark, time.perf_counter()
        return self._mark - before
