"""What the terminal shows of a training: how far it is, and how long it will take."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Self

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from lca_core.cli.terminal import say

if TYPE_CHECKING:
    from types import TracebackType

    from rich.console import Console

    from lca_core.tracker import Tracker

_PAUSE = 0.1
_WATCHED = 10.0
_LONG = 60.0


class TrainingProgress:
    """A progress bar, called after every step; it looks at the tracker ten times a second.

    Args:
        console: where to.
        steps: how many there will be.
    """

    def __init__(self, console: Console, steps: int) -> None:
        self._bar = Progress(
            BarColumn(bar_width=12),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("left"),
            TextColumn("{task.fields[newest]}", markup=False),
            console=console,
            auto_refresh=False,
        )
        self._steps = steps
        self._task = self._bar.add_task("", total=steps, newest="")
        self._looked_at = -math.inf

    def __enter__(self) -> Self:
        """Show the bar."""
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the bar as it stands."""
        self._bar.stop()

    def __call__(self, tracker: Tracker) -> None:
        """Show where the tracker stands, unless it was shown a moment ago."""
        now = time.monotonic()
        if now - self._looked_at < _PAUSE and tracker.iteration < self._steps:
            return
        self._looked_at = now
        last = tracker.last()
        newest = (
            f"loss {last['loss']:.4g}, gap {abs(last.get('gap', math.nan)):.0e}, "
            f"gradients {last.get('evaluations', math.nan):.0f}"
        )
        self._bar.update(self._task, completed=tracker.iteration, newest=newest, refresh=True)


class Forecast:
    """Called after every step; says once how long a long training will take.

    What is said is measured: the first measurement, which also compiles, is left out.

    Args:
        console: where to.
        steps: how many there will be.
        every: steps between two measurements.
    """

    def __init__(self, console: Console, steps: int, every: int) -> None:
        self._console, self._steps, self._every = console, steps, every
        self._begin: tuple[int, float] | None = None
        self._known = False

    def __call__(self, tracker: Tracker) -> None:
        """Say it as soon as enough time has passed."""
        if self._known or tracker.iteration % self._every:
            return
        now = time.monotonic()
        if self._begin is None:
            self._begin = (tracker.iteration, now)
            return
        steps, seconds = tracker.iteration - self._begin[0], now - self._begin[1]
        if seconds < _WATCHED:
            return
        self._known = True
        whole = seconds / steps * self._steps
        if whole > _LONG:
            say(self._console, f"{seconds / steps:.2g} s a step so far: {duration(whole)} in all.")


def duration(seconds: float) -> str:
    """Write a time in the unit that suits it.

    Example:
        >>> duration(50), duration(1500), duration(40000)
        ('about 50 s', 'about 25 min', 'about 11 h')
    """
    for unit, length in (("h", 3600.0), ("min", 60.0)):
        if seconds >= 1.5 * length:
            return f"about {seconds / length:.2g} {unit}"
    return f"about {seconds:.2g} s"
