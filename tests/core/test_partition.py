"""A partition: every group a measure, and the whole their weighted sum, at no further gradient."""

import numpy as np
import pytest
from attrs import define, evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lca_core import (
    SIMPSON,
    Adaptive,
    Counts,
    Fixed,
    Oscillation,
    Partition,
    Sizes,
    Status,
    Tallies,
    Tolerance,
    Totals,
    UnitSums,
    load,
)
from lca_core.errors import DataError, NotRecordedError, RuleError
from lca_core.partition import check_length, check_mode, expanded, shares
from lca_core.reference import Perceptron, demo_run, track
from lca_core.summary import books

OBSERVERS = [Totals(), Counts(), UnitSums(), Tallies(), Oscillation(), Sizes()]
RNG = np.random.default_rng(7)
X, Y = RNG.standard_normal((40, 3)), RNG.integers(4, size=40)
SIZES = (3, 5, 4)


@define
class Counted:
    """An oracle that counts its calls."""

    oracle: Perceptron
    calls: int = 0

    @property
    def eps(self):
        return self.oracle.eps

    def __call__(self, params, buffers):
        self.calls += 1
        return self.oracle(params, buffers)


def problem(x=X, y=Y):
    """Return a small network's loss over examples."""
    return Perceptron(x, y, SIZES, "tanh")


def pick(data, places, examples):
    """Return the same loss over some of the examples."""
    check_length(len(data.labels), examples)
    return problem(data.inputs[places], data.labels[places])


def partitioned(by, data=None):
    """Return counted oracles, and whole -> shares."""
    oracles, parts = expanded({"train": Partition(data or problem(), by)}, pick)
    weights = shares(parts, lambda part: len(oracles[part].labels))
    return {name: Counted(oracle) for name, oracle in oracles.items()}, weights


def path(steps, scale=0.3, seed=0):
    """Return a random walk through the parameters."""
    rng = np.random.default_rng(seed)
    points = [problem().initial(0)]
    for _ in range(steps):
        points.append({k: v + scale * rng.standard_normal(v.shape) for k, v in points[-1].items()})
    return points


def walked(oracles, points, wholes=None, **options):
    """Return the run along a path."""
    layout = problem().layout
    with track(oracles, points[0], layout, wholes=wholes, **options) as tracker:
        for point in points[1:]:
            tracker.step(point)
    return tracker.run


@settings(deadline=None, max_examples=25)
@given(hnp.arrays(np.int64, 40, elements=st.integers(0, 6)))
def test_whatever_the_groups_the_whole_is_what_it_would_be_undivided(groups):
    """Loss, gap, allocations, counts, signs and sizes are those of all examples at once."""
    oracles, wholes = partitioned(groups)
    fixed = {"integrator": Fixed(SIMPSON), "observers": OBSERVERS}
    split = walked(oracles, path(4), wholes, **fixed)
    undivided = walked({"train": problem()}, path(4), **fixed)

    assert split.parts("train") == pytest.approx(
        {f"train/class={g}": np.mean(groups == g) for g in np.unique(groups)}
    )
    for name in undivided.rows:
        if name not in ("iteration", "status", "noise"):  # noise is that of the worst part
            np.testing.assert_allclose(
                split.rows[name][:, 0], undivided.rows[name][:, 0], rtol=1e-9, atol=1e-13
            )
    for name, of_leaf in undivided.totals["train"].items():
        for leaf, values in of_leaf.items():
            np.testing.assert_allclose(
                split.totals["train"][name][leaf], values, rtol=1e-9, atol=1e-13
            )


def test_the_whole_costs_no_gradient():
    """Every group evaluates its own examples once a step, and nothing evaluates all."""
    oracles, wholes = partitioned(Y)
    run = walked(oracles, path(3), wholes, integrator=Adaptive(atol=1e9, audit=None))
    assert set(oracles) == {f"train/class={c}" for c in range(4)}
    assert [one.calls for one in oracles.values()] == [1 + 3] * 4
    np.testing.assert_allclose(run.evaluations("train"), 1.0)


def test_the_gradients_of_a_whole_are_no_whole_number():
    """Parts that are refined by need count by their share; one more was spent on the start."""
    oracles, wholes = partitioned(Y)
    run = walked(oracles, path(3, 2.0), wholes, integrator=Adaptive(rtol=0.1, atol=0, audit=None))
    counted = sum(share * oracles[part].calls for part, share in wholes["train"].items())
    assert counted % 1 > 0.01
    assert books(run, "train").gradients == pytest.approx(counted / 3)


