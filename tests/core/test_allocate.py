"""One step in, one record out: measures, still steps, buffers, bad steps, bad input."""

import math

import numpy as np
import pytest

from lca_core import (
    LOBATTO_4,
    SIMPSON,
    TRAPEZOID,
    Adaptive,
    Allocator,
    Counts,
    Evaluation,
    Fixed,
    Layout,
    Leaf,
    Snapshot,
    Status,
    Totals,
    UnitSums,
    composite,
)
from lca_core.errors import LeafError
from lca_core.reference import NumpyOps, Perceptron, Polynomial, Quadratic, track
from lca_core.reference.ops import snapshot
from lca_core.segment import NOISE_EPSILONS
from lca_core.summary import booked_loss

EPS = float(np.finfo(float).eps)
OBSERVERS = (Totals(), Counts(), UnitSums())


def allocator(oracles, layout, integrator=None, observers=OBSERVERS):
    """Return the functional core on numpy."""
    return Allocator(NumpyOps(), oracles, layout, integrator or Adaptive(audit=None), observers)


def total_of(state, measure, name):
    """Return a running total as one float64 array."""
    running = state.running[measure][0]
    return running["total"][name] + running["total_rounding"][name]


def test_several_measures_at_once():
    """Each measure gets its own loss, allocation and totals of the same step, in closed form."""
    oracles = {
        "cubic": Polynomial({"x": np.array([1.0, -2.0])}, 3),
        "square": Polynomial({"x": np.array([3.0, 0.5])}, 2),
        "bowl": Quadratic(np.array([[2.0, 1.0], [1.0, 3.0]]), np.array([1.0, 0.0])),
    }
    core = allocator(oracles, oracles["bowl"].layout, Fixed(SIMPSON))
    start, end = {"x": np.array([1.0, 2.0])}, {"x": np.array([0.5, -1.0])}
    record, state = core.update(core.init(snapshot(start)), snapshot(end))
    assert list(record) == list(oracles)
    for measure, problem in oracles.items():
        truth = problem.allocation(start, end)["x"]
        row = record[measure]
        assert row["allocation"] == pytest.approx([truth.sum()])
        assert row["unit_allocation"] == pytest.approx(truth)
        assert total_of(state, measure, "x") == pytest.approx(truth)
        assert row["helped"].tolist() == [(truth < 0).sum()]
        assert row["hurt"].tolist() == [(truth > 0).sum()]
        assert float(row["loss"]) == float(problem(end, {}).loss)
        assert row["gap"] == pytest.approx(0.0, abs=1e-13)


def test_books_close_along_a_training_run(perceptron, descent):
    """Loss change = allocations + gap at every step, and every gap is within tolerance."""
    path = descent(perceptron, 30)
    core = allocator({"train": perceptron}, perceptron.layout, Adaptive(rtol=1e-3, atol=1e-9))
    state = core.init(snapshot(path[0]))
    losses = [float(perceptron(params, {}).loss) for params in path]
    for before, after, params in zip(losses, losses[1:], path[1:], strict=False):
        record, state = core.update(state, snapshot(params))
        row = record["train"]
        assert float(row["loss"]) == after
        change = after - before
        assert row["allocation"].sum() + row["gap"] == pytest.approx(change, abs=1e-15)
        assert abs(row["gap"]) <= max(1e-3 * abs(change), 1e-9)
        floor = NOISE_EPSILONS * EPS * max(before, after)
        assert row["noise"] == pytest.approx(floor, rel=1e-9, abs=0)


@pytest.mark.parametrize(
    "rule", [SIMPSON, LOBATTO_4, composite(TRAPEZOID, 2)], ids=lambda one: one.name
)
def test_the_error_on_record_is_finer_minus_coarser(rule, perceptron, descent):
    """A fixed rule's error is its allocation less that of the nested rule, recorded on its own."""
    path = descent(perceptron, 3)
    runs = []
    for used in (rule, rule.nested):
        tracker = track({"train": perceptron}, path[0], perceptron.layout, integrator=Fixed(used))
        for params in path[1:]:
            tracker.step(params)
        runs.append(tracker.finish())
    finer, coarser = (run.allocation("train", "leaf").values for run in runs)
    np.testing.assert_allclose(runs[0].rows["error"][:, 0], finer - coarser, rtol=0, atol=1e-14)
    assert np.abs(finer - coarser).max() > 1e-9


def test_gradients_are_counted(perceptron, descent, counted):
    """`evaluations` is what the oracle was asked: one a step with the trapezoid, one for θ_0."""
    path = descent(perceptron, 10)
    oracle = counted(perceptron)
    core = allocator({"train": oracle}, perceptron.layout, Adaptive(rtol=1e-4, atol=0, audit=3))
    state = core.init(snapshot(path[0]))
    assert len(oracle.points) == 1
    for params in path[1:]:
        before = len(oracle.points)
        record, state = core.update(state, snapshot(params))
        assert record["train"]["evaluations"] == len(oracle.points) - before >= 1
    assert core.update(state, snapshot(path[0]))[1].index == 11


