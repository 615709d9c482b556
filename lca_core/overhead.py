"""What measuring costs: the time of the measured training against that of the training alone."""

from __future__ import annotations

import math
import time
from collections import deque
from statistics import median
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Callable

    from lca_core.typing import Params

_FIRST, _EVERY, _LAST = 8, 16, 64
"""Training alone is timed before the first so many measurements, then before every so many; the
usual is that of the last so many."""


@frozen
class Overhead:
    """Time since the first measurement, which also compiles and is left out.

    Args:
        seconds: of training and measuring together.
        steps: of the optimizer, in this time.
        alone: seconds a step of the training alone, from samples between two measurements, so that
            what measuring slows it down by (cold caches) is in it; NaN before the first.
        usual: the same, the median of the last samples: what is slow at first does not count.
        measuring: seconds of a measurement, the median of the last samples; NaN before the first.
    """

    seconds: float = 0.0
    steps: int = 0
    alone: float = math.nan
    usual: float = math.nan
    measuring: float = math.nan

    @property
    def factor(self) -> float:
        """Time of the measured training / time of the training alone; NaN before it is known.

        From 1 up: where the machine paused in a sample, the training alone seems to take longer.

        Example:
            >>> from lca_core.overhead import Overhead
            >>> Overhead(seconds=8.0, steps=10, alone=0.2).factor
            4.0
        """
        return max(self.seconds_a_step / self.alone, 1.0) if self.alone > 0.0 else math.nan

    @property
    def seconds_a_step(self) -> float:
        """Seconds of measured training a step; NaN before the first."""
        return self.seconds / self.steps if self.steps else math.nan


class Stopwatch:
    """Times what lies between two measurements, and on samples the training alone.

    Many frameworks return before the device is done, so what a training takes shows only to who
    waits for it. That is done on samples, at both ends, where the measurement itself waits for
    the same parameters a moment later.

    Args:
        wait: returns when parameters are computed.
    """

    def __init__(self, wait: Callable[[Params], None]) -> None:
        self._wait = wait
        self._left = 0
        self._sampled = False
        self._begin = self._mark = (0.0, 0)
        self._alone, self._alone_steps = 0.0, 0
        self._capturing = self._arrived = self._held = 0.0
        self._usual: deque[float] = deque(maxlen=_LAST)
        self._measuring: deque[float] = deque(maxlen=_LAST)

    @property
    def overhead(self) -> Overhead:
        """What is known so far."""
        (began, first), (now, newest) = self._begin, self._mark
        known = self._alone_steps > 0
        alone = self._alone / self._alone_steps if known else math.nan
        usual, measuring = (
            median(some) if some else math.nan for some in (self._usual, self._measuring)
        )
        return Overhead(now - began, newest - first, alone, usual, measuring)

    def arrived(self, params: Params, iteration: int, at: float) -> None:
        """Take the time at which a training has come to `params`; the host came at `at`."""
        if self._sampled:
            captured = time.perf_counter()
            self._wait(params)
            self._arrived, self._capturing = time.perf_counter(), captured - at + self._held
            left, before = self._mark
            took, steps = at - left - self._held + self._arrived - captured, iteration - before
            self._alone += took
            self._alone_steps += steps
            self._usual.append(took / steps)

    def left(self, params: Params, iteration: int) -> None:
        """Take the time at which a measurement was done."""
        self._left += 1
        if self._sampled:
            self._measuring.append(time.perf_counter() - self._arrived + self._capturing)
        self._held = 0.0
        self._sampled = self._left <= _FIRST or self._left % _EVERY == 0
        if self._sampled:
            self._wait(params)
        self._mark = (time.perf_counter(), iteration)
        if self._left == 1:
            self._begin = self._mark

    def held(self, seconds: float) -> None:
        """Count so many seconds since the last measurement as part of the next."""
        self._held += seconds

    def skip(self, seconds: float) -> None:
        """Leave out the last so many seconds, and the sample under way."""
        self._begin, self._mark = ((at + seconds, step) for at, step in (self._begin, self._mark))
        self._sampled = False

    def disturbed(self) -> None:
        """Leave out the sample under way: something else takes time."""
        self._sampled = False
