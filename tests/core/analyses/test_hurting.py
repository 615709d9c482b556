"""Which layers hurt: p-values against scipy, and hand-made runs."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lca_core import Layout, Leaf
from lca_core.analyses import compare, delay_sweep, holm, over_runs, sign_test, verdicts
from lca_core.errors import AnalysisError
from lca_core.reference import demo_run
from lca_core.students_t import quantile, two_sided_p


@given(st.floats(-60, 60), st.integers(2, 300))
def test_students_t_is_scipys(t, degrees):
    """Tails are those of scipy, to nine digits (with one degree, scipy loses some near zero)."""
    truth = 2 * stats.t.sf(abs(t), degrees)
    assert two_sided_p(t, degrees) == pytest.approx(truth, rel=1e-9, abs=1e-14)


@given(st.floats(-60, 60))
def test_one_degree_is_cauchys(t):
    """With one degree of freedom the tail is that of Cauchy, in closed form."""
    truth = 1 - 2 / math.pi * math.atan(abs(t))
    assert two_sided_p(t, 1) == pytest.approx(truth, rel=1e-9, abs=1e-14)


@pytest.mark.parametrize("degrees", [1, 2, 9, 100])
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.999])
def test_quantiles_are_scipys(confidence, degrees):
    """Half-widths of intervals are those of scipy."""
    truth = stats.t.ppf((1 + confidence) / 2, degrees)
    assert quantile(confidence, degrees) == pytest.approx(truth, rel=1e-9)


@given(st.lists(st.sampled_from([-1.0, 0.0, 2.0]), max_size=30))
def test_the_sign_test_is_the_binomial_test(values):
    """Without zeros, it is scipy's exact binomial test."""
    moved = [v for v in values if v]
    truth = stats.binomtest(sum(v > 0 for v in moved), len(moved)).pvalue if moved else 1.0
    assert sign_test(np.array(values)) == pytest.approx(truth, rel=1e-12)


def test_holm_by_hand():
    """The smallest is multiplied by the number of tests, the next by one less, never decreasing."""
    p = np.array([0.04, np.nan, 0.01, 0.03, 0.6])
    np.testing.assert_allclose(holm(p), [0.09, np.nan, 0.04, 0.09, 0.6])


def test_a_layer_that_stood_still_neither_helps_nor_hurts(made):
    """A total of 0 ± 0 is beyond nothing."""
    steps, error = np.array([[-1.0, 0.5, 0.0]] * 4), np.array([[0.01, 0.01, 0.0]] * 4)
    found = verdicts(made(allocation=steps, error=error), "train")
    assert (found.total[1], found.error[1]) == (0.0, 0.0)
    assert (found.helps.tolist(), found.hurts.tolist()) == ([True, False], [False, False])


def test_verdicts_are_beyond_the_error(made):
    """A layer helps or hurts only where its total exceeds its ±."""
    steps = np.array([[-1.0, 0.2, 0.01]] * 4)
    error = np.array([[1e-3, 0.0, 0.02]] * 4)
    found = verdicts(made(allocation=steps, error=error), "train")
    assert found.labels == ("a", "b")
    np.testing.assert_allclose(found.total, [-3.2, 0.04])
    assert found.helps.tolist() == [True, False]
    assert found.hurts.tolist() == [False, False]


def test_steps_that_are_not_finite_are_left_out(made):
    """A NaN step does not make a layer's total NaN."""
    steps = np.array([[-1.0, 0.0, 1.0], [np.nan] * 3, [-1.0, 0.0, 1.0]])
    status = np.array([0, 3, 0], np.int8)
    found = verdicts(made(allocation=steps, status=status), "train")
    np.testing.assert_allclose(found.total, [-2.0, 2.0])


def test_over_runs_is_scipys_t_test(made):
    """Mean, interval and p over ten runs are scipy's; a layer that hurts in all is found."""
    rng = np.random.default_rng(0)
    runs = [
        made(allocation=rng.normal([-1.0, 0.0, 0.4], [0.1, 0.05, 0.1], size=(5, 3)))
        for _ in range(10)
    ]
    found = over_runs(runs, "train")
    truth = stats.ttest_1samp(found.totals, 0)
    interval = truth.confidence_interval()
    np.testing.assert_allclose(found.t_test, truth.pvalue, rtol=1e-9)
    np.testing.assert_allclose(found.interval, (interval.high - interval.low) / 2, rtol=1e-9)
    assert found.totals.shape == (10, 2)
    assert found.mean[1] > 0 > found.mean[0]
    assert found.corrected.max() < 1e-4
    assert found.sign_test.tolist() == [2 / 2**10] * 2


def lost(made):
    """Return a run that lost every step."""
    return made(allocation=np.full((2, 3), np.nan), status=np.full(2, 3, np.int8))


def test_runs_that_lost_every_step_are_in_no_mean(made):
    """Nothing is known of them: NaN where one stands alone, and tests are of the others."""
    rng = np.random.default_rng(1)
    runs = [made(allocation=rng.normal(size=(4, 3))) for _ in range(3)]
    found, without = over_runs([*runs, lost(made)], "train"), over_runs(runs, "train")
    assert np.isnan(verdicts(lost(made), "train").total).all()
    assert np.isnan(found.totals[3]).all()
    for name in ("mean", "interval", "t_test", "sign_test"):
        np.testing.assert_array_equal(getattr(found, name), getattr(without, name))
    assert np.isnan(over_runs([lost(made)] * 2, "train").mean).all()
    assert np.isnan(compare({"a": runs[0], "b": lost(made)}, "train").difference[1]).all()
    sweep = delay_sweep({0: [*runs, lost(made)], 1: runs}, "train")
    np.testing.assert_array_equal(sweep.mean[0], sweep.mean[1])


def test_runs_of_other_networks_do_not_compare(made):
    """One run is no sample, and runs of different layers are refused by name."""
    run = made(allocation=np.zeros((2, 3)))
    with pytest.raises(AnalysisError, match="at least two"):
        over_runs([run], "train")
    with pytest.raises(AnalysisError, match=r"Runs 0 and 1 .*'fc1'"):
        over_runs([run, demo_run()], "train")


def test_runs_of_other_widths_are_not_pooled(made):
    """Layers of one name but with other numbers of parameters make no mean; numbers are named."""
    wider = Layout([
        Leaf("a.weight", (2, 3), layer="a"),
        Leaf("a.bias", (2,), layer="a"),
        Leaf("b.weight", (40,), layer="b"),
    ])  # fmt: skip
    run, other = made(allocation=np.ones((2, 3))), made(allocation=np.ones((2, 3)), layout=wider)
    with pytest.raises(AnalysisError, match=r"0 and 2 .*'b' has 4 and 40 parameters"):
        over_runs([run, run, other], "train")
