"""One process writes a run file: a lock that the system takes back when that process ends."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary, finalize

from lca_core.errors import RunBusyError
from lca_core.ledger import ITERATION

if TYPE_CHECKING:
    from pathlib import Path

if sys.platform == "win32":

    def _take(_: int) -> bool:
        """Take nothing: a lock of Windows would keep out those who copy the file, too."""
        return True

else:
    import errno
    import fcntl

    def _take(number: int) -> bool:
        """Return whether no other process has it; where there are no locks, nobody has."""
        try:
            # Of the process: unlike flock's, no forked child that outlives its parent keeps it.
            fcntl.lockf(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            return error.errno not in {errno.EACCES, errno.EAGAIN}
        return True


_PLACE = f"{ITERATION.name}/lock"
"""Beside the chunks of an array, where Zarr looks for no other name; in a group it would warn."""


class Lock:
    """This process's right to write a run file, until `release`, or until nobody refers to it.

    Args:
        number: the descriptor of what is locked.
    """

    def __init__(self, number: int) -> None:
        self.release = finalize(self, os.close, number)


# A process has one lock a file, and loses it when any descriptor of that file is closed: whoever
# resumes here, after an exception say, shares the one that is held.
_HELD: WeakValueDictionary[tuple[int, ...], Lock] = WeakValueDictionary()


def hold(path: Path) -> Lock | None:
    """Let no other process write a run file.

    Args:
        path: the run file.

    Returns:
        The lock; None where there is no run file, or one that cannot be written.

    Raises:
        RunBusyError: another process writes it.

    Example:
        >>> from lca_core.lock import hold
        >>> from pathlib import Path
        >>> hold(Path("nowhere.zarr")) is None
        True
    """
    file = path / _PLACE
    if held := _held(file):
        return held
    try:
        number = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError:
        return None
    lock = Lock(number)
    if not _take(number):
        lock.release()
        msg = (
            f"Another process is writing the run in '{path}', and two would destroy it. Wait until "
            "it has finished, stop it, or choose another path; lca_core.load reads it meanwhile."
        )
        raise RunBusyError(msg)
    _HELD[_key(os.fstat(number))] = lock
    return lock


def _held(file: Path) -> Lock | None:
    """Return the lock that this process has."""
    try:
        lock = _HELD.get(_key(file.stat()))
    except OSError:
        return None
    return lock if lock and lock.release.alive else None


def _key(stat: os.stat_result) -> tuple[int, ...]:
    # With the process: a forked child has none of its parent's locks.
    return os.getpid(), stat.st_dev, stat.st_ino
