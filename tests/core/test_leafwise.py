"""Arithmetic on leaves: exact sums in single precision, sums that cross to the host."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lca_core.leafwise import add_exactly, combine, difference, leaf_sums, product
from lca_core.reference import NumpyOps

OPS = NumpyOps()
WIDTH = 32


def values_like_allocations(steps, seed):
    """Return float32 rows that span 16 orders of magnitude and cancel."""
    rng = np.random.default_rng(seed)
    size = 10.0 ** rng.uniform(-12, 4, (steps, WIDTH))
    values = (size * rng.choice([-1, 1], (steps, WIDTH))).astype(np.float32)
    values[1::7] = -values[::7][: len(values[1::7])]
    return values


def accumulated(values):
    """Return the running pair after all rows."""
    total = np.zeros(WIDTH, np.float32)
    rounding = np.zeros(WIDTH, np.float32)
    for value in values:
        total, rounding = add_exactly(total, rounding, value)
    return total, rounding


@pytest.fixture(scope="module")
def long_sum():
    """Return 100,000 rows and their running pair."""
    values = values_like_allocations(100_000, seed=0)
    return values, accumulated(values)


def test_single_precision_pairs_sum_like_doubles(long_sum):
    """1e5 float32 additions are off by no more than 2**-47 of the largest partial sum each."""
    values, (total, rounding) = long_sum
    assert total.dtype == rounding.dtype == np.float32
    columns = values.T.astype(float)
    truth = np.array([math.fsum(column) for column in columns])
    largest = np.abs(np.cumsum(columns, axis=1)).max(axis=1)
    error = np.abs(total.astype(float) + rounding - truth)
    assert np.all(error <= len(values) * 2.0**-47 * largest)
    assert np.median(error / largest) < 1e-11
    plain = np.add.accumulate(values, axis=0)[-1]
    assert np.median(np.abs(plain - truth) / largest) > 1e-8


@pytest.mark.parametrize("small", [1e-9, -3e-8, 1e-12])
def test_small_values_do_not_drift(small):
    """1e5 equal values far below the rounding of the sum add up to the sum of float64."""
    values = np.full((100_000, WIDTH), small, np.float32)
    values[0] = 1.0
    total, rounding = accumulated(values)
    truth = 1.0 + 99_999 * float(np.float32(small))
    assert total.astype(float) + rounding == pytest.approx(truth, rel=1e-9, abs=0)


def test_the_split_is_unique(long_sum):
    """The leading part is the rounded sum, so that the sum determines both parts."""
    _, (total, rounding) = long_sum
    whole = total.astype(float) + rounding
    assert np.array_equal(total, whole.astype(np.float32))
    assert np.any(rounding != 0)


@pytest.mark.parametrize("cut", [1, 500, 1999])
def test_continuation_through_the_host_is_bit_exact(cut):
    """Both parts brought to the host, written, read and brought back: the same bits at the end."""
    values = values_like_allocations(2000, seed=1)
    truth = accumulated(values)
    stored = [OPS.to_numpy(part).tobytes() for part in accumulated(values[:cut])]
    parts = [np.frombuffer(part, np.float32) for part in stored]
    pair = tuple(OPS.from_numpy(part, like=values[0]) for part in parts)
    for value in values[cut:]:
        pair = add_exactly(*pair, value)
    assert all(np.array_equal(a, b) for a, b in zip(pair, truth, strict=True))


def test_adding_nothing_changes_nothing():
    """A step that allocated zero leaves both parts as they were."""
    pair = accumulated(values_like_allocations(50, seed=2))
    again = add_exactly(*pair, np.zeros(WIDTH, np.float32))
    assert all(np.array_equal(a, b) for a, b in zip(pair, again, strict=True))


arrays = hnp.arrays(
    st.sampled_from([np.float32, np.float64]),
    hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
    elements=st.floats(-1000, 1000, width=32),
)


@given(st.lists(arrays, max_size=4))
def test_leaf_sums_are_float64(drawn):
    """Leaves of any shape and type are summed in float64, one number a leaf."""
    leaves = {str(i): leaf for i, leaf in enumerate(drawn)}
    sums = leaf_sums(OPS, leaves)
    assert sums.dtype == np.float64
    assert sums.shape == (len(drawn),)
    truth = [math.fsum(leaf.astype(float).ravel()) for leaf in drawn]
    assert np.allclose(sums, truth, rtol=1e-12, atol=1e-9)


@given(st.data())
def test_leafwise_operations_are_the_plain_ones(data):
    """Difference, product and weighted sum act on each leaf as numpy does, in its dtype."""
    start, end = data.draw(arrays), None
    end = data.draw(hnp.arrays(start.dtype, start.shape, elements=st.floats(-9, 9, width=32)))
    assert np.array_equal(difference({"x": end}, {"x": start})["x"], end - start)
    assert np.array_equal(product({"x": end}, {"x": start})["x"], end * start)
    mixed = combine([0.25, 0.5], [{"x": start}, {"x": end}])["x"]
    assert np.array_equal(mixed, 0.25 * start + 0.5 * end)
    assert mixed.dtype == start.dtype
