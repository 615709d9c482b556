"""What a finished run says, on rows written by hand."""

import numpy as np
import pytest
from scipy import stats

from lca_core import (
    Adaptive,
    ByUnit,
    Counts,
    Declared,
    Header,
    Layout,
    Leaf,
    Run,
    Status,
    Totals,
    UnitSums,
)
from lca_core.allocate import LEDGER
from lca_core.audits import falls_on
from lca_core.errors import LeafError, NotRecordedError
from lca_core.memory import MemorySink, empty_rows
from lca_core.reference import demo_run, track
from lca_core.typing import Checkpoint
from lca_core.uncertainty import of_independent

LAYOUT = Layout(
    [
        Leaf("fc1.weight", (2, 3), layer="fc1", unit_axis=0),
        Leaf("fc1.bias", (2,), layer="fc1", unit_axis=0),
        Leaf("scale", (), layer="fc2"),
    ]
)
OBSERVED = [array for obs in (Totals(), Counts(), UnitSums()) for array in obs.declare(LAYOUT)]
NAN = float("nan")


def made(measures=("train",), layout=LAYOUT, *, totals=None, initial=None, **rows):
    """Return a run of T = len(any row) steps whose other rows are zeros."""
    steps = len(next(iter(rows.values())))
    header = Header(
        layout=layout,
        measures=measures,
        declared=(*LEDGER, *OBSERVED),
        config={"observers": ["Totals"]},
        initial_loss=tuple(initial or [10.0] * len(measures)),
    )
    filled = {
        name: np.zeros((steps, *array.shape[1:]), array.dtype)
        for name, array in empty_rows(header).items()
    }
    filled["iteration"] = np.arange(1, steps + 1)
    for name, values in rows.items():
        filled[name] = np.asarray(values, filled[name].dtype)
        assert filled[name].shape[1:] == empty_rows(header)[name].shape[1:]
    return Run(header, filled, totals or {})


def test_each_measure_has_its_own_columns():
    """Losses start at the initial one; every row of the ledger is asked for by measure."""
    run = made(
        ("train", "val"),
        initial=[5.0, 7.0],
        loss=[[4.0, 6.5], [3.0, 6.0]],
        gap=[[0.1, 0.2], [0.3, 0.4]],
        buffers=[[1.0, 2.0], [3.0, 4.0]],
        noise=[[1e-9, 2e-9], [3e-9, 4e-9]],
        status=[[0, 1], [2, 3]],
        evaluations=[[1, 2], [3, 4]],
    )
    assert run.loss("train").tolist() == [5.0, 4.0, 3.0]
    assert run.loss("val").tolist() == [7.0, 6.5, 6.0]
    assert run.gap("val").tolist() == [0.2, 0.4]
    assert run.buffers("train").tolist() == [1.0, 3.0]
    assert run.noise("val").tolist() == [2e-9, 4e-9]
    assert [Status(s) for s in run.status("val")] == [Status.CAP, Status.NONFINITE]
    assert run.evaluations("train").tolist() == [1, 3]
    assert run.loss("train").dtype == run.gap("val").dtype == np.float64
    assert (run.steps, run.measures, run.config["observers"]) == (2, ("train", "val"), ["Totals"])
    assert repr(run) == "<Run: 2 steps, 9 parameters, loss train 5 -> 3, val 7 -> 6>"


def test_iterations_start_at_zero():
    """The iterates are numbered by calls of `step`, from 0."""
    run = made(iteration=[4, 8, 9])
    assert run.iteration.tolist() == [0, 4, 8, 9]
    assert run.iteration.dtype == np.int64


