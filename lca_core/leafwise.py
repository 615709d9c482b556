"""Arithmetic on named leaves, through the arrays' own operators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lca_core.typing import Array, ArrayOps, Params


def zeros(ops: ArrayOps, like: Params) -> Params:
    """Return a zero for every parameter, in its own type."""
    return {name: ops.from_numpy(np.zeros(tuple(leaf.shape)), leaf) for name, leaf in like.items()}


def difference(end: Params, start: Params) -> Params:
    """Return end - start, leaf by leaf."""
    return {name: end[name] - start[name] for name in start}


def product(left: Params, right: Params) -> Params:
    """Return left x right, leaf by leaf."""
    return {name: left[name] * right[name] for name in left}


def add(left: Params, right: Params) -> Params:
    """Return left + right, leaf by leaf."""
    return {name: left[name] + right[name] for name in left}


def scale(weight: float, leaves: Params) -> Params:
    """Return weight x leaf, leaf by leaf; the weight is a Python float."""
    return {name: weight * leaf for name, leaf in leaves.items()}


def weighted(weights: Sequence[float], arrays: Sequence[Any]) -> Any:
    """Return the sum of weight x array; the weights are Python floats."""
    total = weights[0] * arrays[0]
    for weight, array in zip(weights[1:], arrays[1:], strict=True):
        total = total + weight * array
    return total


def combine(weights: Sequence[float], terms: Sequence[Params]) -> Params:
    """Return the sum of weight x term, leaf by leaf."""
    return {name: weighted(weights, [term[name] for term in terms]) for name in terms[0]}


def leaf_sums(ops: ArrayOps, leaves: Params) -> Array:
    """Return the sum of every leaf, shape (leaves,), float64, still on the device."""
    return ops.concat([ops.sum(leaf) for leaf in leaves.values()])


def moves(ops: ArrayOps, displacement: Array) -> bool:
    """Return whether a leaf moved; a displacement that is not a number counts as moved."""
    return float(ops.to_numpy(ops.sum(abs(displacement)))) != 0.0


def add_exactly(total: Array, rounding: Array, value: Array) -> tuple[Array, Array]:
    """Add `value` to the unevaluated sum `total + rounding`, twice the precision of its type.

    Two-sum, then renormalisation, so that `total` is the rounded sum and the split is unique.
    Needs no float64 on the device. Source: Knuth, TAOCP 2, 4.2.2; Dekker (1971).
    """
    rough = total + value
    shifted = rough - total
    error = (total - (rough - shifted)) + (value - shifted) + rounding
    new_total = rough + error
    return new_total, error - (new_total - rough)
