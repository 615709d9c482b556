"""Small charts made of characters: a curve, a bar around zero, a spark line.

Each takes numbers and returns text; `ascii_only` draws with what every terminal has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_BRAILLE = 0x2800
_DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
"""The bit of every dot of a braille character, four rows of two."""

_LEVELS, _ASCII_LEVELS = "▁▂▃▄▅▆▇█", ".:-=+*%#"
_HURT, _ASCII_HURT = "▔▀", "'\""
_HALVES, _UNSURE = " ▐▌█", "░"
_ASCII_HALVES, _ASCII_UNSURE = " ###", "~"


@frozen
class Frame:
    """What a chart shows: a range of values over a number of lines.

    Args:
        low, high: values at the lower and the upper edge.
        height: lines.
    """

    low: float
    high: float
    height: int

    @classmethod
    def around(cls, values: np.ndarray, height: int) -> Frame:
        """Return the frame that holds all finite values."""
        known = values[np.isfinite(values)]
        if not known.size:
            return cls(0.0, 0.0, height)
        return cls(float(known.min()), float(known.max()), height)

    def rows(self, values: np.ndarray, parts: int = 1) -> np.ndarray:
        """Return the nearest row of every value, 0 at the top, with so many rows a line."""
        last = self.height * parts - 1
        share = np.full(np.shape(values), 0.5)
        spread = self.high / 2 - self.low / 2  # halves: the range of huge values would overflow
        if spread > 0.0:
            share = (self.high / 2 - values / 2) / spread
        nearest: np.ndarray = np.clip(np.rint(share * last), 0, last).astype(int)
        return nearest


def columns(count: int, width: int) -> np.ndarray:
    """Return the column of every one of `count` places, from the left edge to the right."""
    return np.rint(np.linspace(0, width - 1, count)).astype(int)


def curve(values: np.ndarray, width: int, within: Frame, *, ascii_only: bool = False) -> list[str]:
    """Draw values as a line; extremes are kept, however many values there are.

    Args:
        values: shape (n,); what is not finite is a gap.
        width: characters.
        within: lines, and the range of values.
        ascii_only: draw with stars.

    Example:
        >>> import numpy as np
        >>> from lca_core.cli.charts import Frame, curve
        >>> falling = np.array([3.0, 1.0, 0.0])
        >>> print("|".join(curve(falling, 8, Frame.around(falling, 2))))
        ⠑⠢⢄     |   ⠉⠒⠢⠤⣀
    """
    across, down = (1, 1) if ascii_only else (2, 4)
    dots = np.zeros((within.height * down, width * across), bool)
    last: tuple[int, int] | None = None
    for column, (low, high) in enumerate(_ranges(values, width * across)):
        if np.isnan(low):
            last = None
            continue
        top, bottom = within.rows(np.array([high, low]), down).tolist()
        drawn = (top, bottom)
        if last:  # touch the column to the left
            top, bottom = min(top, last[1] + 1), max(bottom, last[0] - 1)
        dots[top : bottom + 1, column] = True
        last = drawn
    return _stars(dots) if ascii_only else _braille(dots)


def bar(
    value: float, error: float, reach: tuple[float, float], width: int, *, ascii_only: bool = False
) -> str:
    """Draw a value as a bar from zero; what lies within its error is shaded.

    Args:
        value: NaN is empty.
        error: its ±; NaN if unknown.
        reach: the values at both edges, at most and at least 0.
        width: characters.
        ascii_only: draw with # and ~.

    Example:
        >>> from lca_core.cli.charts import bar
        >>> bar(-4.0, 1.0, (-5.0, 3.0), 8), bar(2.0, 0.0, (-5.0, 3.0), 8)
        ('░░███   ', '     ██ ')
    """
    halves, unsure = (_ASCII_HALVES, _ASCII_UNSURE) if ascii_only else (_HALVES, _UNSURE)
    if not (np.isfinite(value) and reach[1] > reach[0]):
        return " " * width
    zero, scale = _axis(reach, width)
    error = error if np.isfinite(error) else 0.0
    places = (np.arange(2 * width) + 0.5 - 2 * zero) * scale / 2
    sure = np.sign(value) * max(abs(value) - error, 0.0)
    solid = ((places > min(sure, 0.0)) & (places < max(sure, 0.0))).reshape(width, 2)
    far = np.abs(places - value).reshape(width, 2).min(axis=1)
    cells = [halves[2 * left + right] for left, right in solid.astype(int).tolist()]
    drawn = "".join(
        unsure if cell == " " and near < error else cell
        for cell, near in zip(cells, far.tolist(), strict=True)
    )
    if value and not drawn.strip():  # its sign at least
        place, half = (zero - 1, halves[1]) if value < 0.0 else (zero, halves[2])
        return " " * place + half + " " * (width - place - 1)
    return drawn


def _axis(reach: tuple[float, float], width: int) -> tuple[int, float]:
    """Return the cell that begins at zero, and what a cell is worth, such that both ends fit."""
    low, high = reach
    left = round(width * low / (low - high))
    zero = min(max(left, int(low < 0.0)), width - int(high > 0.0))
    return zero, max(-low / max(zero, 1), high / max(width - zero, 1))


def signed_spark(values: np.ndarray, *, ascii_only: bool = False) -> str:
    """Draw one character a value: what helped stands on the line, what hurt hangs from above.

    Example:
        >>> import numpy as np
        >>> from lca_core.cli.charts import signed_spark
        >>> signed_spark(np.array([-1.0, -0.5, 0.0, 0.2, 0.9]))
        '█▅ ▔▀'
    """
    levels, hurt = (_ASCII_LEVELS, _ASCII_HURT) if ascii_only else (_LEVELS, _HURT)
    size = np.where(np.isfinite(values), np.abs(values), 0.0)
    share = size / max(size.max(initial=0.0), np.finfo(float).tiny)

    def one(value: float, part: float) -> str:
        among = hurt if value > 0 else levels
        return among[min(int(part * len(among)), len(among) - 1)] if part else " "

    return "".join(one(*pair) for pair in zip(values.tolist(), share.tolist(), strict=True))


def binned(
    values: np.ndarray, width: int, reduce: Callable[[np.ndarray], float] = np.mean
) -> np.ndarray:
    """Return `width` values, each of neighbours, or repeated; NaN where none of them is finite."""
    if len(values) < width:
        return np.asarray(values, float)[np.arange(width) * len(values) // width]
    bins = [one[np.isfinite(one)] for one in np.array_split(values, width)]
    return np.array([reduce(one) if one.size else np.nan for one in bins])


def spark(values: np.ndarray, within: Frame, *, ascii_only: bool = False) -> str:
    """Draw one character a value, as high as the value lies in the frame; NaN is a space.

    Example:
        >>> import numpy as np
        >>> from lca_core.cli.charts import Frame, spark
        >>> values = np.array([0.0, 1.0, np.nan, 4.0, 8.0])
        >>> spark(values, Frame.around(values, 1))
        '▁▂ ▄█'
    """
    levels = _ASCII_LEVELS if ascii_only else _LEVELS
    known = np.isfinite(values)
    rows = within.rows(np.where(known, values, within.low), len(levels) // within.height)
    heights = len(levels) - 1 - rows
    return "".join(levels[h] if k else " " for h, k in zip(heights, known, strict=True))


def _ranges(values: np.ndarray, width: int) -> np.ndarray:
    """Return the least and the largest value of every column, shape (width, 2); NaN without any."""
    values = np.where(np.isfinite(values), values, np.nan)
    ranges = np.full((width, 2), np.nan)
    if not values.size:
        return ranges
    place = np.arange(len(values)) * ((width - 1) / max(len(values) - 1, 1))
    if len(values) < width:
        ranges[:] = np.interp(np.arange(width), place, values, right=np.nan)[:, None]
    at = columns(len(values), width)
    np.fmin.at(ranges[:, 0], at, values)
    np.fmax.at(ranges[:, 1], at, values)
    return ranges


def _braille(dots: np.ndarray) -> list[str]:
    height, width = dots.shape[0] // 4, dots.shape[1] // 2
    cells = dots.reshape(height, 4, width, 2)
    codes = _BRAILLE + (cells * _DOTS[:, None, :]).sum(axis=(1, 3))
    return ["".join(map(chr, line)).replace(chr(_BRAILLE), " ") for line in codes.tolist()]


def _stars(dots: np.ndarray) -> list[str]:
    return ["".join("*" if dot else " " for dot in line) for line in dots.tolist()]


def marked(lines: Sequence[str], row: int, column: int, mark: str) -> list[str]:
    """Return the lines with one character replaced."""
    line = lines[row]
    return [*lines[:row], line[:column] + mark + line[column + 1 :], *lines[row + 1 :]]
