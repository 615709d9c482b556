"""Quantiles, inequality and tails from a histogram, against the values themselves."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from lca_core import Distribution, Histogram, Totals
from lca_core.analyses import distribution, gini
from lca_core.analyses.distribution import Spread
from lca_core.errors import AnalysisError
from lca_core.observers.distribution import ascending, edges
from lca_core.reference import NumpyOps, demo_run

OPS = NumpyOps()


def spread(*groups):
    """Return the spread of some sets of values."""
    counts = np.array([ascending(OPS.histogram(np.asarray(g, np.float32))) for g in groups])
    labels = tuple(f"g{i}" for i in range(len(groups)))
    histogram = Histogram(labels, edges(), counts.astype(np.int64))
    return Spread(histogram, np.array([np.sum(g) for g in groups]))


def heavy(seed, n=20_000):
    """Return values as allocations are: signs, zeros, six orders of magnitude."""
    rng = np.random.default_rng(seed)
    sizes = np.exp(rng.normal(-12, 3, n)) * (rng.random(n) < 0.9)
    return sizes * np.where(rng.random(n) < 0.52, -1, 1)


def test_mean_count_and_shares():
    """They are those of the values, exactly."""
    values = heavy(0)
    found = spread(values, values[:100])
    np.testing.assert_allclose(found.mean, [values.mean(), values[:100].mean()], rtol=1e-12)
    np.testing.assert_array_equal(found.count, [20_000, 100])
    truth = [(values < 0).mean(), (values == 0).mean(), (values > 0).mean()]
    np.testing.assert_allclose([share[0] for share in found.shares], truth, rtol=1e-12)


@pytest.mark.parametrize("q", [0.0, 0.001, 0.3, 0.5, 0.52, 0.9, 0.999, 1.0])
def test_quantiles_are_right_to_a_bin(q):
    """Within a quarter of numpy's, zeros exactly."""
    values = heavy(1)
    truth = np.quantile(values, q, method="inverted_cdf")
    (found,) = spread(values).quantile(q)
    assert np.sign(found) == np.sign(truth)
    assert abs(found - truth) <= 0.25 * abs(truth)


@given(hnp.arrays("float32", st.integers(1, 40), elements=st.floats(-1e6, 1e6, width=32)))
def test_any_quantile_of_anything(values):
    """Of few values and many zeros too, a quantile is one of them, to a bin."""
    assume((np.abs(values[values != 0]) > 1e-30).all())
    for q in (0.0, 0.25, 0.5, 1.0):
        truth = float(np.quantile(values, q, method="inverted_cdf"))
        (found,) = spread(values).quantile(q)
        assert abs(found - truth) <= 0.25 * abs(truth) + 1e-38


def test_inequality_is_that_of_the_values():
    """Gini coefficients of helps and of hurts, to three digits."""
    values = heavy(2)
    helps, hurts = spread(values).gini
    assert helps[0] == pytest.approx(gini(-values[values < 0]), abs=2e-3)
    assert hurts[0] == pytest.approx(gini(values[values > 0]), abs=2e-3)
    equal = spread(np.full(50, -1.0)).gini
    assert equal[0][0] == pytest.approx(0.0, abs=1e-12)
    assert np.isnan(equal[1][0])


@pytest.mark.parametrize("alpha", [1.5, 2.5, 4.0])
def test_tails_of_a_known_power(alpha):
    """A Pareto tail's exponent is found within its statistical error and a bin's width."""
    values = stats.pareto.rvs(alpha, size=200_000, random_state=0) * 1e-7
    values[::2] *= -1
    assert spread(values).tail_index(0.01)[0] == pytest.approx(alpha, rel=0.12)


def test_a_gap_below_the_tail_is_not_in_it():
    """Hill's estimate begins at the smallest value of the tail, however far those below it lie."""
    large = 1000 * stats.pareto.rvs(1, size=100, random_state=0)
    values = np.concatenate([np.ones(9_900), large])
    hill = 1 / np.log(large / large.min()).mean()
    assert spread(values).tail_index(0.01)[0] == pytest.approx(hill, rel=0.25)


def test_a_normal_distribution_has_no_heavy_tail():
    """Its index is far above that of anything heavy-tailed."""
    values = np.random.default_rng(0).normal(size=200_000)
    assert 6 < spread(values).tail_index(0.01)[0] < 10


def test_nothing_to_tell():
    """A group in which nothing moved has a quantile of zero and no inequality or tail."""
    nothing = spread(np.zeros(10))
    assert nothing.quantile(0.3)[0] == 0.0
    assert np.isnan([nothing.gini[0][0], nothing.gini[1][0], nothing.tail_index()[0]]).all()


@pytest.mark.parametrize("q", [-0.1, 1.1, float("nan")])
def test_shares_are_between_zero_and_one(q):
    """Anything else is refused."""
    with pytest.raises(AnalysisError, match="between 0 and 1"):
        spread([1.0]).quantile(q)


def test_of_a_run():
    """Means are those of the ledger, helping shares those of the counts, group by group."""
    run = demo_run(steps=30, observers=[Distribution(), Totals()])
    found = distribution(run, "train")
    labels, values = run.allocation("train")
    assert found.labels == labels
    sizes = run.layout.group_sizes("layer") * run.steps
    np.testing.assert_allclose(found.mean, values.sum(0) / sizes, rtol=1e-12)
    np.testing.assert_array_equal(found.count, sizes)
