"""What steps say of each other by the gaps that all of them know."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lca_core.audits import block, judged
from lca_core.gaps import FEWEST, judged_by_gaps


def drawn(rng, steps=100):
    """Return which steps the lot falls on, one of every block."""
    lots, start = np.zeros(steps, bool), 0
    while start < steps:
        start, length = block(start, 16)
        lots[start + rng.integers(length) :][:1] = True
        start += length
    return lots


def in_proportion(errors, gaps, lots):
    """Return how far errors reach that are to their gaps as those of the lots, by hand."""
    ratio = np.sqrt((errors[lots] ** 2).sum(axis=0) / (gaps[lots] ** 2).sum())
    return ratio * (abs(gaps[~lots].sum()) + 1.96 * np.sqrt((gaps[~lots] ** 2).sum()))


def test_errors_that_follow_the_gaps_are_known():
    """Multiples of the gap, another for every group, are summed exactly; ± is in proportion."""
    rng = np.random.default_rng(0)
    gaps, shares, lots = rng.normal(size=100), np.array([0.7, 0.3, -2.0]), drawn(rng)
    errors = gaps[:, None] * shares
    known, half = judged_by_gaps(errors, gaps, lots, ~lots)
    assert known == pytest.approx(shares * gaps[~lots].sum(), rel=1e-12)
    assert abs(known) + half == pytest.approx(in_proportion(errors, gaps, lots), rel=1e-12)


@pytest.mark.parametrize("begin", [1, 3])
@pytest.mark.parametrize("steps", [30, 100])
def test_large_steps_that_no_lot_falls_on_are_not_overlooked(begin, steps):
    """A thousand times smaller errors behind the first steps: the lots say nothing, gaps do."""
    rng, held = np.random.default_rng(8), []
    size = np.where(np.arange(steps) < begin, 1.0, 1e-3)[:, None]
    for _ in range(400):
        lots = drawn(rng, steps)
        lots[:begin] = False
        errors = rng.normal(0, 1, (steps, 4)) * size * [1.0, 0.5, 0.2, 0.1]
        known, half = judged_by_gaps(errors, errors.sum(axis=1), lots, ~lots)
        held.append(np.abs(errors[~lots].sum(axis=0) - known) <= half)
    assert np.mean(held) > 0.75  # one step's gap is small by chance where its errors cancel


@given(st.integers(0, 10_000), st.integers(8, 60))
def test_all_groups_together_reach_as_far_as_the_gaps(seed, steps):
    """What leaves are wrong by sums to the gap: nobody's ± may say less."""
    rng = np.random.default_rng(seed)
    errors = rng.normal(size=(steps, 3)) * np.exp(rng.normal(0, 3, (steps, 1)))
    gaps, lots = errors.sum(axis=1), drawn(rng, steps)
    known, half = judged_by_gaps(errors, gaps, lots, ~lots)
    assert (abs(known) + half).sum() >= abs(gaps[~lots].sum()) * (1 - 1e-9)


@pytest.mark.parametrize("share", [0.0, 0.5, 3.0])
@pytest.mark.parametrize("steps", [40, 100, 400])
def test_the_truth_is_within_in_nineteen_of_twenty(share, steps):
    """Errors in part a multiple of the gap, in bursts, larger at the start: 95 % cover or more."""
    rng, held = np.random.default_rng(7), []
    for _ in range(400):
        size = np.exp(-np.arange(steps) / steps) * (1 + 4 * (np.arange(steps) % 37 < 5))
        gaps, rest = rng.normal(0.5, 1, steps) * size, rng.normal(0, 1, steps) * size
        errors, lots = (share * gaps + rest)[:, None], drawn(rng, steps)
        known, half = judged_by_gaps(errors, gaps, lots, ~lots)
        held.append(abs(errors[~lots].sum() - known[0]) <= half[0])
    assert np.mean(held) > 0.95 - 2 * np.sqrt(0.05 * 0.95 / 400)


def test_it_is_several_times_narrower_where_errors_follow_the_gaps():
    """Gaps of one sign that the other steps' refinement has cancelled: what lots alone miss."""
    rng = np.random.default_rng(3)
    gaps, lots = rng.normal(1, 0.3, 200), drawn(rng, 200)
    gaps[~lots] -= gaps[~lots].mean()
    errors = 0.6 * gaps[:, None] + rng.normal(0, 0.02, (200, 1))
    known, half = judged_by_gaps(errors, gaps, lots, ~lots)
    bias, _ = judged(errors, lots, ~lots)
    assert abs(errors[~lots].sum() - known[0]) <= half[0]
    assert abs(known[0]) + half[0] < abs(bias[0]) / 4


@given(st.integers(0, 10_000), st.integers(1, 60))
def test_it_is_never_wider_than_errors_alone(seed, steps):
    """Every group keeps the narrower of the two, but reaches as far as gaps do in proportion."""
    rng = np.random.default_rng(seed)
    errors, gaps, lots = rng.normal(size=(steps, 3)), rng.normal(size=steps), drawn(rng, steps)
    known, half = judged_by_gaps(errors, gaps, lots, ~lots)
    alone, wide = judged(errors, lots, ~lots)
    assert np.array_equal(np.isnan(half), np.isnan(wide))
    if lots.sum() > 1:
        reaches = (abs(known) + half) * (1 - 1e-9) <= in_proportion(errors, gaps, lots)
        assert np.all((half < wide) | ((half == wide) & (known == alone)) | reaches)


@pytest.mark.parametrize("scale", [1e-300, 1e-9, 1e250])
def test_sizes_do_not_matter(scale):
    """Gaps and errors of a diverged run, and of one at its end, neither overflow nor vanish."""
    rng = np.random.default_rng(1)
    errors, gaps, lots = rng.normal(size=(60, 2)), rng.normal(size=60), drawn(rng, 60)
    errors += gaps[:, None]
    known, half = judged_by_gaps(errors, gaps, lots, ~lots)
    scaled = judged_by_gaps(scale * errors, scale * gaps, lots, ~lots)
    assert scaled[0] == pytest.approx(scale * known, rel=1e-9)
    assert scaled[1] == pytest.approx(scale * half, rel=1e-9)


@pytest.mark.parametrize(
    "change",
    [
        lambda gaps, lots: (0 * gaps, lots),
        lambda gaps, lots: (np.where(lots, np.nan, gaps), lots),
        lambda gaps, lots: (np.where(lots, gaps, np.nan), lots),
        lambda gaps, lots: (gaps, lots & (lots.cumsum() < FEWEST)),
    ],
    ids=["no gaps", "gaps of lots not known", "gaps of others not known", "few lots"],
)
def test_without_gaps_or_lots_the_errors_speak_alone(change):
    """No gap to follow, none that is known, too few lots to tell a multiple from: as before."""
    rng = np.random.default_rng(2)
    errors = rng.normal(size=(60, 2))
    gaps, lots = change(rng.normal(size=60), drawn(rng, 60))
    for found, expected in zip(
        judged_by_gaps(errors, gaps, lots, ~lots), judged(errors, lots, ~lots), strict=True
    ):
        assert np.array_equal(found, expected)
