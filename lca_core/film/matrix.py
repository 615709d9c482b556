"""Every leaf as a matrix: inputs go down, units go to the right."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from lca_core.layout import Leaf


def matrix_shape(leaf: Leaf, pool: int = 1) -> tuple[int, int]:
    """Return rows and columns of `as_matrix`.

    Args:
        leaf: any.
        pool: parameters to a side of an element.

    Example:
        >>> from lca_core import Leaf
        >>> from lca_core.film.matrix import matrix_shape
        >>> matrix_shape(Leaf("conv.weight", (40, 20, 5, 3), unit_axis=0))
        (100, 120)
        >>> matrix_shape(Leaf("conv/kernel", (5, 3, 20, 40), unit_axis=3))
        (100, 120)
        >>> matrix_shape(Leaf("bias", (40,))), matrix_shape(Leaf("scale", ()))
        ((1, 40), (1, 1))
    """
    down, right = _axes(leaf)
    rows, columns = (math.prod(leaf.shape[axis] for axis in axes) for axes in (down, right))
    return -(-rows // pool), -(-columns // pool)


def as_matrix(values: np.ndarray, leaf: Leaf, pool: int = 1) -> np.ndarray:
    """Return a leaf's values as a matrix.

    A dense kernel has a row an input and a column a unit. A convolution is made of tiles, each a
    kernel as it lies on the image: (kernel rows · inputs) x (kernel columns · units). Vectors are
    one row, a scalar is one element. Leaves without a unit axis keep their last axis as columns.

    Args:
        values: shaped like the leaf.
        leaf: whose values.
        pool: so many rows and columns are summed to one element.

    Returns:
        Shape (rows, columns), see `matrix_shape`.

    Source: LCA paper (arXiv:1909.01440), the videos of all parameters.
    """
    down, right = _axes(leaf)
    rows, columns = matrix_shape(leaf)
    matrix = np.transpose(values, (*down, *right)).reshape(rows, columns)
    if pool == 1:
        return matrix
    if not leaf.size:
        return np.zeros(matrix_shape(leaf, pool), values.dtype)
    pooled = np.add.reduceat(matrix, range(0, rows, pool), axis=0)
    return np.asarray(np.add.reduceat(pooled, range(0, columns, pool), axis=1))


def _axes(leaf: Leaf) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the axes that go down, and those that go to the right, the fastest last."""
    axes = tuple(range(len(leaf.shape)))
    if len(axes) < 2 or leaf.unit_axis is None:
        return axes[:-1], axes[-1:]
    rest = [axis for axis in axes if axis != leaf.unit_axis]
    # Keras and JAX keep the image in front, PyTorch behind inputs and units.
    image_first = len(axes) - leaf.unit_axis <= (2 if len(axes) > 3 else 1)
    inputs = rest.pop(-1 if image_first else 0)
    return (inputs, *rest[:-1]), (leaf.unit_axis, *rest[-1:])
