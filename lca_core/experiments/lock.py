"""One writer at a time: a lock that the system takes back from a process that died."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

if sys.platform == "win32":
    import msvcrt
    import time

    def _take(number: int) -> None:
        while True:
            try:
                msvcrt.locking(number, msvcrt.LK_NBLCK, 1)
            except OSError:
                time.sleep(0.1)
            else:
                return

else:
    import fcntl

    def _take(number: int) -> None:
        fcntl.flock(number, fcntl.LOCK_EX)


@contextmanager
def only_one(path: Path) -> Iterator[None]:
    """Enter when nobody else is inside, in any process.

    Args:
        path: an empty file that stands for what is locked; made if it is not there, and left.

    Example:
        >>> from lca_core.experiments.lock import only_one
        >>> from pathlib import Path
        >>> from tempfile import mkdtemp
        >>> with only_one(Path(mkdtemp()) / "lock"):
        ...     pass
    """
    with path.open("a") as file:
        _take(file.fileno())
        yield
