"""Fewer points than steps, and nothing that stands out is lost."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lca_core.report.sampling import Buckets

VALUES = arrays(
    np.float64,
    st.tuples(st.integers(1, 60), st.integers(1, 3)),
    elements=st.one_of(st.floats(-1e6, 1e6), st.just(np.nan)),
)


@given(VALUES, st.integers(1, 80))
def test_lines_keep_the_ends_and_every_extreme(values, most):
    """Every bucket's lowest and highest value, so the run's too, and both ends are drawn."""
    buckets = Buckets(len(values), most)
    for column, kept in zip(values.T, buckets.extremes(values), strict=True):
        assert {0, len(values) - 1} <= set(kept.tolist())
        assert (np.diff(kept) > 0).all()
        for start in buckets.starts:
            inside = column[start : start + buckets.size]
            drawn = column[kept[(kept >= start) & (kept < start + buckets.size)]]
            if np.isfinite(inside).any():
                assert np.nanmin(drawn) == np.nanmin(inside)
                assert np.nanmax(drawn) == np.nanmax(inside)


@given(VALUES, st.integers(1, 80))
def test_maps_keep_the_largest_with_its_sign(values, most):
    """A cell is the step of the largest size in its bucket; it is empty only where all are."""
    buckets = Buckets(len(values), most)
    cells = buckets.largest(values)
    assert len(cells) == len(buckets.starts) <= most
    for start, cell in zip(buckets.starts, cells, strict=True):
        for column, value in zip(values[start : start + buckets.size].T, cell, strict=True):
            known = column[np.isfinite(column)]
            assert np.isnan(value) == (known.size == 0)
            if known.size:
                assert value in column
                assert abs(value) == np.abs(known).max()


def test_few_steps_are_all_kept():
    """Where there is room nothing is dropped."""
    values = np.random.default_rng(0).standard_normal((50, 2))
    buckets = Buckets(50, 100)
    assert buckets.size == 1
    np.testing.assert_array_equal(buckets.largest(values), values)
    assert all(kept.tolist() == list(range(50)) for kept in buckets.extremes(values))


def test_means_leave_out_the_steps_that_do_not_count():
    """A bucket's mean is over its steps that count; without any it is unknown."""
    values = np.array([[1.0], [100.0], [3.0], [100.0], [100.0]])
    where = np.array([True, False, True, False, False])
    np.testing.assert_array_equal(Buckets(5, 2).mean(values, where), [[2.0], [np.nan]])


@pytest.mark.parametrize("steps", [0, 1, 7])
def test_every_length_is_bucketed(steps):
    """No step, one step and a last bucket that is not full."""
    buckets, values = Buckets(steps, 3), np.zeros((steps, 2))
    assert buckets.largest(values).shape == (len(buckets.starts), 2)
    assert [kept.size > 0 for kept in buckets.extremes(values)] == [steps > 0] * 2
