"""Tallies, turns and sizes, against a dense recomputation from stored weights and gradients."""

from itertools import pairwise

import numpy as np
import pytest
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import lca_core
from lca_core import (
    MIDPOINT,
    TRAPEZOID,
    Adaptive,
    Fixed,
    Layout,
    Leaf,
    Oscillation,
    Sizes,
    StepView,
    Tallies,
    default_observers,
)
from lca_core.errors import NotRecordedError
from lca_core.reference import NumpyOps, demo_run, track
from lca_core.typing import Evaluation

OPS = NumpyOps()
OF = ("motion", "gradient", "allocation")


@frozen
class Dense:
    """Everything of every step: name -> leaf -> array of shape (steps, ...)."""

    run: lca_core.Run
    motion: dict
    gradient: dict
    mean_gradient: dict
    allocation: dict


@pytest.fixture(scope="module", params=[False, True], ids=["in memory", "resumed from a file"])
def dense(request, perceptron, descent, tmp_path_factory):
    """Return a tracked run with these observers on, and the same recomputed densely."""
    rng = np.random.default_rng(3)
    path = descent(perceptron, 12)
    # A descent with kicks: signs turn, and some parameters stand still now and then.
    path = [
        {k: leaf + 0.3 * rng.normal(size=leaf.shape) * (rng.random(leaf.shape) < 0.7)
         for k, leaf in params.items()}
        for params in path
    ]  # fmt: skip
    path[5] = path[4]
    layout = perceptron.layout
    options = {
        "observers": (*default_observers(layout), Tallies(), Oscillation(), Sizes()),
        "integrator": Fixed(TRAPEZOID),
        "chunk": 3,
    }
    if request.param:
        options["path"] = tmp_path_factory.mktemp("run") / "run.zarr"
        with track({"train": perceptron}, path[0], layout, **options) as first:
            for params in path[1:7]:
                first.step(params)
        with track({"train": perceptron}, path[6], layout, resume=True, **options) as tracker:
            for params in path[7:]:
                tracker.step(params)
    else:
        with track({"train": perceptron}, path[0], layout, **options) as tracker:
            for params in path[1:]:
                tracker.step(params)
    gradients = [perceptron(params, {}).gradient for params in path]
    stack = {
        k: (
            np.array([after[k] - before[k] for before, after in pairwise(path)]),
            np.array([one[k] for one in gradients[1:]]),
            np.array([(one[k] + two[k]) / 2 for one, two in pairwise(gradients)]),
        )
        for k in layout.names
    }
    motion, gradient, mean = ({k: parts[i] for k, parts in stack.items()} for i in range(3))
    allocation = {k: mean[k] * motion[k] for k in mean}
    return Dense(tracker.run, motion, gradient, mean, allocation)


def turns(series):
    """Count sign changes along the first axis, zeros left out; one series after the other."""
    flat = series.reshape(len(series), -1)
    counts = [
        int((np.diff(np.sign(one[one != 0])) != 0).sum()) if one.any() else 0 for one in flat.T
    ]
    return np.array(counts).reshape(series.shape[1:])


def test_tallies_count_steps(dense):
    """Every parameter's steps with A < 0 and with A > 0 are counted."""
    tallies = dense.run.tallies("train")
    assert list(tallies) == list(dense.run.layout.names)
    for name, allocation in dense.allocation.items():
        assert tallies[name].helped.dtype == tallies[name].hurt.dtype == np.int64
        np.testing.assert_array_equal(tallies[name].helped, (allocation < 0).sum(0))
        np.testing.assert_array_equal(tallies[name].hurt, (allocation > 0).sum(0))


@pytest.mark.parametrize("of", OF)
def test_turns_are_the_sign_changes(dense, of):
    """By parameter, by step and leaf, and by layer: sign changes with zeros passed over."""
    found = dense.run.turns("train", of)
    by_leaf = dense.run.turned("train", of, by="leaf")
    by_layer = dense.run.turned("train", of, by="layer")
    for i, (name, series) in enumerate(getattr(dense, of).items()):
        truth = turns(series)
        assert truth.sum() > 0
        np.testing.assert_array_equal(found[name].count, truth)
        np.testing.assert_array_equal(found[name].ever, series.any(axis=0))
        per_step = [turns(series[: t + 1]).sum() for t in range(len(series))]
        np.testing.assert_array_equal(by_leaf.values[:, i].cumsum(), per_step)
    np.testing.assert_array_equal(by_layer.values.sum(1), by_leaf.values.sum(1))


@pytest.mark.parametrize(("of", "series"), [("motion", "motion"), ("gradient", "mean_gradient")])
def test_sizes_are_euclidean(dense, of, series):
    """The size of a leaf is the length of its motion or mean gradient; layers join their leaves."""
    by_leaf = dense.run.size("train", of, by="leaf")
    by_layer = dense.run.size("train", of, by="layer")
    for i, values in enumerate(getattr(dense, series).values()):
        truth = np.sqrt((values.reshape(len(values), -1) ** 2).sum(1))
        np.testing.assert_allclose(by_leaf.values[:, i], truth, rtol=1e-12)
    assert by_layer.labels == ("fc1", "fc2")
    np.testing.assert_allclose(
        by_layer.values[:, 0], np.hypot(by_leaf.values[:, 0], by_leaf.values[:, 1]), rtol=1e-12
    )


