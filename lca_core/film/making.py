"""From a run to a film: measure the scale, then draw step by step."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from attrs import frozen

from lca_core.errors import FilmError
from lca_core.film.colours import LIGHT, LOST, Colours, levels, palette
from lca_core.film.encoder import Encoder, check_place, ffmpeg
from lca_core.film.formats import FORMATS, Format
from lca_core.film.matrix import as_matrix, matrix_shape
from lca_core.film.page import lay_out
from lca_core.film.painter import Painter
from lca_core.film.record import Record
from lca_core.film.scale import colour_scale
from lca_core.film.sheet import Sheet
from lca_core.whole import whole

if TYPE_CHECKING:
    import os

    from lca_core.run import Run

Told: TypeAlias = Callable[[str, int, int], None]
"""Is told "scale" or "frames", how much of it is done, and how much there is."""


def _nobody(*_: Any) -> None:
    """Show nothing."""


@frozen
class Film:
    """What was written.

    Args:
        path: where.
        frames: one a step.
        width, height: pixels.
        zoom: pixels to a side of a square.
        pool: parameters to a side of a square; it shows their sum.
        scale: |allocation| from which on the colour is the strongest, loss units.
        fps: frames a second; of a .gif their mean, see `delays`.
    """

    path: Path
    frames: int
    width: int
    height: int
    zoom: int
    pool: int
    scale: float
    fps: float

    @property
    def delays(self) -> tuple[int, ...]:
        """Hundredths of a second that frames of a .gif stay: one number, or two in turns."""
        mean = 100.0 / self.fps
        return tuple(sorted({math.floor(mean), math.ceil(mean)}))


def write_film(
    run: Run,
    path: str | os.PathLike[str],
    measure: str | None = None,
    *,
    fps: float = 30.0,
    steps: slice = slice(None),
    every: int = 1,
    width: int | None = None,
    colours: Colours = LIGHT,
    told: Told = _nobody,
) -> Film:
    """Write a film of a run: one frame a step, every parameter a square, layer by layer.

    Memory does not grow with steps: what is read at once is a leaf's chunk of the run file.

    Args:
        run: recorded with `Dense`.
        path: "film.mp4" or "film.gif"; what is there is replaced when the film is ready.
        measure: its name; the run's first by default.
        fps: frames a second; of a .gif at most 50.
        steps: which to show, by number from 0; the scale of the colours is that of all.
        every: show only every so many of them.
        width: pixels, of 16:9; by default 1920, or 3840 for networks that need it (960 for .gif).
        colours: see `lca_core.film.colours`.
        told: is told how far the work is: first the "scale", then the "frames".

    Raises:
        NotRecordedError: the run holds no such measure, or was not recorded with `Dense`.
        FilmError: no step to show, no such format, too fast for it, or ffmpeg failed.
        FileNotFoundError: there is no such folder.
        OSError: the file could not be written; its name is in the words.
        MissingExtraError: Pillow, matplotlib or the packaged ffmpeg is not installed.

    Source: LCA paper (arXiv:1909.01440), the videos of all parameters.
    """
    path = Path(path)
    check_place(path)
    ffmpeg()
    form = FORMATS[path.suffix.lower()]
    form.check_pace(fps)
    record = Record.of(run, measure)
    shown = _chosen(run, steps, every)
    with whole(path) as aside:
        painter = _painter(record, form, shown, width, told)
        page, sheet = painter.page, painter.sheet
        shape = (sheet.height, sheet.width)
        with Encoder(path, aside, shape, palette(colours), fps) as encoder:
            for done, frame in enumerate(frames(painter, shown), 1):
                encoder.add(frame)
                told("frames", done, len(shown))
    return Film(
        path, len(shown), sheet.width, sheet.height, page.zoom, page.pool, painter.scale, fps
    )


def still(
    run: Run,
    step: int,
    measure: str | None = None,
    *,
    width: int | None = None,
    colours: Colours = LIGHT,
) -> np.ndarray:
    """Return one frame of the film of a whole run, as .mp4 would show it.

    Args:
        run: recorded with `Dense`.
        step: its number, from 0.
        measure: its name; the run's first by default.
        width: as in `write_film`.
        colours: as in `write_film`.

    Returns:
        Red, green and blue, shape (height, width, 3), uint8.

    Example:
        >>> from lca_core import Dense
        >>> from lca_core.film import still
        >>> from lca_core.reference import demo_run
        >>> still(demo_run(steps=5, observers=[Dense()]), 3, width=640).shape
        (360, 640, 3)
    """
    record, shown = Record.of(run, measure), _chosen(run, slice(step, step + 1), 1)
    painter = _painter(record, FORMATS[".mp4"], range(run.steps), width, _nobody)
    return np.asarray(palette(colours)[next(frames(painter, shown))])


def frames(painter: Painter, steps: range) -> Iterator[np.ndarray]:
    """Yield frames of a film, numbers of the palette, shape (height, width), uint8."""
    record = painter.record
    for some in record.portions(steps):
        shades = [_shades(painter, number, some) for number in range(len(record.series))]
        for i, step in enumerate(some):
            yield painter.frame(step, [one[i] for one in shades])


def _shades(painter: Painter, number: int, some: range) -> np.ndarray:
    """Return a leaf's shades at some steps, shape (steps, rows, columns), uint8."""
    record, pool, scale = painter.record, painter.page.pool, painter.scale or 1.0
    leaf = record.leaves[number]
    found = np.full((len(some), *matrix_shape(leaf, pool)), LOST, np.uint8)
    values = record.read(number, some)
    for i, step in enumerate(some):
        if record.seen[step]:
            found[i] = levels(as_matrix(values[i], leaf, pool), scale, painter.grades)
    return found


def _chosen(run: Run, steps: slice, every: int) -> range:
    chosen = range(run.steps)[steps][::every]
    if not chosen or chosen.step < 1:
        asked = f"{steps.start}:{steps.stop}".replace("None", "")
        msg = f"The run has {run.steps} steps, from 0 on: steps {asked} of them are none."
        raise FilmError(msg)
    return chosen


def _painter(record: Record, form: Format, steps: range, width: int | None, told: Told) -> Painter:
    """Lay out the page, on the first width that gives every parameter a square; find the scale."""
    for one in form.widths if width is None else (width + width % 2,):
        sheet = Sheet(one)
        page = lay_out(record.leaves, sheet.stage(form.smallest))
        if page.pool == 1:
            break
    scale = colour_scale(record, page.pool, lambda done, of: told("scale", done, of))
    return Painter(record, page, sheet, scale, steps, form.grades)
