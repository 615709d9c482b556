"""The ± of sums by one rule throughout, where every step is compared with a coarser one."""

import numpy as np
import pytest

from core.sampled import path, problem, walked
from lca_core import LOBATTO_4, SIMPSON, TRAPEZOID, Fixed, composite
from lca_core.integration_error import by_own_gaps

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
