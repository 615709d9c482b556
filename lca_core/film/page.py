"""Where every parameter lies on the page."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from lca_core.errors import FilmError
from lca_core.film.matrix import matrix_shape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lca_core.layout import Leaf

_LARGEST = 24
"""Pixels to a side of a parameter, at most."""


@frozen
class Block:
    """A part of a leaf's matrix, drawn in one piece.

    Args:
        leaf: its number among the leaves of the page.
        row, column: of its first element in the matrix.
        rows, columns: its size in elements.
        x, y: of its upper left corner, pixels of the stage.
    """

    leaf: int
    row: int
    column: int
    rows: int
    columns: int
    x: int
    y: int


@frozen
class Label:
    """Where the name of a layer is written.

    Args:
        leaf: number of the first of its leaves here.
        x, y: of its upper left corner, pixels of the stage.
    """

    leaf: int
    x: int
    y: int


@frozen
class Page:
    """Every leaf of a network on one stage.

    Args:
        blocks: what lies where; every parameter in one of them.
        labels: a layer's name above its first leaf, and on top of every column.
        zoom: pixels to a side of an element.
        pool: parameters to a side of an element; an element is their sum.
        width, height: of what is used of the stage, pixels.
    """

    blocks: tuple[Block, ...]
    labels: tuple[Label, ...]
    zoom: int
    pool: int
    width: int
    height: int


@frozen
class Stage:
    """The room there is.

    Args:
        width, height: pixels.
        text: height of a label, pixels; 0 for no labels.
        smallest: pixels to a side of an element, at least.
    """

    width: int
    height: int
    text: int
    smallest: int = 1


def lay_out(leaves: Sequence[Leaf], stage: Stage) -> Page:
    """Return the page with the largest elements that fits.

    Like text in columns: matrices in their order, downwards, then the next column. What is longer
    than a column is cut into bands that stand side by side. Where even the smallest elements do
    not fit, an element is the sum of 2 x 2, 3 x 3, ... parameters; where the names leave no room,
    there are none.

    Args:
        leaves: in order; those without parameters leave nothing.
        stage: where to.

    Raises:
        FilmError: there are more leaves than fit.

    Example:
        >>> from lca_core import Leaf
        >>> from lca_core.film.page import Stage, lay_out
        >>> page = lay_out([Leaf("w", (784, 100), unit_axis=1)], Stage(1880, 860, text=16))
        >>> page.zoom, [(block.rows, block.columns) for block in page.blocks]
        (4, [(196, 100), (196, 100), (196, 100), (196, 100)])
    """
    for zoom in range(_LARGEST, stage.smallest - 1, -1):
        page = _flow(leaves, stage, zoom, 1)
        if page.width <= stage.width:
            return page
    area = stage.width * stage.height // stage.smallest**2
    fewest = math.isqrt(sum(leaf.size for leaf in leaves) // area)
    longest = max((max(matrix_shape(leaf)) for leaf in leaves), default=1)
    for pool in range(max(fewest, 2), longest + 1):
        page = _flow(leaves, stage, stage.smallest, pool)
        if page.width <= stage.width:
            return page
    if stage.text:
        return lay_out(leaves, evolve(stage, text=0))
    msg = (
        f"{len(leaves)} leaves do not fit on {stage.width} x {stage.height} pixels: give the film "
        "a larger width."
    )
    raise FilmError(msg)


def _flow(leaves: Sequence[Leaf], stage: Stage, zoom: int, pool: int) -> Page:
    """Fill column after column."""
    gap, line = _even(max(stage.text // 4, 2)), _even(stage.text)
    # The row of a bias finds room below its kernel.
    most_rows = max((stage.height - line - gap - zoom) // zoom, 1)
    most_columns = max(stage.width // zoom, 1)
    blocks: list[Block] = []
    labels: list[Label] = []
    x, y, right, layer = 0, 0, 0, ""
    for number, leaf in enumerate(leaves):
        if right > stage.width:
            break  # too wide already, the rest does not matter
        for piece in _pieces(number, matrix_shape(leaf, pool), most_rows, most_columns):
            height, step = piece[0].rows * zoom, _even(piece[0].columns * zoom + gap)
            head = line if not y or leaf.layer != layer else 0
            if y and y + head + height > stage.height:
                x, y, head = _even(right + 3 * gap), 0, line
            if head:
                labels.append(Label(number, x, y))
            blocks += [evolve(band, x=x + i * step, y=y + head) for i, band in enumerate(piece)]
            right = max(right, x + len(piece) * step - gap)
            y, layer = _even(y + head + height) + gap, leaf.layer
    bottom = max((block.y + block.rows * zoom for block in blocks), default=0)
    return Page(tuple(blocks), tuple(labels), zoom, pool, right, bottom)


def _pieces(
    leaf: int, shape: tuple[int, int], most_rows: int, most_columns: int
) -> list[list[Block]]:
    """Cut a matrix into pieces as wide as fits, and each of them into bands as tall as fits."""
    rows, columns = shape
    return [
        [
            Block(leaf, down.start, right.start, len(down), len(right), x=0, y=0)
            for down in _cut(rows, most_rows)
        ]
        for right in _cut(columns, most_columns)
        if rows
    ]


def _cut(length: int, most: int) -> list[range]:
    """Cut into as few parts as possible, all but the last of one length."""
    each = -(-length // max(-(-length // most), 1))
    return [range(i, min(i + each, length)) for i in range(0, length, each or 1)]


def _even(pixels: int) -> int:
    """Round up: films keep colours for pairs of pixels."""
    return pixels + pixels % 2
