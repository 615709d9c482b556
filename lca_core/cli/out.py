"""The folder that a command writes to."""

from __future__ import annotations

from tempfile import TemporaryFile
from typing import TYPE_CHECKING

from lca_core.whole import reworded

if TYPE_CHECKING:
    from pathlib import Path


def make_folder(folder: Path) -> None:
    """Make a folder, if it is not there, and see that files can be written in it.

    Args:
        folder: of --out.

    Raises:
        OSError: of the kind that was met; folder and remedy are in its words.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        msg = (
            f"Nothing can be written in '{folder}': {error.strerror}. Choose another --out, or get "
            "the right to write there."
        )
        raise reworded(error, msg) from error
