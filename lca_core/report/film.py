"""The film of a run, to be played inside of the page."""

from __future__ import annotations

import base64
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from lca_core.errors import FilmError, MissingExtraError, NotRecordedError
from lca_core.words import counted

if TYPE_CHECKING:
    from collections.abc import Callable

    from lca_core.run import Run

MOST_BYTES = 2_400_000
_WIDTH, _FRAMES, _TRIES, _PACE = 960, 240, 4, 15.0


def film(run: Run, name: str, told: Callable[[str, int, int], None]) -> dict[str, str]:
    """Return the film as a data: URI, its title and one sentence; empty where there is none.

    Steps are left out until it is small enough to travel in a page.

    Args:
        run: a finished run.
        name: what to call it.
        told: is told what is done, how much of it, and how much there is.
    """
    from lca_core.film import write_film
    from lca_core.film.record import Record

    measure = run.measures[0]
    try:
        Record.of(run, measure)
    except (NotRecordedError, FilmError):  # nothing dense, or no step yet
        return {}
    title = f"{name}, {measure}"
    every = -(-run.steps // _FRAMES)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "film.mp4"
        for _ in range(_TRIES):
            try:
                made = write_film(
                    run, path, measure, fps=_PACE, every=every, width=_WIDTH, told=told
                )
            except MissingExtraError as error:
                return {"title": title, "text": str(error), "data": ""}
            size = path.stat().st_size
            if size <= MOST_BYTES:
                data = base64.b64encode(path.read_bytes()).decode()
                text = _text(made.frames, every, made.pool, made.scale) + _grey(run, measure)
                return {"title": title, "text": text, "data": f"data:video/mp4;base64,{data}"}
            every = max(-(-every * size // MOST_BYTES), every + 1)
    text = (
        "The film is too large to travel in a page; `lca animate` writes it to a file of its own."
    )
    return {"title": title, "text": text, "data": ""}


def _text(frames: int, every: int, pool: int, scale: float) -> str:
    """Say what is seen, and what was left out."""
    steps = "every step is a frame" if every == 1 else f"a frame every {every} steps"
    square = "a parameter" if pool == 1 else f"the sum of {pool} × {pool} parameters"
    return (
        f"{counted(frames, 'frame')}, {steps}; each square is {square}, green helps, red hurts, "
        f"strongest from {scale:.2g} loss units on. The scale is that of all steps."
    )


def _grey(run: Run, measure: str) -> str:
    """Say what grey frames are, where there are steps that nobody looked at."""
    return "" if run.looked_at(measure).all() else " Grey steps were not looked at."