def test_allocations_are_grouped():
    """Leaves, layers and units of a step are sums of the same numbers, with their labels."""
    run = made(
        allocation=[[[-1.0, 0.5, 2.0]], [[1.0, 1.0, -4.0]]],
        unit_allocation=[[[-2.0, 1.0, 0.25, 0.25, 2.0]], [[0.5, 0.5, 1.0, 0.0, -4.0]]],
    )
    labels, values = run.allocation("train", by="leaf")
    assert labels == ("fc1.weight", "fc1.bias", "scale")
    assert values.tolist() == [[-1.0, 0.5, 2.0], [1.0, 1.0, -4.0]]
    labels, values = run.allocation("train")
    assert labels == ("fc1", "fc2")
    assert values.tolist() == [[-0.5, 2.0], [2.0, -4.0]]
    labels, values = run.allocation("train", by="unit")
    assert labels == ("fc1[0]", "fc1[1]", "scale")
    assert values.tolist() == [[-1.75, 1.25, 2.0], [1.5, 0.5, -4.0]]


@pytest.mark.parametrize("measure", ["train", "val"])
def test_units_sum_to_their_layers(measure, perceptron, descent):
    """On a tracked run the units of each layer sum to the layer, at every step and measure."""
    path = descent(perceptron, 8)
    oracles = {"train": perceptron, "val": perceptron}
    tracker = track(oracles, path[0], perceptron.layout)
    for params in path[1:]:
        tracker.step(params)
    run = tracker.finish()
    labels, units = run.allocation(measure, by="unit")
    for label, layer in zip(*run.allocation(measure, by="layer"), strict=False):
        del layer
        column = run.allocation(measure).labels.index(label)
        mine = [i for i, unit in enumerate(labels) if unit.startswith(f"{label}[")]
        total = run.allocation(measure).values[:, column]
        assert np.allclose(units[:, mine].sum(axis=1), total, rtol=1e-12, atol=1e-15)


def test_helping_counts():
    """Helped, hurt and unmoved add up to all parameters; the share leaves the unmoved out."""
    run = made(helped=[[[4, 1, 0]], [[0, 0, 0]]], hurt=[[[1, 1, 1]], [[0, 0, 1]]])
    leaf = run.helping("train", by="leaf")
    assert leaf.labels == ("fc1.weight", "fc1.bias", "scale")
    assert leaf.unmoved.tolist() == [[1, 0, 0], [6, 2, 0]]
    layer = run.helping("train")
    assert layer.labels == ("fc1", "fc2")
    assert layer.helped.tolist() == [[5, 0], [0, 0]]
    assert layer.hurt.tolist() == [[2, 1], [0, 1]]
    assert layer.unmoved.tolist() == [[1, 0], [8, 0]]
    assert np.array_equal(layer.share, [[5 / 7, 0.0], [NAN, 0.0]], equal_nan=True)


def test_helping_leaves_bad_steps_out():
    """A step that is not finite counts nobody, not even as unmoved."""
    run = made(
        helped=[[[1, 1, 1]], [[1, 1, 1]]],
        hurt=[[[0, 1, 0]], [[0, 1, 0]]],
        status=[[Status.NONFINITE], [Status.CAP]],
    )
    helping = run.helping("train", by="leaf")
    assert helping.helped.tolist() == [[0, 0, 0], [1, 1, 1]]
    assert helping.hurt.tolist() == [[0, 0, 0], [0, 1, 0]]
    assert helping.unmoved.tolist() == [[0, 0, 0], [5, 0, 0]]


def test_totals_join_both_parts():
    """A total is the float64 sum of the running array and its rounding, by name and shape."""
    one, two = np.float32([[1, 2, 3], [4, 5, 6]]), np.float32(1e-9)
    leaves = {"fc1.weight": one, "fc1.bias": np.zeros(2, np.float32), "scale": np.float32(7)}
    rounding = {name: np.full_like(leaf, two) for name, leaf in leaves.items()}
    run = made(gap=[[0.0]], totals={"train": {"total": leaves, "total_rounding": rounding}})
    totals = run.total("train")
    assert list(totals) == list(LAYOUT.names)
    assert totals["fc1.weight"].dtype == np.float64
    assert np.array_equal(totals["fc1.weight"], one.astype(float) + float(two))
    assert totals["scale"].shape == ()