def test_a_still_step_is_free(counted):
    """A skipped optimizer step costs no gradient and allocates exact zeros."""
    problem = Polynomial({"x": np.ones(3), "b": np.array(2.0)}, 4)
    params = {"x": np.array([1.0, -2.0, 3.0]), "b": np.array(0.5)}
    oracle = counted(problem)
    core = allocator({"train": oracle}, problem.layout)
    state = core.init(snapshot(params))
    record, after = core.update(state, snapshot(params))
    row = record["train"]
    assert len(oracle.points) == 1
    assert row["evaluations"] == row["gap"] == row["buffers"] == 0
    assert row["allocation"].tolist() == row["error"].tolist() == [0.0, 0.0]
    assert row["helped"].tolist() == row["hurt"].tolist() == [0, 0]
    assert not row["unit_allocation"].any()
    assert row["status"] == Status.OK
    assert float(row["loss"]) == float(problem(params, {}).loss)
    assert not total_of(after, "train", "x").any()
    assert after.index == 1


@pytest.mark.parametrize(
    ("leaf", "displacement", "moved"),
    [
        ("x", [1.0, -1.0, 0.0], True),
        ("x", [0.0, 0.0, 5e-324], True),
        ("b", 5e-324, True),
        ("b", np.nan, True),
        ("x", [-0.0, 0.0, -0.0], False),
        ("empty", np.zeros((0, 2)), False),
    ],
    ids=["opposite", "tiny", "tiny scalar", "undefined", "negative zeros", "empty"],
)
def test_motion_does_not_cancel_or_underflow(leaf, displacement, moved, counted):
    """A step is still if and only if each displacement is zero, in leaves of any shape."""
    start = {"x": np.zeros(3), "b": np.array(0.0), "empty": np.zeros((0, 2))}
    problem = Polynomial({name: np.ones_like(value) for name, value in start.items()}, 1)
    oracle = counted(problem)
    core = allocator({"train": oracle}, problem.layout)
    state = core.init(snapshot(start))
    core.update(state, snapshot(start | {leaf: start[leaf] + displacement}))
    assert len(oracle.points) == (2 if moved else 1)


def test_one_moved_leaf_among_still_ones():
    """Only what moved is allocated to; the other leaf gets an exact zero."""
    problem = Polynomial({"x": np.ones(2), "b": np.array(2.0)}, 3)
    start = {"x": np.array([1.0, 2.0]), "b": np.array(0.5)}
    core = allocator({"train": problem}, problem.layout, Fixed(SIMPSON))
    end = start | {"b": np.array(1.5)}
    record, _ = core.update(core.init(snapshot(start)), snapshot(end))
    assert record["train"]["allocation"].tolist() == [0.0, pytest.approx(2 * (1.5**3 - 0.5**3))]


class Scaled:
    """L(x; b) = Σ b x²: a quadratic whose curvature is a buffer."""

    eps = EPS
    layout = Layout([Leaf("x", (2,), "float64", "x", 0)])

    def __call__(self, params, buffers):
        """Return loss and gradient."""
        x, b = params["x"], buffers["b"]
        return Evaluation(np.sum(b * x**2), {"x": 2 * b * x})


def test_moving_buffers_are_booked_apart():
    """ΔL = Σ allocation + buffers + gap; the buffers' part is their change at the old params."""
    core = allocator({"train": Scaled()}, Scaled.layout)
    x0, x1 = np.array([1.0, 2.0]), np.array([0.5, 1.0])
    b0, b1 = np.array([1.0, 1.0]), np.array([3.0, 0.5])
    state = core.init(Snapshot({"x": x0}, {"b": b0}))
    record, state = core.update(state, Snapshot({"x": x1}, {"b": b1}))
    row = record["train"]
    assert row["buffers"] == pytest.approx(np.sum((b1 - b0) * x0**2))
    assert row["unit_allocation"] == pytest.approx(b1 * (x1**2 - x0**2))
    assert row["gap"] == pytest.approx(0.0, abs=1e-14)
    assert float(row["loss"]) == np.sum(b1 * x1**2)
    assert row["evaluations"] == 2

    record, state = core.update(state, Snapshot({"x": x1}, {"b": b0}))
    row = record["train"]
    assert row["buffers"] == pytest.approx(np.sum((b0 - b1) * x1**2))
    assert row["allocation"].tolist() == [0.0]
    assert (row["gap"], row["evaluations"]) == (0.0, 1)
    assert float(row["loss"]) == np.sum(b0 * x1**2)

    record, _ = core.update(state, Snapshot({"x": x0}, {"b": b0}))
    assert record["train"]["buffers"] == 0.0
    assert record["train"]["evaluations"] == 1


