"""Single parameters, learned against held out: by hand and on a real run."""

import numpy as np
import pytest

from lca_core.analyses import overfitting
from lca_core.analyses.overfitting import ParameterPairs
from lca_core.errors import AnalysisError, NotRecordedError
from lca_core.reference import demo_run
from lca_core.segment import Status

SHAPES = {"a.weight": (2, 3), "a.bias": (2,), "b.weight": (4,)}


def test_by_hand():
    """Of each kind one, one that stood still, and three that did nothing to one of both."""
    learned = {"a": np.array([[-3.0, -1.0], [2.0, 1.0]]), "b": np.array([0.0, -1.0, 0.0, 0.0])}
    held_out = {"a": np.array([[-2.0, 1.0], [3.0, -1.0]]), "b": np.array([0.0, 0.0, 2.0, 5.0])}
    found = ParameterPairs(learned, held_out)
    assert found.overfits["a"].tolist() == [[False, True], [False, False]]
    assert not found.overfits["b"].any()
    assert found.shares == {
        ("helped", "helped"): 1 / 7,
        ("helped", "hurt"): 1 / 7,
        ("hurt", "helped"): 1 / 7,
        ("hurt", "hurt"): 1 / 7,
    }
    truth = np.corrcoef([-3, -1, 2, 1, 0, -1, 0, 0], [-2, 1, 3, -1, 0, 0, 2, 5])[0, 1]
    assert found.correlation == pytest.approx(truth)


def test_nothing_to_correlate():
    """Without motion there are no shares and no correlation."""
    found = ParameterPairs({"a": np.zeros(3)}, {"a": np.zeros(3)})
    assert set(found.shares.values()) == {0.0}
    assert np.isnan(found.correlation)


def test_of_a_run():
    """They are the run's own totals; a measure against itself overfits nowhere."""
    run = demo_run(by_class=True)
    found = overfitting(run, "train/class=0", "train/class=2")
    for name, total in run.total("train/class=2").items():
        np.testing.assert_array_equal(found.held_out[name], total)
    assert any(one.any() for one in found.overfits.values())
    same = overfitting(run, "train", "train")
    assert not any(one.any() for one in same.overfits.values())
    assert same.correlation == pytest.approx(1.0)
    with pytest.raises(NotRecordedError, match="not 'val'"):
        overfitting(run)


def test_totals_over_different_steps_are_refused(made):
    """A step that only one measure lost is in the totals of the other: they are not compared."""
    rows = np.full((4, 2, 3), -1.0)
    kept = {name: np.zeros(shape) for name, shape in SHAPES.items()}
    totals = {one: {"total": kept, "total_rounding": kept} for one in ("train", "val")}
    lost = np.array([[0, 0], [0, Status.NONFINITE], [0, 0], [0, 0]])
    both = made(allocation=rows, error=rows, status=lost, measures=tuple(totals), totals=totals)
    with pytest.raises(AnalysisError, match=r"1 of 4 .* first at step 2"):
        overfitting(both)
    lost[1] = Status.NONFINITE
    both = made(allocation=rows, error=rows, status=lost, measures=tuple(totals), totals=totals)
    assert overfitting(both).shares["helped", "hurt"] == 0.0