def test_error_of_compared_steps():
    """Errors that were estimated at every step: |Σ e| + 1.96 √Σ e², by group."""
    error = np.array([[1.0, 2.0, -3.0], [-1.0, 2.0, -3.0], [0.5, 0.0, 1.0]])
    run = made(error=error[:, None, :])
    labels, half = run.error("train", by="leaf")
    assert labels == LAYOUT.names
    truth = np.abs(error.sum(axis=0)) + 1.96 * np.sqrt((error**2).sum(axis=0))
    assert half == pytest.approx(truth)
    layer = np.stack([error[:, 0] + error[:, 1], error[:, 2]], axis=1)
    truth = np.abs(layer.sum(axis=0)) + 1.96 * np.sqrt((layer**2).sum(axis=0))
    assert run.error("train").values == pytest.approx(truth)


@pytest.mark.parametrize("status", [Status.OK, Status.CAP])
def test_error_of_the_others_comes_from_the_audited(status):
    """Each audited step stands for those before the next, by scipy's t; what is open for itself."""
    error = np.full((10, 1, 3), NAN)
    error[0], error[1], error[4], error[7] = 1.0, 3.0, 100.0, 6.0
    audited, statuses = np.zeros((10, 1), bool), np.full((10, 1), Status.OK)
    audited[[0, 1, 7]], statuses[4] = True, status
    run = made(error=error, audited=audited, status=statuses, allocation=np.ones((10, 1, 3)))
    own, n = np.array([1.0, 3.0, 6.0]), np.array([0, 5, 2])  # steps 2 to 6, 8 and 9
    if status is Status.CAP:
        own, n = np.append(own, 100.0), np.array([0, 4, 2])
    seen = own.sum() + 1.96 * np.sqrt((own**2).sum())
    known = (n * [1, 3, 6]).sum()
    spread = np.array([2, 2, 3]) / np.sqrt(2) * np.sqrt(n * (n + 1))
    ratio = (spread**2).sum() ** 2 / (spread**4).sum()
    degrees = max(2 / 3 * (3 * ratio - 2), 1)
    half = stats.t.ppf(0.975, df=degrees) * np.sqrt((spread**2).sum())
    luck = 1.96 * np.sqrt(2) * 100  # steps 3 and 5 are beside the one that was refined by need
    expected = np.full(3, seen + known + half + luck)
    assert run.error("train", by="leaf").values == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("sample", [0, 1])
def test_error_is_unknown_without_a_sample(sample):
    """Fewer than two audited steps say nothing about the rest: the error is NaN, never zero."""
    error, audited = np.full((5, 1, 3), NAN), np.zeros((5, 1), bool)
    error[:sample], audited[:sample] = 1.0, True
    run = made(error=error, audited=audited, allocation=np.ones((5, 1, 3)))
    assert np.isnan(run.error("train").values).all()


def test_error_is_known_from_eight_steps_on():
    """Of the first eight steps two are audited, so that hardly a run is too short to have its ±."""
    for steps in (8, 9, 20, 50):
        assert np.isfinite(demo_run(steps).error("train").values).all()
    unaudited = made(error=np.full((2, 1, 3), NAN), allocation=np.ones((2, 1, 3)))
    assert np.isnan(unaudited.error("train", by="leaf").values).all()


def test_a_step_that_closed_by_luck():
    """A step that closes at first sight beside some that do not may be as wrong as these were."""
    error = np.full((40, 1, 3), NAN)
    error[[4, 6, 8]], audited = 1.0, np.zeros((40, 1), bool)
    audited[[0, 1, 2, 3, 10, 30]] = True
    error[audited[:, 0]], went = 0.0, {"audited": audited, "allocation": np.ones((40, 1, 3))}
    half = made(error=error, **went).error("train", by="leaf").values
    assert half == pytest.approx(np.full(3, 1.96 * np.sqrt(3)))  # steps 5, 7, 9; 3 is a lot
    error[[4, 6, 8]] = NAN
    assert not made(error=error, **went).error("train").values.any()


