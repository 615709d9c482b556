"""Frames into a file, through the ffmpeg that pip installs."""

from __future__ import annotations

import subprocess
import tempfile
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Self, cast

import numpy as np

from lca_core.errors import FilmError, MissingExtraError
from lca_core.film.formats import FORMATS
from lca_core.whole import check_folder

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType


def ffmpeg() -> str:
    """Return the path of the packaged program.

    Raises:
        MissingExtraError: it is not installed.
        FilmError: there is none for this machine.
    """
    try:
        import imageio_ffmpeg
    except ImportError as error:
        need = "A film"
        raise MissingExtraError(need, "film") from error
    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:  # says how to name one of one's own
        raise FilmError(str(error)) from error


def check_place(path: Path) -> None:
    """Refuse what cannot be written, before any work.

    Raises:
        FilmError: the ending of the name is none of `FORMATS`.
        FileNotFoundError: there is no such folder.
    """
    if path.suffix.lower() not in FORMATS:
        msg = f"A film is written as {' or '.join(FORMATS)}, got '{path.name}'."
        raise FilmError(msg)
    check_folder(path)


class Encoder:
    """Writes frames, and ends ffmpeg whatever happens.

    Args:
        path: of the film; its ending says the format, and errors name it.
        aside: where it is written; absolute, as ffmpeg takes "a:b" for a protocol.
        shape: height and width of a frame, even.
        palette: shape (256, 3), uint8.
        fps: frames a second.

    Raises:
        FilmError: ffmpeg failed, with what it said.
    """

    def __init__(
        self, path: Path, aside: Path, shape: tuple[int, int], palette: np.ndarray, fps: float
    ) -> None:
        self._path, self._aside, self._shape, self._fps = path, aside, shape, fps
        opaque = np.full(len(palette), 255, np.uint8)
        self._colours = np.column_stack([palette[:, ::-1], opaque]).tobytes()

    def __enter__(self) -> Self:
        """Start ffmpeg."""
        height, width = self._shape
        self._told = tempfile.TemporaryFile()
        self._process = subprocess.Popen(  # noqa: S603
            [
                *(ffmpeg(), "-hide_banner", "-loglevel", "error", "-y"),
                *("-f", "rawvideo", "-pix_fmt", "pal8", "-s", f"{width}x{height}"),
                *("-r", f"{self._fps:g}", "-i", "pipe:0", "-an"),
                *FORMATS[self._path.suffix.lower()].arguments,
                str(self._aside),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self._told,
            start_new_session=True,  # Ctrl-C is this process's business
        )
        self._pipe = cast("IO[bytes]", self._process.stdin)
        return self

    def add(self, frame: np.ndarray) -> None:
        """Write one frame: numbers of the palette, shape (height, width), uint8."""
        try:
            self._pipe.write(frame.tobytes() + self._colours)
        except BrokenPipeError as error:
            raise self._failure() from error

    def _failure(self) -> FilmError:
        """Return what ffmpeg said when it gave up."""
        self._process.wait()
        self._told.seek(0)
        told = self._told.read().decode(errors="replace").strip().splitlines()
        msg = (
            f"ffmpeg could not write '{self._path}': {told[-1] if told else 'it said nothing'}. "
            "Is there room on the disk? A smaller film needs less of everything (--width, --every)."
        )
        return FilmError(msg)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Finish the file, or give it up."""
        try:
            if kind is None:
                self._process.communicate()
                if self._process.returncode:
                    raise self._failure()
        finally:
            self._process.kill()
            with suppress(BrokenPipeError):
                self._pipe.close()
            self._process.wait()
            self._told.close()
