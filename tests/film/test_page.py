"""Every parameter has one place on the page, and its matrix is the one that was promised."""

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lca_core import Leaf
from lca_core.errors import FilmError
from lca_core.film.matrix import as_matrix, matrix_shape
from lca_core.film.page import Stage, lay_out
from lca_core.film.sheet import Sheet
from lca_core.networks import NETWORKS


@st.composite
def leaf_lists(draw):
    """Return leaves of any number of axes, also without parameters."""
    shapes = draw(st.lists(st.lists(st.integers(0, 9), max_size=5), max_size=8))
    leaves = []
    for i, shape in enumerate(shapes):
        axis = draw(st.none() | st.integers(0, len(shape) - 1)) if shape else None
        layer = draw(st.sampled_from(["a", "b", f"only{i}"]))
        leaves.append(Leaf(f"{layer}.{i}", shape, layer=layer, unit_axis=axis))
    return leaves


def painted(leaves, page, height, width):
    """Return the stage with the number of a parameter, or of its pool, at each pixel; else -1."""
    stage, first = np.full((height, width), -1), 0
    matrices = []
    for leaf in leaves:
        shape = matrix_shape(leaf, page.pool)
        matrices.append(first + np.arange(math.prod(shape)).reshape(shape))
        first += math.prod(shape)
    for b in page.blocks:
        part = matrices[b.leaf][b.row : b.row + b.rows, b.column : b.column + b.columns]
        large = np.kron(part, np.ones((page.zoom, page.zoom), int))
        place = stage[b.y : b.y + large.shape[0], b.x : b.x + large.shape[1]]
        assert place.shape == large.shape
        assert (place == -1).all()
        place[...] = large
    return stage, first


@given(
    leaves=leaf_lists(),
    width=st.integers(60, 700),
    height=st.integers(60, 500),
    text=st.sampled_from([8, 13, 22]),
    smallest=st.sampled_from([1, 2]),
)
@example([Leaf("w", (10**6,))], 1872, 836, 22, 2)
@example([Leaf("w", (784, 100), unit_axis=1), Leaf("b", (100,))], 1872, 836, 22, 2)
@example([Leaf("w", (50_000, 16), unit_axis=0)], 1872, 836, 22, 2)
@example([], 100, 100, 8, 1)
def test_every_parameter_has_one_square(leaves, width, height, text, smallest):
    """Squares of one size, none twice, none missing, all on the stage, at even pixels."""
    page = lay_out(leaves, Stage(width, height, text, smallest))
    stage, squares = painted(leaves, page, height, width)
    shown, pixels = np.unique(stage[stage >= 0], return_counts=True)
    assert shown.tolist() == list(range(squares))
    assert (pixels == page.zoom**2).all()
    if page.pool == 1:
        assert squares == sum(leaf.size for leaf in leaves)
    assert page.zoom >= smallest
    assert all(block.x % 2 == block.y % 2 == 0 for block in page.blocks)


@given(leaves=leaf_lists(), pool=st.integers(1, 4))
def test_a_matrix_holds_the_leaf(leaves, pool):
    """The elements are the leaf's values, once each; pools sum them all."""
    for leaf in leaves:
        values = np.arange(1.0, leaf.size + 1).reshape(leaf.shape)
        assert sorted(as_matrix(values, leaf).ravel()) == list(range(1, leaf.size + 1))
        pooled = as_matrix(values, leaf, pool)
        assert pooled.shape == matrix_shape(leaf, pool)
        assert pooled.sum() == values.sum()


def test_kernels_are_the_same_picture_in_every_framework():
    """A dense kernel of PyTorch and one of Keras have inputs down and units to the right."""
    kernel = np.arange(6.0).reshape(3, 2)  # Keras: three inputs, two units
    keras = as_matrix(kernel, Leaf("k", (3, 2), unit_axis=1))
    torch = as_matrix(kernel.T, Leaf("w", (2, 3), unit_axis=0))
    np.testing.assert_array_equal(keras, kernel)
    np.testing.assert_array_equal(torch, kernel)


@pytest.mark.parametrize(
    ("stored", "unit_axis"),
    [((0, 1, 2, 3), 3), ((3, 2, 0, 1), 0), ((2, 3, 0, 1), 1), ((0, 1, 3, 2), 2)],
    ids=["keras", "torch", "torch, transposed", "keras, transposed"],
)
def test_convolutions_are_tiles(stored, unit_axis):
    """Tile (input, unit) is that kernel as it lies on the image, wherever the axes are."""
    kernel = np.random.default_rng(0).standard_normal((5, 3, 4, 2))  # rows, columns, inputs, units
    values = kernel.transpose(stored)
    matrix = as_matrix(values, Leaf("conv", values.shape, unit_axis=unit_axis))
    assert matrix.shape == (5 * 4, 3 * 2)
    for i in range(4):
        for j in range(2):
            tile = matrix[5 * i : 5 * (i + 1), 3 * j : 3 * (j + 1)]
            np.testing.assert_array_equal(tile, kernel[:, :, i, j])


@pytest.mark.parametrize(("stored", "unit_axis"), [((0, 1, 2), 2), ((2, 1, 0), 0)])
def test_convolutions_along_a_line(stored, unit_axis):
    """Tile (input, unit) is a row as long as the kernel."""
    kernel = np.random.default_rng(0).standard_normal((5, 4, 2))  # width, inputs, units
    values = kernel.transpose(stored)
    matrix = as_matrix(values, Leaf("conv", values.shape, unit_axis=unit_axis))
    expected = kernel.transpose(1, 2, 0).reshape(4, 10)
    np.testing.assert_array_equal(matrix, expected)


@pytest.mark.parametrize(("name", "zoom"), [("fc", 4), ("lenet", 2), ("resnet20", 3)])
def test_the_papers_networks(name, zoom):
    """FC fills a 1080p frame at 4 pixels a parameter; LeNet and ResNet one of 2160p."""
    inputs = (32, 32, 3) if name == "resnet20" else (28, 28, 1)
    sheet = Sheet(1920 if name == "fc" else 3840)
    page = lay_out(NETWORKS[name](inputs, 10).layout.leaves, sheet.stage(2))
    assert (page.zoom, page.pool) == (zoom, 1)


def test_many_layers():
    """100 layers keep their names, a thousand lose them, a million are too many."""
    leaves = [Leaf(f"block{i}.weight", (8, 8), layer=f"block{i}") for i in range(1000)]
    assert len(lay_out(leaves[:100], Sheet(1920).stage(2)).labels) >= 100
    page = lay_out(leaves, Sheet(640).stage(2))
    assert not page.labels
    assert len(page.blocks) == 1000
    with pytest.raises(FilmError, match="larger width"):
        lay_out(leaves, Stage(40, 40, 10))