def test_lots_count_with_the_gap_that_their_coarser_rule_left():
    """Of planted steps: leaves are wrong by shares of the gap, lots find nine tenths of theirs."""
    rng, shares = np.random.default_rng(4), np.array([0.5, 0.2, 0.2])
    lots = np.array([falls_on(step, 16) for step in range(100)])
    first = rng.normal(1.0, 0.3, 100)  # what the first rule leaves open at every step
    first[~lots] -= first[~lots].mean() - 0.01
    run = made(
        error=np.where(lots[:, None], first[:, None] * shares, NAN)[:, None],
        gap=np.where(lots, 0.1, 1.0)[:, None] * first[:, None],
        audited=lots[:, None],
        allocation=np.ones((100, 1, 3)),
    )
    own, rest = first[lots][:, None] * shares, first[~lots][:, None] * shares
    others = np.abs(rest.sum(axis=0)) + of_independent(rest)
    expected = np.abs(own.sum(axis=0)) + of_independent(own) + others
    assert run.error("train", by="leaf").values == pytest.approx(expected, rel=1e-9)


def test_error_gives_lost_steps_no_say():
    """Errors of both infinities at a step that came to nothing neither warn nor count."""
    rng = np.random.default_rng(5)
    lots = np.array([falls_on(step, 16) for step in range(100)])
    error = np.where(lots[:, None], rng.normal(size=(100, 3)), NAN)[:, None]
    status = np.zeros((100, 1), np.int8)
    lost = np.flatnonzero(~lots)[7]
    status[lost] = Status.NONFINITE
    rows = {
        "gap": rng.normal(size=(100, 1)),
        "audited": lots[:, None],
        "status": status,
        "allocation": np.ones((100, 1, 3)),
    }
    without = made(error=error, **rows).error("train").values
    error[lost] = np.inf, -np.inf, 0.0
    found = made(error=error, **rows).error("train").values
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(found, without)


@pytest.mark.parametrize("audited", [[], [1], [1, 4]])
def test_error_does_not_learn_from_steps_that_stood_still(audited):
    """Steps on which nothing moved are exact, and say nothing of those that moved."""
    went = np.array([True, True, False, True, True, False, False, True])
    error, lots = np.full((8, 1, 3), NAN), np.zeros((8, 1), bool)
    allocation = np.where(went, -1.0, 0.0)[:, None, None] * np.ones(3)
    error[~went] = 0.0
    error[audited], lots[audited] = [0.1, 0.2, 0.3], True
    moved = made(error=error[went], audited=lots[went], allocation=allocation[went])
    found = made(error=error, audited=lots, allocation=allocation).error("train").values
    np.testing.assert_array_equal(found, moved.error("train").values)
    assert np.isnan(found).all() == (len(audited) < 2)


@pytest.mark.parametrize("compared", [False, True])
@pytest.mark.parametrize("window", [slice(0, 3), slice(57, 60), slice(10, 30)])
def test_a_layer_is_judged_by_the_steps_on_which_it_moved(window, compared):
    """A layer that is frozen but for some steps has the ± of these alone, NaN where none tells."""
    rng = np.random.default_rng(6)
    lots = np.array([falls_on(step, 16) for step in range(60)])
    assert lots[window].sum() == {3: 0, 20: 2}[window.stop - window.start]
    error = rng.normal(size=(60, 1, 3))
    refined = np.isin(np.arange(60), [1, 2, 25, 57, 58]) & compared
    error[~lots & ~refined] = NAN
    allocation, frozen = np.ones((60, 1, 3)), np.delete(np.arange(60), np.r_[window])
    allocation[frozen, :, 2] = 0.0
    error[frozen, :, 2] *= 0.0  # what was compared there says that nothing moved; NaN stays
    rows = {"error": error, "allocation": allocation, "gap": rng.normal(size=(60, 1))}
    run = made(audited=lots[:, None], **rows)
    labels, half = run.error("train")
    alone = made(audited=lots[window, None], **{name: one[window] for name, one in rows.items()})

    assert labels == ("fc1", "fc2")
    assert half[1] == run.error("train", steps=window).values[1] or np.isnan(half[1])
    np.testing.assert_array_equal(half[1], alone.error("train").values[1])
    assert np.isnan(half[1]) == (not compared and not lots[window].any())
    all_along = made(audited=lots[:, None], **{**rows, "allocation": np.ones((60, 1, 3))})
    assert half[0] == all_along.error("train").values[0]


