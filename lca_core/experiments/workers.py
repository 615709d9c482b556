"""Executors on this machine: in this process, or in processes that end with it."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TYPE_CHECKING, ParamSpec, Self, TypeVar

from lca_core.errors import WorkerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.connection import Connection
    from types import TracebackType

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

_SPAWN = multiprocessing.get_context("spawn")
_THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
    "NPROC",
)
"""What numpy, PyTorch, TensorFlow and XLA (the last) read when they are imported."""


class Serial(Executor):
    """Does everything at once, in this process, as it is submitted.

    Example:
        >>> from lca_core.experiments.workers import Serial
        >>> with Serial() as executor:
        ...     executor.submit(abs, -1).result()
        1
    """

    def submit(
        self,
        fn: Callable[Arguments, Result],
        /,
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Future[Result]:
        """Call a function and return what came of it; an interrupt is not held back."""
        future: Future[Result] = Future()
        future.set_running_or_notify_cancel()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 -- what an executor is there for
            future.set_exception(error)
        return future


class Workers(Executor):
    """Processes that share the cores; one that dies fails its own call and no other.

    They are started afresh (spawned), kept for further calls, and end with this process, whatever
    it dies of.

    Args:
        count: how many.
    """

    def __init__(self, count: int) -> None:
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="worker")
        self._reader, self._writer = _SPAWN.Pipe(duplex=False)
        self._own = threading.local()
        self._pools: list[ProcessPoolExecutor] = []

    def submit(
        self,
        fn: Callable[Arguments, Result],
        /,
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Future[Result]:
        """Call a function in the next process that is free."""
        return self._threads.submit(self._away, lambda pool: pool.submit(fn, *args, **kwargs))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 -- as Executor has it
        """End the processes when all calls have returned."""
        self._threads.shutdown(wait, cancel_futures=cancel_futures)
        for pool in self._pools:
            pool.shutdown(wait)
        self._writer.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Wait for all calls; after an error, let the processes die where they are."""
        if kind is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._writer.close()
        self.shutdown()

    def _away(self, call: Callable[[ProcessPoolExecutor], Future[Result]]) -> Result:
        """Have this thread's process do it."""
        if getattr(self._own, "pool", None) is None:
            self._own.pool = self._process()
        try:
            return call(self._own.pool).result()
        except BrokenProcessPool as error:
            self._own.pool = None
            msg = "The worker process died: killed, out of memory, or crashed."
            raise WorkerError(msg) from error

    def _process(self) -> ProcessPoolExecutor:
        pool = ProcessPoolExecutor(
            1, mp_context=_SPAWN, initializer=_begin, initargs=(self._reader,)
        )
        self._pools.append(pool)
        return pool


@contextmanager
def shared_cores(count: int) -> Iterator[None]:
    """Let each of so many processes that are started meanwhile use its share of the cores.

    What the user set stays.

    Args:
        count: of processes.
    """
    share = str(max(1, cores() // count))
    added = [name for name in _THREADS if name not in os.environ]
    os.environ.update(dict.fromkeys(added, share))
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _begin(reader: Connection) -> None:
    """Prepare a worker: it leaves what a terminal sends to its parent, and ends when that does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "SIGHUP"):  # not on Windows
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, args=(reader,), daemon=True).start()


def _end_with_parent(reader: Connection) -> None:
    """Wait until the other end of the pipe is closed, by the parent or by its death."""
    multiprocessing.connection.wait([reader])
    # At once, as by a kill: run files stand that, and a run of hours must not go on unseen.
    os._exit(1)
