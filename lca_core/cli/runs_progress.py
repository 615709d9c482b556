"""How far many runs are: read from their files, wherever they are made."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Self

from attrs import define, frozen
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from lca_core.cli.progress import span
from lca_core.cli.terminal import say

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

    from lca_core.experiments.carrying import Ended
    from lca_core.experiments.job import Job

_PAUSE, _SHARE = 1.0, 0.02
_WATCHED = 10.0
_BAR = 10


@frozen
class RunsLine:
    """One line on where many runs stand, as long as the console has room.

    Args:
        runs, done, failed, running: of runs.
        steps, made: of steps of all runs, those of earlier sessions too.
        elapsed, left: seconds; what is left is NaN before it can be said.
    """

    runs: int
    done: int
    failed: int
    running: int
    steps: int
    made: int
    elapsed: float
    left: float

    @property
    def wordings(self) -> tuple[str, ...]:
        """The line in words, the longest first."""
        count = f"{self.done:,}/{self.runs:,}"
        failed = f", {self.failed:,} failed" if self.failed else ""
        running = f", {self.running:,} running" if self.running else ""
        steps = f"{self.made:,}/{self.steps:,} steps"
        return (
            f"{count} runs done{failed}{running}  {steps}  {self.when}",
            f"{count} runs{failed}  {steps}  {self.when}",
            f"{count}{failed}  {self.when}",
            count,
        )

    @property
    def when(self) -> str:
        """The time in words."""
        if self.done + self.failed >= self.runs:
            return f"in {span(self.elapsed)}"
        return "left: ?" if math.isnan(self.left) else f"about {span(self.left)} left"

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw a bar, and the longest wording that fits."""
        room = options.max_width - _BAR - 1
        words = next((one for one in self.wordings if len(one) <= room), None)
        if words is None:
            yield Text(self.wordings[-1], no_wrap=True, overflow="crop")
            return
        grid = Table.grid(padding=(0, 1))
        bar = ProgressBar(total=max(self.steps, 1), completed=self.made, width=_BAR)
        grid.add_row(bar, Text(words, no_wrap=True))
        yield grid


@define
class Standing:
    """One run as this session sees it.

    Args:
        job: the run.
        before: steps that were safe as the session began.
        mark: when its description was written last, as the session began; 0 for never.
        made: steps that are safe now.
        over: whether it is finished or failed.
    """

    job: Job
    before: int
    mark: int
    made: int
    over: bool

    @classmethod
    def of(cls, job: Job) -> Standing:
        """Return how a run stands as the session begins."""
        over = job.finished
        damaged = not over and job.damaged  # of a finished run, it would be read again
        steps = 0 if damaged else min(job.place.steps(), job.steps)
        return cls(job, steps, job.place.mark(), steps, over)

    @property
    def running(self) -> bool:
        """Whether a worker of this session has begun it; its clock may be another."""
        return not self.over and self.job.place.mark() != self.mark

    def look(self) -> None:
        """See how far it is."""
        self.made = min(max(self.job.place.steps(), self.before), self.job.steps)


class RunsProgress:
    """A line that lives while runs are made; where there is no terminal, a line a run.

    Args:
        console: where to.
        jobs: all runs, finished ones too.
    """

    def __init__(self, console: Console, jobs: Sequence[Job]) -> None:
        self._console = console
        self._all = {id(job): Standing.of(job) for job in jobs}
        self._failed = 0
        self._begin = time.monotonic()
        self._next = -math.inf
        self._newest = self._look()
        self._live = Live(
            console=console, get_renderable=self._shown, refresh_per_second=2, transient=True
        )

    def __enter__(self) -> Self:
        """Begin to show."""
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop, and leave one line."""
        self._live.stop()
        say(self._console, f"{self._look().wordings[0]}.")

    def ended(self, ended: Ended) -> None:
        """Note that a run is over."""
        standing = self._all[id(ended.job)]
        standing.over = True
        self._failed += ended.error is not None
        if not self._console.is_terminal:
            how = "failed" if ended.error else "done"
            say(self._console, f"{ended.job}: {how}. {self._look().wordings[0]}.")

    def _look(self) -> RunsLine:
        """Return where the runs stand; only those that move are read."""
        running = [one for one in self._all.values() if one.running]
        for one in running:
            one.look()
        over = [one for one in self._all.values() if one.over]
        for one in over:
            if one.made < one.job.steps:
                one.look()
        made = sum(one.made for one in self._all.values())
        elapsed = time.monotonic() - self._begin
        return RunsLine(
            runs=len(self._all),
            done=len(over) - self._failed,
            failed=self._failed,
            running=len(running),
            steps=sum(one.job.steps for one in self._all.values()),
            made=made,
            elapsed=elapsed,
            left=self._left(elapsed),
        )

    def _left(self, elapsed: float) -> float:
        """Return how long the rest takes at the pace of this session, once that is known."""
        now = sum(one.made - one.before for one in self._all.values())
        rest = sum(one.job.steps - one.made for one in self._all.values() if not one.over)
        if not now or elapsed < _WATCHED:
            return math.nan
        return elapsed * rest / now

    def _shown(self) -> RenderableType:
        """Return the line; it is made anew as often as that costs little."""
        now = time.monotonic()
        if now >= self._next:
            self._newest = self._look()
            after = time.monotonic()
            self._next = after + max(_PAUSE, (after - now) / _SHARE)
        return self._newest
