"""All runs of an experiment, carried out by any executor; a run that fails stops no other."""

from __future__ import annotations

from concurrent.futures import Future, as_completed
from typing import TYPE_CHECKING

from attrs import frozen

from lca_core.errors import WorkerError
from lca_core.experiments.job import Ending, Job, carried

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from concurrent.futures import Executor


@frozen
class Ended:
    """A run that is over.

    Args:
        job: the run.
        error: what stopped it; None if it is finished.
    """

    job: Job
    error: BaseException | None


def carry_out(
    jobs: Sequence[Job], executor: Executor, on_end: Callable[[Ended], None]
) -> tuple[Ended, ...]:
    """Make every run that is not finished; return those that failed.

    Args:
        jobs: the runs.
        executor: any; its workers must reach the same files.
        on_end: called as each run is over.
    """
    waiting: dict[Future[Ending], Job] = {}
    failures = []

    def settle(done: Iterable[Future[Ending]]) -> None:
        for future in done:
            ended = Ended(waiting.pop(future), _error(future))
            if ended.error is not None:
                failures.append(ended)
            on_end(ended)

    try:
        for job in jobs:
            waiting[executor.submit(carried, job)] = job
            settle([future for future in waiting if future.done()])
        settle(as_completed(list(waiting)))
    except BaseException:
        for future in waiting:
            future.cancel()
        raise
    return tuple(failures)


def _error(future: Future[Ending]) -> BaseException | None:
    """Return what stopped a run; a scheduler may also give one up."""
    if future.cancelled():
        return WorkerError("The executor gave the run up.")
    return future.exception()
