"""Shares of helping parameters, turns and totals, on series whose answer is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lca_core import Counts, Oscillation, Tallies, Totals
from lca_core.analyses import (
    concentration,
    gini,
    helping_over_time,
    heroes_and_villains,
    smoothed,
    steps_between_turns,
)
from lca_core.errors import AnalysisError
from lca_core.reference import track
from lca_core.segment import Status


@pytest.fixture(scope="module")
def run(perceptron, descent):
    """Return a noisy run with everything on that these analyses read."""
    rng = np.random.default_rng(0)
    path = [
        {k: leaf + 0.2 * rng.normal(size=leaf.shape) for k, leaf in params.items()}
        for params in descent(perceptron, 30)
    ]
    observers = [Totals(), Counts(), Tallies(), Oscillation()]
    with track({"train": perceptron}, path[0], perceptron.layout, observers=observers) as tracker:
        for params in path[1:]:
            tracker.step(params)
    return tracker.run


def test_helping_over_time_by_hand(made):
    """3 of 4 moving of 12 parameters: 75 %, 25 %, and one standard deviation above a coin."""
    counts = {"helped": [[2, 1, 0], [0, 0, 0]], "hurt": [[1, 0, 0], [0, 0, 0]]}
    found = helping_over_time(made(allocation=np.zeros((2, 3)), **counts), "train")
    np.testing.assert_array_equal(found.of_moving, [0.75, np.nan])
    np.testing.assert_array_equal(found.of_all, [0.25, 0.0])
    np.testing.assert_array_equal(found.z, [1.0, np.nan])


def test_nobody_is_known_to_help_at_a_lost_step(made):
    """All shares of a step that was not finite are unknown, not 0."""
    counts = {"helped": [[2, 1, 0], [3, 0, 0]], "hurt": [[1, 0, 0], [1, 0, 0]]}
    found = helping_over_time(
        made(allocation=np.zeros((2, 3)), status=[0, Status.NONFINITE], **counts), "train"
    )
    np.testing.assert_array_equal(found.of_all, [0.25, np.nan])
    np.testing.assert_array_equal(found.of_moving, [0.75, np.nan])


def test_coins_have_the_spread_of_coins(made):
    """Of parameters that help by coin, 95 % lie within 1.96 of the stated spreads."""
    rng, steps = np.random.default_rng(1), 400
    helped = {
        "a.weight": rng.binomial(steps, 0.5, (2, 3)),
        "a.bias": rng.binomial(steps, 0.5, 2),
        "b.weight": rng.binomial(steps, 0.5, 4),
    }
    totals = {
        "train": {
            "steps_moved": {k: np.full_like(one, steps) for k, one in helped.items()},
            "sign_sum": {k: steps - 2 * one for k, one in helped.items()},
        }
    }
    found = heroes_and_villains(made(allocation=np.zeros((2, 3)), totals=totals), "train")
    assert found.spread == pytest.approx(0.5 / np.sqrt(steps))
    assert found.share.shape == (12,)
    assert np.abs(found.share - 0.5).max() < 4 * found.spread
    assert found.between(100) == (found.share.min(), found.share.max())


def test_the_range_of_single_parameters_has_ends_that_occur(made):
    """After one step a parameter helped on all of its steps or on none: no other share is told."""
    moved = {"a.weight": np.ones((2, 3)), "a.bias": np.ones(2), "b.weight": np.ones(4)}
    balance = {k: -one for k, one in moved.items()}
    balance["b.weight"] = np.array([1.0, -1.0, -1.0, -1.0])
    totals = {"train": {"steps_moved": moved, "sign_sum": balance}}
    found = heroes_and_villains(made(allocation=np.zeros((1, 3)), totals=totals), "train")
    assert found.between(95) == (0.0, 1.0)
    assert found.between(0) == (1.0, 1.0)


def test_nothing_moved_is_between_nothing(made):
    """Without a step that helped or hurt there is no range: NaN, not a warning."""
    still = {k: np.zeros(shape) for k, shape in
             {"a.weight": (2, 3), "a.bias": 2, "b.weight": 4}.items()}  # fmt: skip
    totals = {"train": {"steps_moved": still, "sign_sum": still}}
    found = heroes_and_villains(made(allocation=np.zeros((2, 3)), totals=totals), "train")
    assert np.isnan(found.between()).all()


def test_heroes_and_villains_agree_with_the_counts(run):
    """Steps helped, over parameters, are the parameters helping, over steps."""
    found = heroes_and_villains(run, "train")
    counts = run.helping("train")
    assert np.nansum(found.share * found.steps) == pytest.approx(counts.helped.sum())
    assert found.steps.sum() == counts.helped.sum() + counts.hurt.sum()


@given(
    hnp.arrays("float64", st.integers(1, 20), elements=st.sampled_from([1.0, 2.0, 7.0, np.nan])),
    st.sampled_from([1, 3, 5, 9]),
)
def test_smoothing_is_the_mean_of_what_is_there(values, width):
    """A centred mean over the window, of what is a number and inside."""
    found = smoothed(values, width)
    for t in range(len(values)):
        window = values[max(0, t - width // 2) : t + width // 2 + 1]
        known = window[np.isfinite(window)]
        wanted = known.mean() if known.size else np.nan
        assert found[t] == pytest.approx(wanted, nan_ok=True)


@pytest.mark.parametrize("shape", [(0,), (2, 0), (2, 3)])
def test_smoothing_keeps_the_shape(shape):
    """Also of what has no steps, or fewer than the window; every row is smoothed by itself."""
    values = np.arange(np.prod(shape), dtype=float).reshape(shape)
    found = smoothed(values, 9)
    assert found.shape == shape
    if found.size:
        np.testing.assert_array_equal(found, [[1.0] * 3, [4.0] * 3])


@pytest.mark.parametrize("large", [1e30, -1e18, np.inf, np.nan])
def test_a_large_value_leaves_no_trace_behind_the_window(large):
    """A mean is of its own window alone, however large the values before and after are."""
    values = np.array([0.3] * 5 + [large] + [0.3] * 5)
    outside = np.abs(np.arange(11) - 5) > 1
    np.testing.assert_allclose(smoothed(values, 3)[outside], 0.3, rtol=1e-15)


def test_steps_between_turns(run):
    """Steps times parameters over turns, and overall it is the mean weighted by turns."""
    found = steps_between_turns(run, "train")
    turned = run.turned("train", "motion", by="leaf").values.sum(0)
    assert found.labels == (*run.layout.names, "all")
    np.testing.assert_allclose(found.motion[:-1], run.steps * run.layout.sizes / turned)
    assert found.motion[-1] == pytest.approx(run.steps * run.layout.parameters / turned.sum())
    assert 1 < found.motion[-1] < 3
    assert (found.allocation > 1).all()


def test_what_never_moved_does_not_dilute(made):
    """Parameters without a sign are left out; a leaf without any has no number."""
    totals = {"train": {}}
    for of in ("motion", "gradient", "allocation"):
        totals["train"][f"{of}_turns"] = {
            "a.weight": np.array([[2, 0, 0], [2, 0, 0]]),
            "a.bias": np.zeros(2),
            "b.weight": np.zeros(4),
        }
        totals["train"][f"{of}_sign"] = {
            "a.weight": np.array([[1, 0, 0], [-1, 0, 0]]),
            "a.bias": np.zeros(2),
            "b.weight": np.ones(4),
        }
    found = steps_between_turns(made(allocation=np.zeros((10, 3)), totals=totals), "train")
    np.testing.assert_array_equal(found.motion, [5.0, np.nan, np.inf, 15.0])


@given(hnp.arrays("float64", st.integers(1, 30), elements=st.floats(0.001, 100)))
def test_gini_is_the_mean_difference(values):
    """The sorted formula is half the relative mean absolute difference."""
    pairs = np.abs(values[:, None] - values[None]).sum()
    assert gini(values) == pytest.approx(pairs / (2 * len(values) * values.sum()), abs=1e-12)


def test_concentration_by_hand(made):
    """Four helpers of 6, 2, 1, 1: half of them do 80 % of the help; one more makes 90 %."""
    leaves = {
        "a.weight": np.array([[-1.0, -6.0, 0.0], [3.0, -2.0, 1.0]]),
        "a.bias": np.array([0.0, -1.0]),
        "b.weight": np.zeros(4),
    }
    zeros = {k: np.zeros_like(v) for k, v in leaves.items()}
    totals = {"train": {"total": leaves, "total_rounding": zeros}}
    found = concentration(made(allocation=np.zeros((2, 3)), totals=totals), "train")
    assert found.help.tolist() == [6, 2, 1, 1]
    assert found.hurt.tolist() == [3, 1]
    assert found.parameters == 12
    assert found.share_of_top(0.5) == 0.8
    assert found.fraction_needed(0.8) == 0.5
    assert found.fraction_needed(0.9) == 0.75
    assert found.fraction_needed(1.0) == 1.0
    assert found.gini == (pytest.approx(0.4), pytest.approx(0.25))
    with pytest.raises(AnalysisError, match="fraction must be between 0 and 1, got 90"):
        found.share_of_top(90)


def test_help_minus_hurt_is_the_loss_change(run):
    """All help and hurt together are what was allocated."""
    found = concentration(run, "train")
    allocated = run.allocation("train").values.sum()
    assert found.hurt.sum() - found.help.sum() == pytest.approx(allocated, rel=1e-9)