def test_masks_of_infinities_stand_still(counted):
    """A buffer that holds ±inf or NaN and does not change costs nothing and books nothing."""

    class Masked(Scaled):
        def __call__(self, params, buffers):
            kept = np.exp(np.minimum(buffers["b"][:2], 0.0))
            return Evaluation(np.sum(kept * params["x"] ** 2), {"x": 2 * kept * params["x"]})

    oracle = counted(Masked())
    core = allocator({"train": oracle}, Scaled.layout)
    mask = {
        "b": np.array([0.0, -np.inf, np.inf]),
        "undefined": np.array([np.nan, 1.0]),
        "flags": np.array([True, False]),
        "empty": np.zeros((0, 2)),
    }
    state = core.init(Snapshot({"x": np.array([1.0, 2.0])}, mask))
    moved = Snapshot({"x": np.array([0.0, 2.5])}, {k: v.copy() for k, v in mask.items()})
    with np.errstate(invalid="ignore"):
        record, _ = core.update(state, moved)
    assert record["train"]["buffers"] == 0.0
    assert record["train"]["allocation"] == pytest.approx([-1.0])
    assert len(oracle.points) == 2


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("still", [False, True])
def test_buffers_that_become_undefined_are_noticed(bad, still):
    """A buffer that turns NaN or infinite has moved: the loss recorded is the one it makes."""
    core = allocator({"train": Scaled()}, Scaled.layout)
    x0, x1 = {"x": np.array([1.0, 2.0])}, {"x": np.array([0.5, 2.0])}
    state = core.init(Snapshot(x0, {"b": np.ones(2)}))
    after = Snapshot(x0 if still else x1, {"b": np.array([bad, 1.0])})
    with np.errstate(invalid="ignore"):
        record, state = core.update(state, after)
    assert record["train"]["status"] == Status.NONFINITE
    assert not math.isfinite(record["train"]["loss"])
    assert not total_of(state, "train", "x").any()
    with np.errstate(invalid="ignore"):
        record, state = core.update(state, Snapshot(after.params, {"b": np.ones(2)}))
    assert float(record["train"]["loss"]) == np.sum(after.params["x"] ** 2)
    # The way back begins where the loss is not known: it is lost as well.
    assert record["train"]["status"] == Status.NONFINITE
    assert not total_of(state, "train", "x").any()
    record, _ = core.update(state, Snapshot({"x": np.zeros(2)}, {"b": np.ones(2)}))
    assert record["train"]["status"] == Status.OK


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_the_booked_loss_goes_on_behind_buffers_that_were_undefined(bad):
    """What a step into them, and the one out of them, changed is left out, and nothing else."""
    x = np.array([1.0, 2.0])
    tracker = track({"train": Scaled()}, {"x": x}, Scaled.layout, buffers={"b": np.ones(2)})
    with np.errstate(invalid="ignore"):
        for b in (1.0, bad, 1.0, 1.0):
            x = 0.5 * x
            tracker.step({"x": x}, {"b": np.array([b, 1.0])})
    run = tracker.finish()
    kept, lost = run.loss("train")[:2], [np.nan, np.nan]
    change = run.loss("train")[4] - run.loss("train")[3]
    expected = [*kept, *lost, kept[-1] + change]
    np.testing.assert_allclose(booked_loss(run, "train"), expected, rtol=1e-12)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_bad_steps_are_marked_and_left_out(bad):
    """Steps into and out of a value that is not finite leave the totals; later ones count."""
    problem = Polynomial({"x": np.ones(2)}, 2)
    points = [[1.0, 1.0], [2.0, 1.0], [bad, 1.0], [3.0, 1.0], [3.0, 0.0]]
    core = allocator({"train": problem}, problem.layout)
    state = core.init(snapshot({"x": np.array(points[0])}))
    statuses, totals = [], []
    with np.errstate(invalid="ignore"):
        for x in points[1:]:
            record, state = core.update(state, snapshot({"x": np.array(x)}))
            statuses.append(record["train"]["status"])
            totals.append(total_of(state, "train", "x"))
    bad_status, ok = Status.NONFINITE, Status.OK
    assert statuses == [ok, bad_status, bad_status, ok]
    assert totals[0].tolist() == totals[1].tolist() == totals[2].tolist() == [3.0, 0.0]
    assert totals[3].tolist() == [3.0, -1.0]


