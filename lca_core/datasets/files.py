"""Files in folders: where they usually lie, and what is in them."""

from __future__ import annotations

import gzip
import zlib
from typing import TYPE_CHECKING

from lca_core.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

GZIP = b"\x1f\x8b"
DAMAGED = (EOFError, zlib.error, gzip.BadGzipFile)
"""What reading a compressed file that is cut off or changed ends in."""


def places(folder: Path, usual: Iterable[str]) -> Iterator[Path]:
    """Yield the usual sub-folders that are there, then the folder itself.

    Raises:
        DataError: `folder` is none.
    """
    if not folder.is_dir():
        msg = f"There is no folder '{folder}': make it, or give another data_dir (--data-dir)."
        raise DataError(msg)
    yield from (folder / name for name in usual if (folder / name).is_dir())
    yield folder


def not_found(folder: Path, usual: Iterable[str], files: Iterable[str], name: str) -> DataError:
    """Return the error that lists what was looked for."""
    msg = (
        f"No {name} in '{folder}': looked there and in its sub-folders {', '.join(usual)} for "
        f"{', '.join(files)}. Without data_dir (--data-dir) {name} is downloaded."
    )
    return DataError(msg)


def unzipped(path: Path) -> bytes:
    """Return what a file holds, decompressed if it is compressed, whatever its name.

    Raises:
        DataError: the compressed file is damaged.
    """
    raw = path.read_bytes()
    if not raw.startswith(GZIP):
        return raw
    try:
        return gzip.decompress(raw)
    except DAMAGED as error:
        raise damaged(path, f"its compression ends in '{error}'") from error


def damaged(path: Path, what: str) -> DataError:
    """Return the error for a file that is not as it should be."""
    msg = f"'{path}' is damaged or another kind of file: {what}. Get the file anew."
    return DataError(msg)