def test_allocations_of_parameters_are_the_weighted_sum():
    """Leaf by leaf and parameter by parameter, also where parts were refined differently."""
    oracles, wholes = partitioned(Y)
    run = walked(oracles, path(5), wholes, integrator=Adaptive(rtol=1e-3, atol=1e-6, audit=2))
    parts = run.parts("train")
    refined = np.array([run.evaluations(part) for part in parts])
    assert np.ptp(refined, axis=0).any()
    for name, total in run.total("train").items():
        expected = sum(share * run.total(part)[name] for part, share in parts.items())
        np.testing.assert_allclose(total, expected, rtol=1e-10, atol=1e-14)
    for read in (run.loss, run.gap, run.evaluations, lambda m: run.allocation(m).values):
        expected = sum(share * read(part) for part, share in parts.items())
        np.testing.assert_allclose(read("train"), expected, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("rtol", [1e-1, 1e-3])
def test_the_whole_closes_when_its_parts_do(seed, rtol):
    """OK means |gap| <= max(rtol·|ΔL|, atol, noise) of the whole, even where classes cancel."""
    oracles, wholes = partitioned(Y)
    points = path(12, scale=0.15, seed=seed)
    run = walked(oracles, points, wholes, integrator=Adaptive(rtol=rtol, atol=1e-12, audit=None))
    change, gap = np.diff(run.loss("train")), run.gap("train")
    parts = np.array([np.diff(run.loss(part)) for part in run.parts("train")])
    assert (np.abs(change) < np.abs(parts).max(axis=0) / 3).any(), "no step on which they cancel"
    ok = run.status("train") == Status.OK
    assert ok.all()
    tolerance = Tolerance(rtol, 1e-12)
    allowed = [tolerance.allowed(c, n) for c, n in zip(change, run.noise("train"), strict=True)]
    assert (np.abs(gap) <= allowed).all()


def test_the_whole_is_judged_by_its_own_gap():
    """Where a group runs out of points the whole may have closed; OK or CAP is what its gap is."""
    oracles, wholes = partitioned(Y)
    tight = Adaptive(rtol=0.0, atol=3e-4, max_panels=1, audit=None)
    run = walked(oracles, path(25, scale=0.1), wholes, integrator=tight)
    parts = np.array([run.status(part) for part in run.parts("train")])
    closed = np.abs(run.gap("train")) <= np.maximum(3e-4, run.noise("train"))
    assert ((parts.max(axis=0) == Status.CAP) & closed).any()
    assert not closed.all()
    np.testing.assert_array_equal(run.status("train"), np.where(closed, Status.OK, Status.CAP))


def test_errors_and_audits_of_the_whole():
    """An audited step is one on which parts were refined by lot; errors add up with signs."""
    oracles, wholes = partitioned(Y)
    run = walked(oracles, path(8, 0.05), wholes, integrator=Adaptive(atol=1e9, audit=2))
    audited = run.rows["audited"][:, 0]
    assert audited.sum() == 4
    error, parts = run.rows["error"], list(run.parts("train").values())
    assert np.isnan(error[~audited]).all()
    expected = np.tensordot(error[audited][:, 1:], parts, (1, 0))
    np.testing.assert_allclose(error[audited][:, 0], expected, rtol=1e-12)


def test_parts_that_were_refined_by_need_are_in_the_lot():
    """The lot falls on all parts at once: with the hard steps left out it would be too easy."""
    oracles, wholes = partitioned(Y)
    refining = Adaptive(rtol=0.0, atol=0.005, audit=2)
    run = walked(oracles, path(40, 0.2), wholes, integrator=refining)
    parts = run.parts("train")
    audited = np.array([run.audited(part) for part in parts])
    np.testing.assert_array_equal(run.audited("train"), audited.all(axis=0))
    np.testing.assert_array_equal(run.audited("train"), audited.any(axis=0))
    lots = run.audited("train")
    refined = np.array([run.evaluations(part)[lots] > 2 for part in parts])
    assert 0 < refined.all(axis=0).sum() < refined.any(axis=0).sum() < lots.sum()


def test_a_step_on_which_nothing_moved():
    """Exact zeros, without a gradient, for the parts and the whole."""
    oracles, wholes = partitioned(Y)
    start = problem().initial(0)
    run = walked(oracles, [start, start, start], wholes)
    assert [one.calls for one in oracles.values()] == [1] * 4
    for measure in run.measures:
        assert not run.allocation(measure).values.any()
        assert run.status(measure).tolist() == [Status.OK, Status.OK]


def test_a_step_that_is_not_finite_spares_the_totals():
    """A whole with a part that is not a number keeps its totals, and says nonfinite."""
    oracles, wholes = partitioned(Y)
    points = path(2)
    broken = {k: np.full_like(v, np.nan) for k, v in points[1].items()}
    run = walked(oracles, [*points[:2], broken, points[1], points[2]], wholes)
    plain = walked({"train": problem()}, [*points[:2], broken, points[1], points[2]])
    np.testing.assert_array_equal(run.status("train"), plain.status("train"))
    assert (run.status("train") == Status.NONFINITE).sum() == 2
    assert all(np.isfinite(total).all() for total in run.total("train").values())


def test_a_compiled_step_knows_wholes():
    """`trace` gives what `update` gives, for parts and the whole."""
    oracles, wholes = partitioned(Y)
    points = path(3)
    fixed = {"integrator": Fixed(SIMPSON), "observers": OBSERVERS}
    run = walked(oracles, points, wholes, **fixed)
    tracker = track(oracles, points[0], problem().layout, wholes=wholes, **fixed)
    allocator, state = tracker._allocator, tracker._state
    for t, point in enumerate(points[1:]):
        record, state = allocator.trace(state, evolve(state.snapshot, params=point))
        assert tuple(record) == run.measures
        for measure in run.measures:
            np.testing.assert_allclose(record[measure]["loss"], run.loss(measure)[t + 1])
            np.testing.assert_allclose(
                record[measure]["allocation"], run.allocation(measure, by="leaf").values[t]
            )
            np.testing.assert_allclose(record[measure]["gap"], run.gap(measure)[t], atol=1e-15)


def test_measures_beside_and_order(tmp_path):
    """A whole comes before its parts, in memory and in the file, and other measures stay."""
    oracles, wholes = partitioned(Y)
    val = problem(X[:10], Y[:10])
    run = walked({**oracles, "val": val}, path(2), wholes, path=tmp_path / "run.zarr")
    assert run.measures == ("train", *(f"train/class={c}" for c in range(4)), "val")
    again = load(tmp_path / "run.zarr")
    assert again.measures == run.measures
    assert again.parts("train") == run.parts("train")
    assert again.parts("val") == {}
    with pytest.raises(NotRecordedError, match="'test'"):
        run.parts("test")


def test_resume(tmp_path):
    """A run that was stopped and resumed is the run that was not."""
    points = path(6)
    oracles, wholes = partitioned(Y)
    whole = walked(oracles, points, wholes)
    walked(oracles, points[:4], wholes, path=tmp_path / "run.zarr", chunk=2)
    again = walked(oracles, points[3:], wholes, path=tmp_path / "run.zarr", chunk=2, resume=True)
    for name, rows in whole.rows.items():
        np.testing.assert_array_equal(again.rows[name], rows)
    for measure in whole.measures:
        for name, total in whole.total(measure).items():
            np.testing.assert_array_equal(again.total(measure)[name], total)


def test_labels_of_any_kind():
    """Numbers, words, lists, arrays and functions of the data name groups, in order."""

    class Tensor:
        def numpy(self):
            return np.array([2, 10, 2])

    for by in ([2, 10, 2], np.array([2, 10, 2]), lambda data: data[1], Tensor()):
        places = Partition((X[:3], [2, 10, 2]), by).places()
        assert list(places) == ["class=2", "class=10"]
        assert places["class=2"].tolist() == [0, 2]
    assert list(Partition(X, ["b", "a", "b"], "domain").places()) == ["domain=a", "domain=b"]


@pytest.mark.parametrize(
    ("by", "message"),
    [
        ([], "at least one example, got no labels"),
        (np.eye(3), r"a number or a word, got \[1.0, 0.0, 0.0\] for example 0"),
        ([1.0, float("nan"), 2.0], "a number or a word, got nan for example 1"),
        ([1, None], "got None for example 1"),
    ],
)
def test_labels_that_are_none(by, message):
    """Labels that name no group are an error that says which."""
    with pytest.raises(DataError, match=message):
        Partition(X, by).places()


def test_too_few_labels():
    """Every example needs a label."""
    with pytest.raises(DataError, match="40 examples, 39 labels"):
        partitioned(Y[:-1])


def test_no_measure_has_the_name_of_a_part():
    """Neither of the two is dropped in silence, whichever comes first."""
    split, other = Partition(np.zeros((2, 1)), by=[0, 1]), np.ones((2, 1))
    for data in (
        {"train": split, "train/class=0": other},
        {"train/class=0": other, "train": split},
    ):
        with pytest.raises(DataError, match="train/class=0"):
            expanded(data, lambda values, places, _: values[places])


def test_labels_that_would_share_a_name_are_refused():
    """A number and the word that is written like it are two labels: no example is dropped."""
    mixed = Partition(np.zeros((3, 1)), by=np.array([1, "1", 1], dtype=object))
    with pytest.raises(DataError, match="labels 1 and '1' would name two groups class=1"):
        mixed.places()


def test_a_part_without_weight():
    """Examples that all weigh nothing have no mean."""
    with pytest.raises(DataError, match=r"'train/class=1' weigh 0\.0 together"):
        shares(
            {"train": ("train/class=0", "train/class=1")},
            lambda part: 0.0 if part.endswith("1") else 2.0,
        )


def test_statistics_of_a_chunk():
    """Groups apart have other batch statistics than the mixture, so that mode is refused."""
    check_mode({"train": ()}, "eval")
    check_mode({}, "batch-stats")
    with pytest.raises(RuleError, match="needs mode='eval', got 'batch-stats'"):
        check_mode({"train": ()}, "batch-stats")


def test_the_demo_run_is_by_class():
    """The example of the docs holds three classes that add up."""
    run = demo_run(by_class=True)
    series = [share * run.allocation(part).values for part, share in run.parts("train").items()]
    np.testing.assert_allclose(sum(series), run.allocation("train").values, atol=1e-12)
