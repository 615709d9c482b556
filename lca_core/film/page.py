"""Where every parameter lies on the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve, frozen

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
        text: height of a label, pixels.
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
    not fit, an element is the sum of 2 x 2, 3 x 3, ... parameters.

    Args:
        leaves: in order; those without parameters leave nothing.
        stage: where to.

    Example:
        >>> from lca_core import Leaf
        >>> from lca_core.film.page import Stage, lay_out
        >>> page = lay_out([Leaf("w", (784, 100), unit_axis=1)], Stage(1880, 860, text=16))
        >>> page.zoom, [(block.rows, block.columns) for block in page.blocks]
        (4, [(196, 100), (196, 100), (196, 100), (196, 100)])
    """
    zooms = range(_LARGEST, stage.smallest - 1, -1)
    for zoom in zooms:
        page = _flow(leaves, stage, zoom, 1)
        if page.width <= stage.width:
            return page
    pool = 1
    while page.width > stage.width:
        pool += 1
        page = _flow(leaves, stage, stage.smallest, pool)
    return page


def _flow(leaves: Sequence[Leaf], stage: Stage, zoom: int, pool: int) -> Page:
    """Fill column after column."""
    gap = _even(stage.text // 4)
    # The row of a bias finds room below its kernel.
    most_rows = max((stage.height - stage.text - gap - zoom) // zoom, 1)
    most_columns = max(stage.width // zoom, 1)
    blocks: list[Block] = []
    labels: list[Label] = []
    x, y, right = 0, 0, 0
    for number, leaf in enumerate(leaves):
        for piece in _pieces(number, matrix_shape(leaf, pool), most_rows, most_columns):
            height, step = piece[0].rows * zoom, _even(piece[0].columns * zoom + gap)
            named = not y or leaf.layer != leaves[labels[-1].leaf].layer
            if y and y + named * stage.text + height > stage.height:
                x, y, named = _even(right + 3 * gap), 0, True
            if named:
                labels.append(Label(number, x, y))
                y += stage.text
            blocks += [evolve(band, x=x + i * step, y=y) for i, band in enumerate(piece)]
            y, right = _even(y + height) + gap, max(right, x + len(piece) * step - gap)
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
