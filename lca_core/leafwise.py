"""Arithmetic on named leaves, through the arrays' own operators."""

from __future__ import annotations

import math
import operator
from typing import TYPE_CHECKING, Any

import numpy as np

from lca_core.packed import Packed, aligned, arrays_of, from_arrays

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lca_core.layout import Layout
    from lca_core.typing import Array, ArrayOps, Params

_FEW = 1_024
"""Elements that are brought to the host sooner than they are summed."""


def each(function: Callable[..., Any], *leaves: Params) -> Params:
    """Return function(leaf, ...) for every leaf of some sets of leaves.

    Args:
        function: elementwise, of one array of every set; it may see several leaves at once, as
            one flat array. It maps zeros to zero.
        leaves: sets of leaves with the same names.
    """
    leaves = aligned(leaves)
    columns = zip(*map(arrays_of, leaves), strict=True)
    return from_arrays(tuple(function(*column) for column in columns), leaves[0])


def each_pair(function: Callable[..., tuple[Any, Any]], *leaves: Params) -> tuple[Params, Params]:
    """Return the same for a function of two results: a set of leaves for each."""
    leaves = aligned(leaves)
    columns = zip(*map(arrays_of, leaves), strict=True)
    pairs = [function(*column) for column in columns]
    first, second = tuple(one for one, _ in pairs), tuple(other for _, other in pairs)
    return from_arrays(first, leaves[0]), from_arrays(second, leaves[0])


def zeros(ops: ArrayOps, like: Params) -> Params:
    """Return a zero for every parameter, in its own type."""
    return each(lambda leaf: ops.from_numpy(np.zeros(tuple(leaf.shape)), leaf), like)


def difference(end: Params, start: Params) -> Params:
    """Return end - start, leaf by leaf."""
    return each(operator.sub, end, start)


def product(left: Params, right: Params) -> Params:
    """Return left x right, leaf by leaf."""
    return each(operator.mul, left, right)


def add(left: Params, right: Params) -> Params:
    """Return left + right, leaf by leaf."""
    return each(operator.add, left, right)


def scale(weight: float, leaves: Params) -> Params:
    """Return weight x leaf, leaf by leaf; the weight is a Python float."""
    return each(lambda leaf: weight * leaf, leaves)


def weighted(weights: Sequence[float], arrays: Sequence[Any]) -> Any:
    """Return the sum of weight x array; the weights are Python floats."""
    total = weights[0] * arrays[0]
    for weight, array in zip(weights[1:], arrays[1:], strict=True):
        total += weight * array
    return total


def combine(weights: Sequence[float], terms: Sequence[Params]) -> Params:
    """Return the sum of weight x term, leaf by leaf."""
    return each(lambda *arrays: weighted(weights, arrays), *terms)


def leaf_sums(ops: ArrayOps, leaves: Params) -> Array:
    """Return the sum of every leaf, shape (leaves,), float64, still on the device."""
    if isinstance(leaves, Packed):
        return leaves.packing.sums(leaves)
    return ops.concat([ops.sum(leaf) for leaf in leaves.values()])


def unit_sums(ops: ArrayOps, layout: Layout, leaves: Params) -> Array:
    """Return the sum of every unit of every leaf, shape (units,), float64, on the device."""
    if isinstance(leaves, Packed):
        return leaves.unit_sums
    return ops.concat([ops.sum(leaves[leaf.name], keep=leaf.unit_axis) for leaf in layout.leaves])


def leaf_signs(ops: ArrayOps, leaves: Params) -> tuple[Array, Array]:
    """Return how many elements of every leaf are below zero, and above: shapes (leaves,)."""
    if isinstance(leaves, Packed):
        return leaves.packing.signs(leaves.arrays)
    below, above = each_pair(lambda leaf: (leaf < 0, leaf > 0), leaves)
    return leaf_sums(ops, below), leaf_sums(ops, above)


def histograms(ops: ArrayOps, leaves: Params) -> Params:
    """Return a histogram of every leaf, shape (2048,) each."""
    if isinstance(leaves, Packed):
        return leaves.packing.histograms(leaves.arrays)
    return {name: ops.histogram(leaf) for name, leaf in leaves.items()}


def moves(ops: ArrayOps, displacement: Array) -> bool:
    """Return whether a leaf moved; a displacement that is not a number counts as moved."""
    few = math.prod(displacement.shape) <= _FEW
    seen = ops.to_numpy(displacement if few else ops.sum(abs(displacement)))
    # Plain Python: where caches are cold, NumPy takes longer for a few numbers.
    return any(seen.reshape(-1).tolist())


def add_exactly(total: Array, rounding: Array, value: Array) -> tuple[Array, Array]:
    """Add `value` to the unevaluated sum `total + rounding`, twice the precision of its type.

    Two-sum, then renormalisation, so that `total` is the rounded sum and the split is unique.
    Needs no float64 on the device. Source: Knuth, TAOCP 2, 4.2.2; Dekker (1971).
    """
    rough = total + value
    shifted = rough - total
    # (total - (rough - shifted)) + (value - shifted) + rounding, with signs turned so that
    # intermediate arrays are changed in place: fresh memory takes longer than the arithmetic.
    error = shifted - rough
    error += total
    shifted -= value
    error -= shifted
    del shifted  # its memory serves the next line
    error += rounding
    new_total = rough + error
    rough -= new_total
    error += rough
    return new_total, error
