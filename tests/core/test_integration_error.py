"""The ± of sums by the integrator, where steps are compared with a coarser rule."""

import numpy as np
import pytest

from core.sampled import path, problem, walked
from lca_core import LOBATTO_4, SIMPSON, TRAPEZOID, Adaptive, Fixed, composite
from lca_core.integration_error import by_own_gaps, of_integration
from lca_core.reference import Perceptron

POINTS = path(60)


def along(rule, points=POINTS):
    """Return the run by one rule, on all examples."""
    return walked({"t": problem()}, points, integrator=Fixed(rule), observers=[])


@pytest.fixture(scope="module")
def exact():
    """Return the allocations of the leaves, to rounding."""
    return along(composite(SIMPSON, 32)).allocation("t", "leaf").values


@pytest.mark.parametrize("rule", [SIMPSON, LOBATTO_4, composite(SIMPSON, 2)], ids=lambda r: r.name)
@pytest.mark.parametrize("window", [slice(None), slice(7), slice(40, 41)], ids=str)
def test_the_truth_is_within_the_error_of_one_rule_which_is_far_below_the_distance_to_the_coarser(
    exact, rule, window
):
    """Gaps of both rules say how much better the finer one is."""
    run = along(rule)
    half = run.error("t", "leaf", window).values
    off = (run.allocation("t", "leaf").values - exact)[window].sum(axis=0)
    assert np.all(np.abs(off) <= half)
    steps = range(60)[window]
    near = run.rows["error"][max(0, steps[0] - 8) : steps[-1] + 9, 0]
    apart = np.sqrt(len(steps) * (near**2).mean(axis=0))
    assert np.median(half / apart) < 0.7


def test_a_late_step_is_judged_by_its_neighbours(exact):
    """The first steps of a training are the largest: they say nothing of those at its end."""
    settled = [POINTS[0], *POINTS[-40:]]  # one leap, and then small steps
    run, alone = along(SIMPSON, settled), along(SIMPSON, settled[1:])
    found, expected = (
        one.error("t", "leaf", slice(begin, begin + 1)).values
        for one, begin in ((run, 31), (alone, 30))
    )
    np.testing.assert_array_equal(found, expected)


def test_a_rule_with_nothing_to_compare_has_no_error():
    """The trapezoid rule holds no coarser one: its ± is not known, not zero."""
    assert np.isnan(along(TRAPEZOID).error("t").values).all()


def test_lost_steps_are_in_no_error():
    """What was lost is in no sum; a window of lost steps alone has no ±."""
    points = [dict(point) for point in POINTS[:20]]
    points[10] = {name: np.full_like(leaf, np.nan) for name, leaf in points[10].items()}
    run = along(SIMPSON, points)
    assert np.isfinite(run.error("t").values).all()
    assert np.isnan(run.error("t", steps=slice(9, 11)).values).all()


def test_a_step_that_agrees_with_the_coarser_rule_by_luck_is_as_wrong_as_others():
    """The ± of a window is that of its steps and of a usual one; all steps say how wrong these are.

    By hand: the finer rule is ten times better, T = 4 makes 2 (1 + 4 / 4) / 10 of differences of 0
    and 1 whose mean square is 3 / 4.
    """
    error = np.array([[0.0], [1.0], [1.0], [1.0]])
    gap = np.array([0.0, 1.0, 1.0, 1.0]) / 9  # of the coarser rule, 10 / 9
    alone, all_of_them = np.arange(4) == 0, np.ones(4, bool)
    assert by_own_gaps(error, gap, alone) == pytest.approx(0.4 * 1.96 * np.sqrt(0.75), rel=1e-3)
    whole = 0.4 * (3 + 1.96 * np.sqrt(3.75))
    assert by_own_gaps(error, gap, all_of_them) == pytest.approx(whole, rel=1e-3)
    assert by_own_gaps(error, 10.0 * gap, alone) == pytest.approx(1.96 * np.sqrt(0.75), rel=1e-3)
    assert by_own_gaps(error, gap, ~all_of_them) == 0.0


@pytest.mark.parametrize("tight", [{"certify": True}, {"rtol": 1e-4, "atol": 1e-7}], ids=str)
@pytest.mark.parametrize("kind", ["tanh", "relu"])
def test_the_truth_is_within_the_error_of_tight_settings(kind, tight):
    """Steps refined by need say themselves how wrong they may be, where lots saw no such step."""
    held = []
    for seed in range(12):
        loss, points = trained(kind, seed)
        run, true = (
            walked({"t": loss}, points, loss.layout, integrator=one, observers=[])
            for one in (Adaptive(**tight), Fixed(composite(SIMPSON, 32)))
        )
        off = np.subtract(*(one.allocation("t", "leaf").values.sum(axis=0) for one in (run, true)))
        held += (np.abs(off) <= run.error("t", "leaf").values).tolist()
    assert np.mean(held) > 0.95


def trained(kind, seed):
    """Return the loss of a small network on blobs, and 25 large steps of a training."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(3, size=60)
    inputs = rng.standard_normal((3, 4))[labels] + 0.5 * rng.standard_normal((60, 4))

    def loss(places=slice(None)):
        return Perceptron(inputs[places], labels[places], (4, 6, 3), kind)

    points = [loss().initial(seed)]
    for _ in range(25):
        gradient = loss(rng.integers(60, size=20))(points[-1], {}).gradient
        points.append({name: w - 0.5 * gradient[name] for name, w in points[-1].items()})
    return loss(), points


def test_steps_refined_by_need_reach_as_far_as_their_own_differences_tell():
    """Each counts by how much better its gap is than before, at it or beside it, twice that."""
    finer, coarser = np.full(6, 1e-3), np.full(6, 1.0)
    finer[2], finer[5] = 1e-9, 1.5  # by luck; and one that halving did not mend
    error = np.array([[1e-9, 1e-9, 5.0, 1.0, 0.03, 0.02]]).T
    known = {"finite": np.ones(6, bool), "closed": np.ones(6, bool), "judged_alone": False}
    lots = np.array([True, True, False, False, False, False])
    found = of_integration(error, error > 0, (finer, coarser), audited=lots, **known)
    shares = np.array([5.0 * 2e-3, 1.0 * 2e-3, 0.03, 0.02])
    expected = shares.sum() + 1.96 * np.sqrt((shares**2).sum())
    assert found == pytest.approx([expected], rel=1e-4)
