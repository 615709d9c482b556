"""Writing behind: a training goes on while a thread writes what it has handed over."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import numpy as np
from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lca_core.typing import Checkpoint, Sink

Rows: TypeAlias = "Mapping[str, np.ndarray]"

_NAME = "lca-writes-behind"


def wait_for_writers() -> None:
    """Return when no write of this process is under way: what it has handed over can be read."""
    for thread in threading.enumerate():
        if thread.name == _NAME:
            thread.join()


@define
class Behind:
    """Hands over to another sink on a thread of its own, one write at a time.

    Whoever hands over the next chunk waits for the write under way, so that on a slow disk the
    training waits and nothing piles up: of rows and checkpoints, one set is being written at
    most. A checkpoint that is asked for is written before `checkpoint` returns.

    A thread lives as long as its write: none is left behind, and none is idle when a data loader
    forks. The interpreter waits for it at its exit.

    Args:
        sink: a durable one; used by one thread at a time.
    """

    _sink: Sink
    _given: Rows | None = field(default=None, init=False)
    _unsafe: Rows | None = field(default=None, init=False)
    _error: BaseException | None = field(default=None, init=False)
    _thread: threading.Thread | None = field(default=None, init=False)
    durable: ClassVar[bool] = True

    def append(self, rows: Rows) -> None:
        """Take rows, which are handed over by the next `checkpoint`."""
        self._given = rows

    def checkpoint(self, point: Checkpoint) -> None:
        """Hand over; where the point was asked for, return when all is written.

        Args:
            point: stands behind all rows; owned, as the rows are.

        Raises:
            Exception: the one that an earlier write ended with, once, as it was. What is given
                with this call is not taken then: the caller gives it again. What was taken
                before is kept and written with it.
        """
        self.settle()
        given, self._given = self._given, None
        error, self._error = self._error, None
        if error is not None and not point.keep:
            raise error
        rows = _joined(self._unsafe, given)
        if point.keep:
            # What failed before is tried again: an error that has passed is no loss.
            self._write(rows, point)
            self._unsafe = None
            return
        thread = threading.Thread(target=self._try, args=(rows, point), name=_NAME)
        thread.start()
        self._thread, self._unsafe = thread, rows

    def settle(self) -> None:
        """Return when no write is under way."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
            if self._error is None:
                self._unsafe = None

    def run(self) -> Any:
        """Return the run, as far as it is written."""
        self.settle()
        return self._sink.run()

    def _try(self, rows: Rows | None, point: Checkpoint) -> None:
        try:
            self._write(rows, point)
        except BaseException as error:  # noqa: BLE001  it is raised where the training is
            self._error = error

    def _write(self, rows: Rows | None, point: Checkpoint) -> None:
        if rows is not None:
            self._sink.append(rows)
        self._sink.checkpoint(point)


def _joined(first: Rows | None, then: Rows | None) -> Rows | None:
    if first is None or then is None:
        return then if first is None else first
    return {name: np.concatenate([first[name], then[name]]) for name in first}
