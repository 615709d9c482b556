"""What lots say of other steps by the gaps that all of them know."""

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


def test_errors_that_follow_the_gaps_are_known():
    """Multiples of the gap, another for every group, are summed exactly, without a ±."""
    rng = np.random.default_rng(0)
    gaps, shares, lots = rng.normal(size=100), np.array([0.7, 0.3, -2.0]), drawn(rng)
    known, half = judged_by_gaps(gaps[:, None] * shares, gaps, lots, ~lots)
    assert known == pytest.approx(shares * gaps[~lots].sum(), rel=1e-12)
    assert half == pytest.approx(0, abs=1e-12)


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
    """Every group keeps the narrower of the two, with the sum that belongs to it."""
    rng = np.random.default_rng(seed)
    errors, gaps, lots = rng.normal(size=(steps, 3)), rng.normal(size=steps), drawn(rng, steps)
    known, half = judged_by_gaps(errors, gaps, lots, ~lots)
    alone, wide = judged(errors, lots, ~lots)
    assert np.all((half < wide) | ((half == wide) & (known == alone)) | np.isnan(wide))
    assert np.array_equal(np.isnan(half), np.isnan(wide))


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
