"""Observers that would write one array are refused before there is anything to lose."""

import numpy as np
import pytest

from lca_core import AxisSums, Counts, Dense, Tallies, Totals, Watch, WatchSample
from lca_core.errors import ObserverError
from lca_core.reference import Polynomial, track
from lca_core.typing import Declared

PROBLEM = Polynomial({"w": np.ones((2, 3)), "b": np.ones(3)}, 2)
START = {"w": np.ones((2, 3)), "b": np.ones(3)}
ONE, OTHER = Watch([("b", (0,))]), Watch([("w", (1, 2))])


class Iterations(Counts):
    """An observer of somebody else, whose array has a name of the ledger's."""

    def declare(self, layout):
        """Add what every run file has."""
        return (Declared("iteration", (), "float64"),)


class Signs(Tallies):
    """An observer of somebody else, with running arrays of another's names."""


@pytest.mark.parametrize(
    ("observers", "says"),
    [
        ([ONE, OTHER], r"'watched_weight'.*Watch \(observers\[0\]\).*Watch \(observers\[1\]\)"),
        ([ONE, Totals(), WatchSample(1)], r"Watch \(observers\[0\]\).*Sample \(observers\[2\]\)"),
        ([AxisSums({"w": 0}), AxisSums({"w": 1})], r"'axis_allocation'.*AxisSums.*AxisSums"),
        ([Dense(), Dense(["b"])], r"'dense_allocation_1'.*Dense.*Dense"),
        ([Iterations()], r"'iteration'.*the ledger.*Iterations \(observers\[0\]\)"),
        ([Tallies(), Signs()], r"Tallies \(observers\[0\]\).*Signs \(observers\[1\]\)"),
    ],
)
def test_two_observers_of_one_array_are_refused(observers, says, tmp_path):
    """The message names the array, both observers and the remedy; there is no file then."""
    with pytest.raises(ObserverError, match=says) as caught:
        track({"train": PROBLEM}, START, PROBLEM.layout, observers=observers, path=tmp_path / "run")
    assert "Watch([*a.parameters, *b.parameters])" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_the_remedy_works():
    """Two Watch joined as the message says keep what each would have kept."""

    def watched(*observers):
        tracker = track({"train": PROBLEM}, START, PROBLEM.layout, observers=observers)
        tracker.step({"w": np.arange(6.0).reshape(2, 3), "b": np.arange(3.0)})
        return tracker.finish().watched("train")

    both = watched(Watch([*ONE.parameters, *OTHER.parameters]))
    each = watched(ONE), watched(OTHER)
    assert both.labels == each[0].labels + each[1].labels
    for name in ("weight", "gradient", "allocation"):
        alone = [getattr(one, name) for one in each]
        assert np.array_equal(getattr(both, name), np.concatenate(alone, axis=1))


def test_apart_they_are_kept():
    """Observers of one kind that write different arrays go together."""
    observers = (Dense(["b"]), Dense(["w"]), Dense(["b"], ["weight"]))
    tracker = track({"train": PROBLEM}, START, PROBLEM.layout, observers=observers)
    tracker.step({"w": np.zeros((2, 3)), "b": np.full(3, 2.0)})
    run = tracker.finish()
    assert np.asarray(run.dense("train", "w")).sum() == pytest.approx(-6.0)
    assert np.asarray(run.dense("train", "b", "weight")).tolist() == [[2.0, 2.0, 2.0]]
