"""Runs that differ in one layer's delay: slopes against scipy, hand-made runs."""

import numpy as np
import pytest
from scipy import stats

from lca_core.analyses import delay, delay_sweep
from lca_core.analyses.delays import slope
from lca_core.errors import AnalysisError
from lca_core.students_t import interval


def test_delay_is_the_mean_age_of_a_gradient():
    """With momentum m, a gradient's weight k steps later is (1 - m) m^k."""
    ages = np.arange(5000)
    for momentum in (0.0, 0.5, 0.9, 0.99):
        weights = (1 - momentum) * momentum**ages
        assert delay(momentum) == pytest.approx((ages * weights).sum(), rel=1e-9)
    with pytest.raises(AnalysisError, match="below 1"):
        delay(1.0)


def test_slope_is_scipys():
    """Slope, interval and p are those of scipy's regression, with repeated x too."""
    rng = np.random.default_rng(0)
    x = np.repeat([0.0, 1.0, 4.0, 9.0], 3)
    y = 0.3 * x - 1 + rng.standard_normal(12)
    truth = stats.linregress(x, y)
    found = slope(x, y)
    assert (found.slope, found.intercept) == pytest.approx((truth.slope, truth.intercept))
    assert found.half == pytest.approx(truth.stderr * stats.t.ppf(0.975, 10))
    assert found.p == pytest.approx(truth.pvalue)


def test_slope_without_spread():
    """Two points give a line without an interval; points on a line leave no doubt."""
    two = slope(np.array([0.0, 2.0]), np.array([1.0, 5.0]))
    assert (two.slope, two.intercept) == (2.0, 1.0)
    assert np.isnan([two.half, two.p]).all()
    three = slope(np.array([0.0, 1.0, 2.0]), np.array([1.0, 3.0, 5.0]))
    assert (three.half, three.p) == (0.0, 0.0)
    with pytest.raises(AnalysisError, match="two different x"):
        slope(np.ones(3), np.arange(3.0))


def test_interval_is_scipys():
    """The ± of a mean, and none of a single value."""
    values = np.random.default_rng(1).standard_normal((6, 2))
    low, high = stats.t.interval(0.95, 5, values.mean(axis=0), stats.sem(values, axis=0))
    np.testing.assert_allclose(interval(values), (high - low) / 2)
    assert np.isnan(interval(values[:1])).all()


def test_sweep_is_ordered_by_delay(made):
    """Arms come in the order of their delay, each with its runs' totals, means and intervals."""

    def run(value):
        return made(allocation=[[value, 0.0, 2 * value]])

    sweep = delay_sweep({9.0: [run(3.0), run(5.0)], 0.0: [run(-1.0)]}, "train")
    assert sweep.delays.tolist() == [0.0, 9.0]
    np.testing.assert_allclose(sweep.mean, [[-1.0, -2.0], [4.0, 8.0]])
    assert np.isnan(sweep.interval[0]).all()
    np.testing.assert_allclose(sweep.interval[1], stats.t.ppf(0.975, 1) * np.array([1.0, 2.0]))
    x, y = sweep.points("b")
    assert (x.tolist(), y.tolist()) == ([0.0, 9.0, 9.0], [-2.0, 6.0, 10.0])
    assert sweep.slope("b").slope == pytest.approx(10 / 9)
    with pytest.raises(AnalysisError, match="no group 'c'"):
        sweep.points("c")


@pytest.mark.parametrize("arms", [{}, {0.0: 1}, {0.0: 1, 1.0: 0}])
def test_sweep_needs_arms_with_runs(made, arms):
    """One arm, or one without runs, is refused with what there was."""
    given = {d: [made(allocation=[[1.0, 0.0, 1.0]])] * n for d, n in arms.items()}
    with pytest.raises(AnalysisError, match="at least two delays"):
        delay_sweep(given, "train")