def test_a_run_that_stood_still_is_known():
    """Where nothing moved at all, zero is sure."""
    assert made(error=np.zeros((3, 1, 3))).error("train").values.tolist() == [0.0, 0.0]


def test_error_leaves_bad_steps_out():
    """A step that is not finite is in no total, hence in no error."""
    error = np.array([[1.0, 1.0, 1.0], [NAN, NAN, NAN], [5.0, 5.0, 5.0]])[:, None, :]
    status = [[Status.OK], [Status.NONFINITE], [Status.NONFINITE]]
    run = made(error=error, status=status)
    assert run.error("train", by="leaf").values == pytest.approx(np.full(3, 2.96))


def test_error_of_a_run_that_diverged_far():
    """Squares of huge errors do not overflow; those of ordinary ones are the same, to the bit."""
    np.testing.assert_allclose(of_independent(np.array([[3e264], [4e264]])), [1.96 * 5e264])
    np.testing.assert_allclose(of_independent(np.array([[3e-264], [4e-264]])), [1.96 * 5e-264])
    errors = np.random.default_rng(0).normal(size=(50, 3)) * [1e-9, 1.0, 1e9]
    np.testing.assert_array_equal(of_independent(errors), 1.96 * np.sqrt((errors**2).sum(axis=0)))
    errors[3] = [np.nan, np.inf, 0.0]
    assert np.isfinite(of_independent(errors)).tolist() == [False, False, True]
    assert of_independent(np.zeros((0, 2))).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("bias", [0.0, 0.02])
