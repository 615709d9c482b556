"""What lots say of other steps by the gaps that all of them know."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lca_core import Header, Layout, Leaf, Run
from lca_core.audits import block, judged
from lca_core.gaps import FEWEST, judged_by_gaps
from lca_core.ledger import LEDGER
from lca_core.segment import Status


def drawn(rng, steps=100):
    """Return which steps the lot falls on, one of every block."""
    lots, start = np.zeros(steps, bool), 0
    while start < steps:
        start, length = block(start, 16)
        lots[start + rng.integers(length) :][:1] = True
        start += length
    return lots


def planted(error, gap, audited, status=None):
    """Return a run of two layers whose steps are these, shapes (T, 1, ...)."""
    layout = Layout([Leaf(f"{name}.weight", (1,), layer=name) for name in "ab"])
    steps = len(error)
    rows = {
        "iteration": np.arange(1, steps + 1),
        "allocation": np.ones((steps, 1, 2)),
        "evaluations": np.ones((steps, 1)),
        "status": np.zeros((steps, 1), np.int8) if status is None else status,
        "error": error,
        "gap": gap,
        "audited": audited,
    }
    header = Header(layout, ("train",), LEDGER, {"observers": []}, (1.0,))
    return Run(header, rows, {"train": {}})


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


def test_lots_count_with_the_gap_that_their_coarser_rule_left():
    """`Run.error` of planted steps: the finer rule of lots finds nine tenths of their gaps."""
    rng = np.random.default_rng(4)
    steps, shares, lots = 60, np.array([0.7, 0.2]), drawn(rng, 60)
    first = rng.normal(1.0, 0.3, steps)  # what the first rule leaves open at every step
    first[~lots] -= first[~lots].mean() - 0.01
    errors = np.where(lots[:, None], first[:, None] * shares, np.nan)
    run = planted(
        error=errors[:, None],
        gap=np.where(lots, 0.1, 1.0)[:, None] * first[:, None],
        audited=lots[:, None],
    )
    known = shares * first[~lots].sum()
    own = first[lots][:, None] * shares
    expected = np.abs(own.sum(axis=0)) + 1.96 * np.sqrt((own**2).sum(axis=0)) + np.abs(known)
    assert run.error("train").values == pytest.approx(expected, rel=1e-9)


def test_steps_that_are_lost_have_no_say():
    """Errors of both infinities at a step that came to nothing neither warn nor count."""
    rng = np.random.default_rng(5)
    errors, lots = rng.normal(size=(60, 2)), drawn(rng, 60)
    errors[~lots] = np.nan
    rows = {"gap": rng.normal(size=(60, 1)), "audited": lots[:, None]}
    lost = np.flatnonzero(~lots)[7]
    status = np.zeros((60, 1), np.int8)
    status[lost] = Status.NONFINITE
    without = planted(error=errors[:, None], status=status, **rows)
    errors[lost] = np.inf, -np.inf
    found = planted(error=errors[:, None], status=status, **rows).error("train").values
    assert np.isfinite(found).all()
    assert np.array_equal(found, without.error("train").values)
