"""Text and lines as masks: 0 is the page, 255 is ink; needs Pillow and matplotlib's font."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lca_core.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from PIL.ImageFont import FreeTypeFont

_FINE = 4
"""Lines are drawn so much larger, then reduced: smooth edges."""


@cache
def font(size: int) -> FreeTypeFont:
    """Return DejaVu Sans, whose digits are all of one width.

    Args:
        size: pixels.

    Raises:
        MissingExtraError: matplotlib or Pillow is not installed.
    """
    try:
        import matplotlib as mpl
        from PIL import ImageFont
    except ImportError as error:
        need = "A film"
        raise MissingExtraError(need, "film") from error
    path = Path(mpl.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
    return ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)


def width(words: str, size: int) -> float:
    """Return how long a text is, pixels."""
    return font(size).getlength(" ".join(words.split()))


def fitting(words: Iterable[str], size: int, room: float) -> str:
    """Return the first of some texts that has room, nothing if none has.

    Args:
        words: the dearest first.
        size: pixels.
        room: pixels.
    """
    return next((one for one in words if width(one, size) <= room), "")


def text(words: str, size: int, room: int) -> np.ndarray:
    """Return one line of text.

    Args:
        words: what it says.
        size: pixels.
        room: pixels; longer text loses its middle.

    Returns:
        Mask of the height of a line, as wide as the text.
    """
    from PIL import Image, ImageDraw

    face, words = font(size), " ".join(words.split())
    shown, kept = words, len(words)
    while face.getlength(shown) > room and kept > 1:
        kept -= 1
        shown = f"{words[: kept // 2]}…{words[len(words) - kept + kept // 2 :]}"
    image = Image.new("L", (max(int(face.getlength(shown)) + 1, 1), line_height(size)))
    ImageDraw.Draw(image).text((0, 0), shown, fill=255, font=face)
    return np.asarray(image)


def line_height(size: int) -> int:
    """Return how much a line of text needs, pixels."""
    return sum(font(size).getmetrics())


def curve(x: np.ndarray, y: np.ndarray, shape: tuple[int, int], thick: float) -> np.ndarray:
    """Return a line through points, with holes where a point is not finite.

    Args:
        x: of every point, pixels from the left, float.
        y: the same from the top.
        shape: rows and columns of the mask.
        thick: pixels.
    """
    from PIL import Image, ImageDraw

    rows, columns = shape
    image = Image.new("L", (columns * _FINE, rows * _FINE))
    draw = ImageDraw.Draw(image)
    points = _FINE * (np.stack([x, y], axis=1) + 0.5)
    finite = np.asarray(np.isfinite(points).all(axis=1))
    for begin, end in _stretches(finite):
        pairs = [tuple(point) for point in points[begin:end].tolist()]
        draw.line(pairs, fill=255, width=round(thick * _FINE), joint="curve")
    return np.asarray(image.reduce(_FINE))


def dot(radius: float) -> np.ndarray:
    """Return a disc, square mask of odd size."""
    reach = np.arange(-int(radius) - 1, int(radius) + 2)
    distance = np.hypot(reach[:, None], reach)
    return np.asarray(255 * np.clip(radius + 0.5 - distance, 0, 1), np.uint8)


def _stretches(flags: np.ndarray) -> list[tuple[int, int]]:
    """Return begin and end of every run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [(int(begin), int(end)) for begin, end in edges.reshape(-1, 2)]