def test_error_covers_synthetic_errors(bias):
    """With one step in 16 audited, the ± covers the true error of the sum in 90 % of runs."""
    rng = np.random.default_rng(0)
    steps, repeats, covered = 320, 400, 0
    went = np.ones((steps, 1, 3))
    for _ in range(repeats):
        true = bias + 0.1 * rng.standard_normal((steps, 3))
        audited = np.zeros((steps, 1), bool)
        audited[np.arange(0, steps, 16) + rng.integers(16, size=steps // 16)] = True
        # The finer rule is taken to be exact; the audited steps keep the finer value.
        error = np.where(audited[:, :, None], true[:, None, :], NAN)
        run = made(error=error, audited=audited, allocation=went)
        half = run.error("train", by="leaf").values
        covered += np.abs(true[~audited[:, 0]].sum(axis=0)) <= half
    assert np.all(covered / repeats > 0.9)


def test_error_covers_with_two_audited_steps():
    """Two audited steps of 400 are few, and the ± knows: 95 % of a biased rule's runs lie within.

    With 1.96 in the place of Student's 12.7, it would be 85 %.
    """
    rng = np.random.default_rng(1)
    audited = np.zeros((400, 1), bool)
    audited[[100, 300]] = True
    covered, repeats, went = 0, 400, np.ones((400, 1, 3))
    for _ in range(repeats):
        true = 1.0 + 0.5 * rng.standard_normal((400, 3))
        error = np.where(audited[:, :, None], true[:, None, :], NAN)
        run = made(error=error, audited=audited, allocation=went)
        half = run.error("train", by="leaf").values
        covered += (np.abs(true.sum(axis=0)) <= half).sum()
    assert covered / (3 * repeats) > 0.95


def test_error_covers_a_real_run(perceptron, descent):
    """On a tracked run the ± of every layer holds against the same run at high precision."""
    path = descent(perceptron, 64, rate=1.5)
    runs = []
    for integrator in (Adaptive(audit=4), Adaptive(1e-9, 0, 1024, certify=True)):
        tracker = track({"train": perceptron}, path[0], perceptron.layout, integrator=integrator)
        for params in path[1:]:
            tracker.step(params)
        runs.append(tracker.finish())
    rough, exact = (run.allocation("train").values.sum(axis=0) for run in runs)
    half = runs[0].error("train").values
    assert np.all(np.abs(rough - exact) <= half)
    assert np.all(half < 0.5 * np.abs(exact))


@pytest.mark.parametrize(
    "call",
    [
        "loss",
        "gap",
        "buffers",
        "noise",
        "status",
        "evaluations",
        "allocation",
        "helping",
        "total",
        "error",
    ],
)
def test_unknown_measures_are_named(call):
    """Asking for a measure that was not tracked names it and those that were."""
    run = made(("train", "val/a"), gap=[[0.0, 0.0]])
    with pytest.raises(NotRecordedError, match=r"\['train', 'val/a'\], not 'test'"):
        getattr(run, call)("test")


def test_unknown_groups_are_named():
    """Asking for a grouping that does not exist names those that do."""
    run = made(gap=[[0.0]])
    for call in (run.allocation, run.helping, run.error):
        with pytest.raises(LeafError, match="a regular expression or ByUnit, got 'neuron'"):
            call("train", by="neuron")
    for call in (run.helping, run.error):
        with pytest.raises(NotRecordedError, match=r"'leaf' (or|and) 'layer'"):
            call("train", by="unit")


@pytest.mark.parametrize(
    ("observers", "call", "missing"),
    [
        ((Totals(), Counts()), lambda run: run.allocation("train", by="unit"), "UnitSums()"),
        ((Totals(),), lambda run: run.helping("train"), "Counts()"),
        ((Counts(),), lambda run: run.total("train"), "Totals()"),
        ((), lambda run: run.total("train"), "Totals()"),
    ],
)
def test_missing_observers_are_named(observers, call, missing, perceptron, descent):
    """What was not recorded is refused, naming the observer that would have recorded it."""
    path = descent(perceptron, 1)
    tracker = track({"train": perceptron}, path[0], perceptron.layout, observers=observers)
    tracker.step(path[1])
    with pytest.raises(NotRecordedError) as caught:
        call(tracker.finish())
    assert missing in str(caught.value)


def test_memory_is_joined_in_order():
    """Chunks kept in memory come back as one array each, in the order they came."""
    header = Header(LAYOUT, ("train",), (Declared("loss", (), "float64"),), {}, (3.0,))
    sink = MemorySink(header)
    for rows in ([1, 2], [3]):
        losses = np.array(rows, float)[:, None]
        sink.append({"iteration": np.array(rows), "loss": losses})
    sink.checkpoint(Checkpoint(3, 3, {}, {"train": {}}))
    run = sink.run()
    assert run.loss("train").tolist() == [3.0, 1.0, 2.0, 3.0]
    assert run.iteration.tolist() == [0, 1, 2, 3]


def test_units_are_grouped_as_one_likes():
    """`ByUnit` takes the sums of units; what is counted by leaf says that it knows no units."""
    run = demo_run()
    halves = ByUnit(lambda leaf, i: f"{leaf.layer}.{'low' if i < leaf.units // 2 else 'high'}")
    labels, values = run.allocation("train", by=halves)
    units = run.allocation("train", by="unit")
    assert labels == ("fc1.low", "fc1.high", "fc2.low", "fc2.high")
    first = [i for i, label in enumerate(units.labels) if label in {f"fc1[{k}]" for k in range(4)}]
    np.testing.assert_allclose(values[:, 0], units.values[:, first].sum(1))
    with pytest.raises(NotRecordedError, match="not recorded"):
        run.helping("train", by=halves)