def test_what_was_not_recorded_names_its_observer():
    """Asking for what no observer kept says which one to add."""
    run = demo_run()
    for ask, observer in [
        (run.tallies, "Tallies"), (run.turns, "Oscillation"),
        (run.turned, "Oscillation"), (run.size, "Sizes"),
    ]:  # fmt: skip
        with pytest.raises(NotRecordedError, match=rf"Add {observer}\(\)"):
            ask("train")
    with pytest.raises(NotRecordedError, match="by must be 'leaf' or 'layer', got 'unit'"):
        run.size("train", by="unit")


def test_a_step_that_is_not_finite_turns_nobody(perceptron):
    """It counts no turns, in numbers that are numbers, and the next steps go on from before."""
    start = perceptron.initial(0)
    lost = {k: np.full_like(v, np.nan) for k, v in start.items()}
    moved = [{k: v + 0.1 * s for k, v in start.items()} for s in (1, 2, 1)]
    run = {}
    for name, path in (("plain", moved), ("lost", [moved[0], lost, *moved])):
        settings = {"observers": [Oscillation()], "integrator": Fixed(TRAPEZOID)}
        with track({"train": perceptron}, start, perceptron.layout, **settings) as tracker:
            for point in path:
                tracker.step(point)
        run[name] = tracker.run
    counts = run["lost"].turned("train").values.sum(axis=1)
    # The way back from nowhere is lost too.
    assert counts[[1, 2]].tolist() == [0, 0]
    assert counts.sum() == run["plain"].turned("train").values.sum() == perceptron.layout.parameters


class LostAtOne:
    """The sum of x², whose gradient is no number where x is 1, as that of a root can be at 0."""

    eps = 2.0**-52

    def __call__(self, params, buffers):
        """Return a loss that is finite everywhere."""
        x = params["x"]
        return Evaluation(np.asarray((x**2).sum()), {"x": np.where(x == 1.0, np.nan, 2 * x)})


@pytest.mark.parametrize(
    ("integrator", "turns"), [(Adaptive(audit=None), [6, 7]), (Fixed(MIDPOINT), [7, 7])]
)
def test_a_gradient_that_is_no_number_is_no_sign(integrator, turns):
    """Steps with closed books can end at one: at rest, or where their rule does not look.

    By the trapezoid the step behind it is lost too, and with it the first sign of what was lost.
    """
    values = [(3.0, 3.0), (1.0, 3.0), (1.0, 3.0), *[(2.0 * (-1) ** k,) * 2 for k in range(8)]]
    layout, observers = Layout([Leaf("x", (2,))]), [Oscillation()]
    start, *path = [{"x": np.array(one)} for one in values]
    settings = {"integrator": integrator, "observers": observers}
    with track({"train": LostAtOne()}, start, layout, **settings) as tracker:
        for params in path:
            tracker.step(params)
    assert tracker.run.turns("train", "gradient")["x"].count.tolist() == turns
    assert tracker.run.turned("train", "gradient", "leaf").values.sum() == sum(turns)


@pytest.mark.parametrize("of", OF)
def test_turns_at_a_lost_step_are_in_neither_count(perceptron, of):
    """One leaf is lost, the others turn at that step: `turned` sums to `turns` all the same."""
    start = perceptron.initial(0)
    path = [{k: v + 0.1 * s for k, v in start.items()} for s in (1, 2, 1, 2, 1)]
    name = next(iter(start))
    path[2] = {**path[2], name: np.full_like(start[name], np.nan)}
    observers = [Oscillation()]
    with track({"train": perceptron}, start, perceptron.layout, observers=observers) as tracker:
        for point in path:
            tracker.step(point)
    run = tracker.run
    turned = run.turned("train", of, by="leaf").values
    assert turned[~run.seen("train")].tolist() == [[0] * len(start)] * 2
    turns = [one.count.sum() for one in run.turns("train", of).values()]
    assert turned.sum(axis=0).tolist() == turns


@given(st.data())
def test_any_shape_and_type(data):
    """0-d, empty and one-element leaves of either type are counted as numpy counts them."""
    shape = data.draw(hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
    dtype = data.draw(st.sampled_from(["float32", "float64"]))
    values = st.sampled_from([-2.5, -1e-30, 0.0, -0.0, 1e-30, 3.0])
    steps = data.draw(hnp.arrays(dtype, (5, *shape), elements=values))
    layout = Layout([Leaf("x", shape, dtype)])
    tallies, oscillation = Tallies(), Oscillation()
    first = {"x": steps[0]}
    state, turning = tallies.init(OPS, first), oscillation.init(OPS, first)
    for one in steps:
        step = {"x": np.asarray(one)}
        view = StepView(*[step] * 5)
        none, state = tallies.update(OPS, layout, view, state)
        counts, turning = oscillation.update(OPS, layout, view, turning)
        declared = {array.name: (1,) for array in oscillation.declare(layout)}
        assert none == {}
        assert {name: count.shape for name, count in counts.items()} == declared
    np.testing.assert_array_equal(state["steps_moved"]["x"], (steps != 0).sum(0))
    np.testing.assert_array_equal(state["sign_sum"]["x"], np.sign(steps).sum(0))
    assert state["sign_sum"]["x"].dtype == dtype
    for of in OF:
        np.testing.assert_array_equal(turning[f"{of}_turns"]["x"], turns(steps))
