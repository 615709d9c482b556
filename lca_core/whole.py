"""Files that appear whole or not at all: written aside, then put in their place in one rename."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def check_folder(place: Path) -> None:
    """Refuse a file in a folder that is not there.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    if not place.absolute().parent.is_dir():
        msg = f"There is no folder '{place.parent}' to write '{place.name}' in; make it first."
        raise FileNotFoundError(msg)


@contextmanager
def whole(place: Path) -> Iterator[Path]:
    """Yield where to write a file; it takes its place when all went well, and else is removed.

    Args:
        place: of the file; an earlier one stays as it is until then. A link stays one, and what is
            no file, as a pipe, is written to as it is.

    Raises:
        FileNotFoundError: there is no such folder.
        OSError: of the kind that was met, with the name of the file.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from lca_core.whole import whole
        >>> with TemporaryDirectory() as folder:
        ...     with whole(Path(folder) / "a.txt") as aside:
        ...         _ = aside.write_text("all of it")
        ...     [one.name for one in Path(folder).iterdir()]
        ['a.txt']
    """
    check_folder(place)
    try:
        if place.exists() and not place.is_file():
            yield place
            return
        target = place.resolve()
        aside = target.with_name(f".{target.name}.{os.getpid()}.partial")
        _check(aside)
        try:
            yield aside
            aside.replace(target)
        finally:
            aside.unlink(missing_ok=True)
    except OSError as error:
        raise _naming(place, error) from error


def _check(aside: Path) -> None:
    """Refuse what cannot be written before all the work, and make nothing.

    Raises:
        OSError: the name is too long, say, or the folder is not to be written in.
    """
    with suppress(FileNotFoundError):
        aside.lstat()
    if not os.access(aside.parent, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def _naming(place: Path, error: OSError) -> OSError:
    """Return the error with the name of the file and a remedy in its words."""
    msg = (
        f"'{place}' could not be written: {error.strerror or error}. An earlier file of that name "
        "is as it was; make room on its disk or get the right to write there, or choose another "
        "place."
    )
    return reworded(error, msg)


def reworded(error: OSError, message: str) -> OSError:
    """Return an error of the same kind and number, in other words.

    Args:
        error: what the system said.
        message: what is said instead, a remedy among it.
    """
    found = type(error)(message)
    found.errno = error.errno
    return found
