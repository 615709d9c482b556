"""The ± of sums of sampled steps: of few, of many, and where a sum cuts a block of steps."""

import numpy as np
import pytest
from scipy import stats

from lca_core.draws import Drawn, Thinned
from lca_core.uncertainty import freedom, student

REPETITIONS = 4_000


def test_intervals_are_students():
    """Lines between a few of Student's quantiles are right to 0.03 %, for any degrees."""
    degrees = np.concatenate([np.linspace(1, 40, 400), np.geomspace(40, 1e9, 100)])
    expected = stats.t.ppf(0.975, degrees)
    np.testing.assert_allclose(student(degrees), expected, rtol=3e-4)
    assert student(np.array([0.2]))[0] == pytest.approx(expected[0], rel=1e-6)
    assert np.isnan(student(np.array([np.nan]))[0])


@pytest.mark.parametrize("subsamples", [2, 5])
@pytest.mark.parametrize("steps", [1, 2, 3, 6, 20, 100])
def test_few_steps_are_covered_as_many_are(steps, subsamples):
    """Of normal samples, 95 % of the sums lie within, where 1.96 standard errors hold fewer."""
    drawn = np.random.default_rng(steps).normal(size=(steps, subsamples, REPETITIONS))
    errors = drawn.std(axis=1, ddof=1) / np.sqrt(subsamples)
    sums = np.abs(drawn.mean(axis=1).sum(axis=0))
    within = Drawn(errors, np.ones(steps, bool), subsamples - 1).within(slice(None))
    assert 0.935 < (sums <= within).mean() < 0.985
    if steps * (subsamples - 1) < 6:
        assert (sums <= 1.96 * np.sqrt((errors**2).sum(axis=0))).mean() < 0.92


def test_freedom_adds_up():
    """Of equal spreads that are known d times each, degrees add up on average."""
    errors = np.sqrt(np.random.default_rng(0).chisquare(3, size=(200, 50)) / 3)
    assert freedom(errors, 3)[-1].mean() == pytest.approx(600, rel=0.05)
    assert freedom(np.zeros((4, 2)), 3)[-1].tolist() == [3.0, 3.0]


def thinned(steps, every, rng, noise=0.2):
    """Return a steady series as one look a block sees it, and its true allocations."""
    true = np.full(steps, -1.0)
    places = [block + int(rng.integers(every)) for block in range(0, steps, every)]
    looked = np.array([place for place in places if place < steps], int)
    values = np.zeros((steps, 1))
    values[looked, 0] = every * (true[looked] + noise * rng.normal(size=len(looked)))
    return Thinned(values, looked, every), true


@pytest.mark.parametrize(
    ("steps", "window"),
    [
        (95, slice(None)),
        (105, slice(None)),
        (25, slice(None)),
        (15, slice(None)),
        (80, slice(20, 60)),
        (80, slice(25, 65)),
        (80, slice(-13, None)),
        (80, slice(23, 28)),
    ],
)
def test_blocks_that_a_sum_cuts_are_in_its_error(steps, window):
    """Whether the look of a cut block is in the sum is luck that the ± knows of."""
    rng = np.random.default_rng(1)
    covered = []
    for _ in range(400):
        found, true = thinned(steps, 10, rng)
        half = found.within(window)[0]
        if np.isfinite(half):
            covered.append(abs(found.values[window, 0].sum() - true[window].sum()) <= half)
    assert len(covered) > 150
    assert np.mean(covered) > 0.9


def test_a_thinned_error_is_no_wider_than_it_need_be():
    """Where no block is cut, the ± is Student's of the looks' own differences."""
    rng = np.random.default_rng(2)
    halves = [thinned(400, 10, rng)[0].within(slice(None))[0] for _ in range(100)]
    assert np.mean(halves) == pytest.approx(1.96 * np.sqrt(40) * 10 * 0.2, rel=0.15)


def test_errors_since_the_start_are_those_of_windows():
    """The ± up to a step is that of the window that ends there."""
    rng = np.random.default_rng(3)
    errors = rng.random((30, 2))
    drawn = Drawn(errors, rng.random(30) > 0.1, 1)
    for found in (drawn, thinned(33, 5, rng)[0]):
        since = found.since_the_start
        assert (since[0] == 0).all()
        for end in (20, 28, len(since) - 1):
            np.testing.assert_allclose(since[end], found.within(slice(end)))


def test_nothing_seen_is_nothing_known():
    """Without a look in it, nobody knows a sum; of one look alone, nobody knows the error."""
    values = np.zeros((10, 1))
    assert np.isnan(Thinned(values, np.array([], int), 5).within(slice(None))).all()
    assert np.isnan(Thinned(values, np.array([], int), 5).since_the_start).all()
    values[3] = 1.0
    assert np.isnan(Thinned(values, np.array([3]), 10).within(slice(None))).all()
    values[8] = 2.0
    two = Thinned(values, np.array([3, 8]), 5)
    assert np.isnan(two.within(slice(4, 8))).all()
    assert np.isfinite(two.within(slice(4, 9))).all()