def test_a_bad_measure_does_not_spoil_a_good_one():
    """Where one measure's loss is not finite, the other measures are allocated all the same."""

    class Bad(Polynomial):
        def __call__(self, params, buffers):
            return Evaluation(np.float64(np.nan), super().__call__(params, buffers).gradient)

    good = Polynomial({"x": np.ones(2)}, 2)
    core = allocator({"bad": Bad({"x": np.ones(2)}, 2), "good": good}, good.layout)
    state = core.init(snapshot({"x": np.array([1.0, 1.0])}))
    record, state = core.update(state, snapshot({"x": np.array([2.0, 1.0])}))
    assert record["bad"]["status"] == Status.NONFINITE
    assert record["good"]["status"] == Status.OK
    assert not total_of(state, "bad", "x").any()
    assert total_of(state, "good", "x").tolist() == [3.0, 0.0]


@pytest.mark.parametrize(
    ("params", "buffers", "message"),
    [
        ({"x": np.ones(3)}, {"b": np.ones(2)}, r"'x' must keep its shape \(2,\), got \(3,\)"),
        ({"y": np.ones(2)}, {"b": np.ones(2)}, r"missing \['x'\], new \['y'\]"),
        ({"x": np.ones(2)}, {}, r"buffers changed from \['b'\] to \[\]"),
        ({"x": np.ones(2)}, {"b": np.ones(2), "c": np.ones(1)}, r"to \['b', 'c'\]"),
    ],
)
def test_changed_leaves_are_refused_and_the_state_survives(params, buffers, message):
    """Parameters or buffers that changed their names or shapes are refused; the run can go on."""
    core = allocator({"train": Scaled()}, Scaled.layout)
    state = core.init(Snapshot({"x": np.ones(2)}, {"b": np.ones(2)}))
    with pytest.raises(LeafError, match=message):
        core.update(state, Snapshot(params, buffers))
    record, _ = core.update(state, Snapshot({"x": np.zeros(2)}, {"b": np.ones(2)}))
    assert record["train"]["allocation"] == pytest.approx([-2.0])


def test_initial_leaves_are_checked():
    """The first iterate must have the layout's leaves."""
    with pytest.raises(LeafError, match="missing"):
        allocator({"train": Scaled()}, Scaled.layout).init(Snapshot({"y": np.ones(2)}))


def test_updates_are_pure(perceptron, descent):
    """The same state and snapshot give the same record twice; nothing given is changed."""
    path = descent(perceptron, 2)
    core = allocator({"train": perceptron}, perceptron.layout, Adaptive(rtol=1e-6, atol=0))
    state = core.init(snapshot(path[0]))
    before = {name: leaf.copy() for name, leaf in path[1].items()}
    first, state_one = core.update(state, Snapshot(path[1]))
    second, state_two = core.update(state, Snapshot(path[1]))
    for name, value in first["train"].items():
        assert np.array_equal(value, second["train"][name], equal_nan=True)
    for name in perceptron.layout.names:
        assert np.array_equal(
            total_of(state_one, "train", name), total_of(state_two, "train", name)
        )
        assert not total_of(state, "train", name).any()
        assert np.array_equal(path[1][name], before[name])


def test_every_declared_array_is_delivered(perceptron, descent):
    """What a step delivers is what the allocator declares, with the declared dimensions."""
    path = descent(perceptron, 1)
    core = allocator({"train": perceptron}, perceptron.layout)
    record, _ = core.update(core.init(snapshot(path[0])), snapshot(path[1]))
    sizes = {"leaf": 4, "unit": perceptron.layout.units}
    declared = {array.name: tuple(sizes[dim] for dim in array.dims) for array in core.declare()}
    assert {name: np.shape(value) for name, value in record["train"].items()} == declared


def test_a_model_without_leaves_or_buffers():
    """Nothing to train is no error: the books of nothing close."""

    class Constant:
        eps = EPS

        def __call__(self, params, buffers):
            return Evaluation(np.float64(1.5), {})

    core = allocator({"train": Constant()}, Layout(()))
    record, state = core.update(core.init(Snapshot({})), Snapshot({}))
    assert record["train"]["allocation"].shape == (0,)
    assert (float(record["train"]["loss"]), record["train"]["gap"]) == (1.5, 0.0)
    assert state.index == 1


def test_relu_networks_close_too(descent):
    """With kinks along the way the books close within tolerance, or the status says otherwise."""
    rng = np.random.default_rng(0)
    problem = Perceptron(rng.standard_normal((30, 4)), rng.integers(3, size=30), (4, 16, 3))
    path = descent(problem, 25, rate=1.0)
    core = allocator({"train": problem}, problem.layout, Adaptive(rtol=1e-3, atol=1e-9))
    state = core.init(snapshot(path[0]))
    for params in path[1:]:
        before = float(state.evaluations["train"].loss)
        record, state = core.update(state, snapshot(params))
        row = record["train"]
        allowed = max(1e-3 * abs(float(row["loss"]) - before), 1e-9)
        assert (abs(row["gap"]) <= allowed) == (row["status"] == Status.OK)
