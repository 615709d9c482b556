"""What the terminal shows of a training: how far it is, how it goes, how long it will take."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Self

from attrs import frozen
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from lca_core.cli.terminal import say
from lca_core.overhead import Overhead

if TYPE_CHECKING:
    from types import TracebackType

    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

    from lca_core.tracker import Tracker

_PAUSE, _SHARE = 0.1, 0.02
_BAR = 10
_WATCHED = 10.0
_LONG = 60.0


@frozen
class ProgressLine:
    """One line on where a training stands, as long as the console has room.

    Args:
        done, steps: made, and to be made.
        elapsed, left: seconds; what is left is NaN before it can be said.
        loss, gap: of the newest closed step, loss units.
        gradients: spent on what is closed at once, on average.
        each: what that is, "step" or "segment".
        factor: time with measuring / time of the training alone. NaN, as of gap and gradients:
            not known, and left out.
    """

    done: int
    steps: int
    elapsed: float
    left: float
    loss: float
    gap: float
    gradients: float
    each: str
    factor: float

    @classmethod
    def of(cls, tracker: Tracker, steps: int, elapsed: float) -> ProgressLine:
        """Return where a tracker stands."""
        last, overhead = tracker.last(), tracker.overhead
        return cls(
            done=tracker.iteration,
            steps=steps,
            elapsed=elapsed,
            left=(steps - tracker.iteration) * overhead.seconds_a_step,
            loss=last["loss"],
            gap=abs(last.get("gap", math.nan)),
            gradients=last.get("gradients", math.nan),
            each="step" if tracker.every == 1 else "segment",
            factor=overhead.factor,
        )

    @property
    def wordings(self) -> tuple[str, ...]:
        """The line in words, the longest first."""
        count, when = f"{self.done:,}/{self.steps:,}", self._time()
        loss, gap = f"loss {self.loss:.4g}", f"gap {self.gap:.0e}"
        spent, factor = f"{self.gradients:.2f}", times(self.factor)

        def line(apart: str, loss: str, gradients: str, cost: str) -> str:
            numbers = ((self.gap, gap), (self.gradients, gradients), (self.factor, cost))
            known = [words for number, words in numbers if not math.isnan(number)]
            return apart.join((count, when, loss, *known))

        return (
            line("  ", loss, f"{spent} gradients a {self.each}", f"{factor} training alone"),
            line("  ", loss, f"{spent} gradients/{self.each}", f"cost {factor}"),
            line(" ", loss, f"{spent} grad/{self.each}", f"cost {factor}"),
            line(" ", f"loss {self.loss:.3g}", f"{spent} grad", factor),
            f"{count} {when} {loss}",
            count,
        )

    def _time(self) -> str:
        if self.done >= self.steps:
            return f"in {span(self.elapsed)}"
        return "left: ?" if math.isnan(self.left) else f"{span(self.left)} left"

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw a bar, and the longest wording that fits."""
        room = options.max_width - _BAR - 1
        words = next((one for one in self.wordings if len(one) <= room), None)
        if words is None:
            yield Text(self.wordings[-1], no_wrap=True, overflow="crop")
            return
        grid = Table.grid(padding=(0, 1))
        bar = ProgressBar(total=max(self.steps, 1), completed=self.done, width=_BAR)
        grid.add_row(bar, Text(words, no_wrap=True))
        yield grid


class TrainingProgress:
    """A line that lives while a training goes on: call it with the tracker after every step.

    It looks at the tracker ten times a second at most, and never spends more than 2 % of the time;
    and once more at the end of its `with` block: finish the tracker inside.

    Args:
        console: where to.
        steps: how many there will be.

    Example:
        >>> from rich.console import Console
        >>> from lca_core.cli.progress import TrainingProgress
        >>> with TrainingProgress(Console(quiet=True), steps=100) as progress:
        ...     pass  # in the loop: tracker.step(); progress(tracker)
    """

    def __init__(self, console: Console, steps: int) -> None:
        self._live = Live(console=console, auto_refresh=False, vertical_overflow="crop")
        self._steps = steps
        self._begin = time.monotonic()
        self.overhead = Overhead()
        self._next = -math.inf
        self._tracker: Tracker | None = None

    def __enter__(self) -> Self:
        """Begin to show."""
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave what is shown on a line of its own: all of a training that came to its end."""
        if kind is None and self._tracker is not None:
            self(self._tracker)  # the last steps may have closed since
        self._live.stop()
        if not self._live.console.is_terminal and self._next > -math.inf:
            self._live.console.line()

    def __call__(self, tracker: Tracker) -> None:
        """Show where the tracker stands, unless it was shown a moment ago."""
        self._tracker = tracker
        now = time.monotonic()
        if now < self._next and tracker.iteration < self._steps:
            return
        self.overhead = tracker.overhead
        self._live.update(self._shown(tracker), refresh=True)
        after = time.monotonic()
        self._next = after + max(_PAUSE, (after - now) / _SHARE)

    def _line(self, tracker: Tracker) -> ProgressLine:
        return ProgressLine.of(tracker, self._steps, time.monotonic() - self._begin)

    def _shown(self, tracker: Tracker) -> RenderableType:
        return self._line(tracker)


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
    """Write a time in the unit that suits it, as the estimate that it is.

    Example:
        >>> from lca_core.cli.progress import duration
        >>> duration(50), duration(1500), duration(40000)
        ('about 50 s', 'about 25 min', 'about 11 h')
    """
    return f"about {span(seconds)}"


def span(seconds: float) -> str:
    """Write a time in the unit that suits it.

    Example:
        >>> from lca_core.cli.progress import span
        >>> span(0.04), span(89), span(90)
        ('0.04 s', '89 s', '1.5 min')
    """
    for unit, length in (("h", 3600.0), ("min", 60.0)):
        if seconds >= 1.5 * length:
            return f"{seconds / length:.2g} {unit}"
    return f"{seconds:.2g} s"


def times(factor: float) -> str:
    """Write how many times something is.

    Example:
        >>> from lca_core.cli.progress import times
        >>> times(4.23), times(11.6)
        ('4.2×', '12×')
    """
    return f"{factor:.1f}×" if factor < 10.0 else f"{factor:.0f}×"


def cost(overhead: Overhead) -> str:
    """Say what measuring cost."""
    return (
        f"Training with measuring took {times(overhead.factor)} the time of training alone, "
        f"{span(overhead.seconds_a_step)} a step; the first measurement, which compiles, left out."
    )
