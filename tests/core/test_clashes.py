"""Observers that would write one array, or not what they declare, are refused in time."""

import numpy as np
import pytest

from core.sampled import POINTS, problem, redrawn
from lca_core import (
    SIMPSON,
    AxisSums,
    Counts,
    Dense,
    Fixed,
    Tallies,
    Totals,
    UnitSums,
    Watch,
    WatchSample,
    load,
)
from lca_core.errors import ObserverError
from lca_core.ledger import LEDGER
from lca_core.names import RESERVED
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


class Own:
    """An observer of somebody else: one array of zeros."""

    def __init__(self, name="own", dims=("leaf",), labels=(), returns=None):
        """Take what to declare, and what to return if it is something else."""
        self.declared, self.returns = Declared(name, dims, "float64", labels), returns

    def declare(self, layout):
        """Add it."""
        return (self.declared,)

    def init(self, ops, params):
        """Keep nothing running."""
        return {}

    def update(self, ops, layout, view, state):
        """Return zeros."""
        declared = {self.declared.name: np.zeros(self.declared.shape(layout))}
        return declared if self.returns is None else self.returns, {}


@pytest.mark.parametrize(
    ("observers", "says"),
    [
        *(([Own(name)], f"array '{name}' of Own") for name in RESERVED),
        *(
            ([Own(dims=(axis,), labels=("a",))], f"axis '{axis}'.*'own' of Own")
            for axis in RESERVED
        ),
        ([Own("training/more")], "array 'training/more' of Own"),
        ([Own(".")], "no folder"),
        ([Own("a//b")], "no folder"),
        ([Own(dims=("own",), labels=("a", "b"))], "axis 'own' of the array 'own'"),
        ([Own(dims=("loss",), labels=("a", "b"))], "axis 'loss'.*another name"),
        (
            [Own("one", ("pair",), ("a", "b")), Own("two", ("pair",), ("a", "c"))],
            r"axis 'pair' has the labels \['a', 'b'\] in Own \(observers\[0\]\) and \['a', 'c'\]",
        ),
    ],
)
def test_the_run_files_own_names_are_refused(observers, says, tmp_path):
    """Arrays and axes named like parts of a run file are refused before there is one."""
    with pytest.raises(ObserverError, match=says):
        track({"train": PROBLEM}, START, PROBLEM.layout, observers=observers, path=tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_all_that_a_run_file_holds_has_a_name_that_is_taken(tmp_path):
    """No file, group, coordinate or axis of a run file is missing among the names refused."""
    observers = [Totals(), Counts(), UnitSums()]
    tracker = track(
        {"train": PROBLEM}, START, PROBLEM.layout, observers=observers, path=tmp_path / "run"
    )
    tracker.step({"w": np.zeros((2, 3)), "b": np.full(3, 2.0)})
    dataset = tracker.finish().to_xarray()
    recorded = {one.name for observer in observers for one in observer.declare(PROBLEM.layout)}
    named = {one.name for one in (tmp_path / "run").iterdir()} | {*dataset.variables, *dataset.dims}
    allowed = recorded | {one.name for one in LEDGER} | {"iteration"}
    assert named <= allowed | set(RESERVED)


def test_an_axis_of_ones_own_may_be_shared(tmp_path):
    """Two observers whose arrays have the same labels along one axis go together."""
    observers = [Own("one", ("pair",), ("a", "b")), Own("a/two", ("pair",), ("a", "b"))]
    tracker = track(
        {"train": PROBLEM}, START, PROBLEM.layout, observers=observers, path=tmp_path / "run"
    )
    tracker.step({"w": np.zeros((2, 3)), "b": np.full(3, 2.0)})
    assert tracker.finish().to_xarray()["a/two"].coords["pair"].values.tolist() == ["a", "b"]


FIVE, THREE = np.zeros(5), np.zeros(3)


@pytest.mark.parametrize(
    ("observer", "says"),
    [
        (Own(returns={"own": FIVE}), r"'own' of shape \(5,\), expected \(2,\)"),
        (Own(returns={"own": np.zeros((2, 1))}), r"shape \(2, 1\), expected \(2,\)"),
        (Own(returns={"own": 1.0}), r"shape \(\), expected \(2,\)"),
        (Own(dims=(), returns={"own": np.zeros(1)}), r"shape \(1,\), expected \(\)"),
        (Own(dims=("pair",), labels=("a", "b"), returns={"own": THREE}), r"expected \(2,\)"),
        (Own(returns={}), r"declared the array 'own'.*without it"),
        (Own(returns={"own": np.zeros(2), "loss": 0.0}), r"\['loss'\] beside"),
    ],
)
def test_what_was_not_declared_is_refused_at_the_first_step(observer, says, tmp_path):
    """Another shape or name than declared stops the first look; the file has what was recorded."""
    observers = [Counts(), observer]
    tracker = track(
        {"train": PROBLEM}, START, PROBLEM.layout, observers=observers, path=tmp_path / "run"
    )
    with pytest.raises(ObserverError, match=rf"Own \(observers\[1\]\).*{says}"), tracker:
        tracker.step({"w": np.zeros((2, 3)), "b": np.full(3, 2.0)})
    assert tracker.iteration == tracker.segments == 0
    assert load(tmp_path / "run").loss("train").tolist() == [tracker.last()["loss"]]


def test_what_was_not_declared_is_refused_at_the_first_look():
    """Of a redrawn measure that looks at one step of three, that look says what is wrong."""
    measures = {"train": redrawn(every=3)}
    tracker = track(
        measures, POINTS[0], problem().layout, observers=[Own(returns={"own": np.zeros(5)})]
    )
    for looked in range(3):
        if measures["train"].looks_at(looked):
            break
        tracker.step(POINTS[looked + 1])
    with pytest.raises(ObserverError, match=r"shape \(5,\), expected \(4,\)"):
        tracker.step(POINTS[looked + 1])
    assert tracker.finish().steps == looked


def test_numbers_and_lists_are_arrays():
    """What an observer declares without an axis may be a number of Python or NumPy."""
    observers = [
        Own("one", (), returns={"one": 1}),
        Own("two", (), returns={"two": np.float32(2.0)}),
        Own("three", returns={"three": [3.0, 4.0]}),
    ]
    tracker = track({"train": PROBLEM}, START, PROBLEM.layout, observers=observers)
    tracker.step({"w": np.zeros((2, 3)), "b": np.full(3, 2.0)})
    rows = tracker.finish().rows
    assert [rows[name].tolist() for name in ("one", "two", "three")] == [
        [[1.0]],
        [[2.0]],
        [[[3, 4]]],
    ]


class Growing(Own):
    """An observer whose array grows, from the third step on."""

    def update(self, ops, layout, view, state):
        """Return more and more."""
        self.steps = getattr(self, "steps", 0) + 1
        return {"own": np.zeros(2 if self.steps < 3 else self.steps)}, {}


def test_what_changes_later_is_refused_and_nothing_is_lost(tmp_path):
    """An array that grows is refused at the step at which it does; those before it are kept."""
    points = [{"w": np.full((2, 3), 0.5 / t), "b": np.full(3, 2.0 * t)} for t in range(1, 4)]
    own = {"observers": [Growing()], "integrator": Fixed(SIMPSON)}
    tracker = track({"train": PROBLEM}, START, PROBLEM.layout, path=tmp_path / "run", **own)
    for point in points[:2]:
        tracker.step(point)
    with pytest.raises(ObserverError, match=r"shape \(3,\)"), tracker:
        tracker.step(points[2])
    assert load(tmp_path / "run").loss("train").tolist() == [
        PROBLEM(at, {}).loss for at in (START, *points[:2])
    ]
