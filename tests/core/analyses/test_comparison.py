"""Runs side by side, training against held-out data, and candidates for freezing."""

import numpy as np
import pytest

from lca_core import Layout, Leaf
from lca_core.analyses import candidates, compare, generalisation
from lca_core.errors import AnalysisError
from lca_core.segment import Status


def test_runs_are_compared_layer_by_layer(made):
    """Differences are from the first run; errors of two runs add in squares."""
    one = made(allocation=[[-1.0, 0.0, 0.2]] * 2, error=[[3e-3, 0.0, 0.0]] * 2)
    two = made(allocation=[[-2.0, 0.0, 0.1]] * 2, error=[[4e-3, 0.0, 0.0]] * 2)
    found = compare({"one": one, "two": two}, "train")
    assert (found.labels, found.runs) == (("a", "b"), ("one", "two"))
    np.testing.assert_allclose(found.difference, [[0, 0], [-2.0, -0.2]])
    wanted = np.hypot(one.error("train").values, two.error("train").values)
    np.testing.assert_allclose(found.difference_error, [[0, 0], wanted])


def test_networks_are_compared_by_what_they_share(made):
    """Layers of one name are set beside in a wider and deeper network; the others are named."""
    deeper = Layout([
        Leaf("b.weight", (40,), layer="b"),
        Leaf("c.weight", (4,), layer="c"),
        Leaf("a.weight", (2, 3), layer="a"),
    ])  # fmt: skip
    one = made(allocation=[[-1.0, 0.5, 0.25]])
    two = made(allocation=[[3.0, -7.0, 5.0]], layout=deeper)
    found = compare({"one": one, "two": two}, "train")
    assert (found.labels, found.left_out) == (("a", "b"), ("c",))
    assert found.total.tolist() == [[-0.5, 0.25], [5.0, 3.0]]
    assert found.parameters.tolist() == [[8, 4], [6, 40]]
    with pytest.raises(AnalysisError, match="no group in common"):
        compare({"one": one, "two": made(allocation=[[1.0]], layout=Layout(deeper.leaves[1:2]))},
                "train")  # fmt: skip


def test_who_overfits(made):
    """A layer that helps training and hurts the held-out data overfits, by what it did in all."""
    train = [[-1.0, 0.0, -0.5], [-1.0, 0.0, -0.5]]
    val = [[0.1, 0.0, -0.1], [-1.9, 0.0, 0.3]]
    both = np.stack([train, val], axis=1)
    run = made(allocation=both, error=np.zeros_like(both), measures=("train", "val"))
    found = generalisation(run)
    np.testing.assert_allclose(found.learned, [[-1.0, -0.5], [-2.0, -1.0]])
    np.testing.assert_allclose(found.held_out, [[0.1, -0.1], [-1.8, 0.2]])
    np.testing.assert_allclose(found.overfit[-1], [0.2, 1.2])
    assert found.overfits.tolist() == [False, True]


def test_both_measures_count_the_same_steps(made):
    """What a step did that one measure lost is in neither sum."""
    both = np.stack([[[-1.0, 0.0, 2.0]] * 3, [[-1.0, 0.0, 3.0]] * 3], axis=1)
    status = np.array([[0, 0], [0, Status.NONFINITE], [0, 0]])
    run = made(allocation=both, error=0 * both, status=status, measures=("train", "val"))
    found = generalisation(run)
    assert found.learned[-1].tolist() == [-2.0, 4.0]
    assert found.held_out[-1].tolist() == [-2.0, 6.0]


def test_nobody_overfits_without_steps(made):
    """A run of no step names no layer that overfits, one answer a layer all the same."""
    nothing = np.zeros((0, 2, 3))
    run = made(allocation=nothing, error=nothing, measures=("train", "val"))
    assert generalisation(run).overfits.tolist() == [False, False]


def test_candidates_are_ranked(made):
    """Those that hurt come first, worst first, then those that do nothing; helpers are none."""
    steps = [[-1.0, 0.0, 0.25]] * 4
    found = candidates(made(allocation=steps), "train", by="leaf")
    assert [(one.name, one.reason) for one in found] == [("b.weight", "hurts"), ("a.bias", "idle")]
    assert found[0].total == 1.0
    assert found[0].if_frozen == -1.0


def test_idle_are_those_below_a_share_of_what_all_did(made):
    """Of 8 units in all, a share of 0.05 is 0.4: as much is idle, more is not; then the order."""
    totals = [-4.0, 1.5, 2.0, 0.375, -0.4, 0.0, -0.25]
    layout = Layout([Leaf(f"l{i}.weight", (1,), layer=f"l{i}") for i in range(7)])
    totals[0] -= 8.0 - np.abs(totals).sum()
    errors = [0.0, 0.0, 0.0, 0.375, 0.0, 0.0, 0.45]
    run = made(allocation=[totals], error=[[one / 2.96 for one in errors]], layout=layout)
    found = candidates(run, "train", idle=0.05)
    assert [(one.name, one.reason) for one in found] == [
        ("l2", "hurts"), ("l1", "hurts"), ("l3", "idle"), ("l5", "idle"), ("l4", "idle"),
    ]  # fmt: skip
    assert [one.error for one in found] == pytest.approx([0.0, 0.0, 0.375, 0.0, 0.0])


def test_what_is_within_its_error_is_no_candidate(made):
    """A total that its ± covers is not said to hurt, nor to be idle."""
    steps, error = [[-1.0, -1.0, 0.25]] * 4, [[0.0, 0.0, 0.4]] * 4
    assert candidates(made(allocation=steps, error=error), "train", by="leaf") == ()


def test_a_window_is_looked_at_alone(made):
    """Only the steps of the window count; an empty one is refused."""
    steps = [[-1.0, -1.0, -5.0]] + [[-1.0, -1.0, 1.0]] * 3
    run = made(allocation=steps)
    assert candidates(run, "train") == ()
    (one,) = candidates(run, "train", window=slice(-3, None))
    with pytest.raises(AnalysisError, match="is a slice of steps"):
        candidates(run, "train", window=3)
    assert (one.name, one.total) == ("b", 3.0)
    with pytest.raises(AnalysisError, match="none of the run's 4 steps"):
        candidates(run, "train", window=slice(9, None))


def test_a_window_of_lost_steps_is_refused(made):
    """Of steps that were not finite nothing is known: neither that one hurt nor that none did."""
    status = [0, Status.NONFINITE, Status.NONFINITE, 0]
    run = made(allocation=[[-1.0, -1.0, 1.0]] * 4, status=status)
    with pytest.raises(AnalysisError, match=r"No step of .* slice\(1, 3, None\) was"):
        candidates(run, "train", window=slice(1, 3))
    assert [one.name for one in candidates(run, "train", window=slice(1, 4))] == ["b"]
