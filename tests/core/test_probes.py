"""Samples in the place of the full data: fixed ones, and fresh ones at every step."""

import json

import numpy as np
import pytest
from attrs import define, field
from scipy import stats

from core.sampled import EPS, POINTS, N, X, Y, path, problem, redrawn, walked
from lca_core import (
    GAUSS_2,
    MIDPOINT,
    SIMPSON,
    TRAPEZOID,
    Adaptive,
    Counts,
    Evaluation,
    FixedProbe,
    Partition,
    Redrawn,
    Status,
    Totals,
    UnitSums,
    composite,
    load,
)
from lca_core.draws import Drawn
from lca_core.errors import (
    DataError,
    NotRecordedError,
    ResumeError,
    RuleError,
    RunFileError,
    UnsupportedError,
)
from lca_core.figures import loss_and_allocation
from lca_core.integrate import Fixed
from lca_core.probes import Lots, drawn_once, lots, refuse_redrawn, told
from lca_core.redraws import Apart
from lca_core.reference import NumpyOps, Perceptron, track
from lca_core.story import story
from lca_core.summary import books, closure, layer_lines
from lca_core.tolerance import Tolerance


@pytest.fixture(scope="module")
def run():
    """A run of one redrawn measure and one that is exact."""
    oracles = {"train": redrawn(), "val": problem(slice(0, 60))}
    return walked(oracles, observers=[Totals(), Counts()])


# What is drawn


@pytest.mark.parametrize("by", [None, Y])
def test_every_example_is_as_likely_as_any_other(by):
    """Over many draws, all come up n/N of the time, whatever the strata: the mean is unbiased."""
    drawing, draws = lots(Redrawn((X, Y), 50, by=by), N), 4000
    counts = sum(np.bincount(drawing.at(t).ravel(), minlength=N) for t in range(draws))
    share = 50 / N
    z = (counts - draws * share) / np.sqrt(draws * share * (1 - share))
    assert np.abs(z).max() < 4.8  # 240 normal numbers: once in 2,500 seeds by chance


@pytest.mark.parametrize("by", [None, Y])
def test_a_draw_is_without_replacement_and_in_equal_subsamples(by):
    """No example twice within a step; all of the data where n = N."""
    for n in (10, 50, N):
        places = lots(Redrawn((X, Y), n, by=by), N).at(3)
        assert places.shape == (2, n // 2)
        assert np.unique(places).size == n


def test_a_draw_depends_on_seed_and_step_alone():
    """The same step draws the same, in any order of asking; other steps and seeds draw others."""
    drawing, other = lots(Redrawn((X, Y), 20), N), lots(Redrawn((X, Y), 20, seed=1), N)
    later, again = drawing.at(7), lots(Redrawn((X, Y), 20), N).at(7)
    np.testing.assert_array_equal(later, again)
    draws = [drawing.at(6), later, other.at(7), drawing.once()[None]]
    assert len({tuple(np.sort(one, axis=None)) for one in draws}) == 4


def test_drawing_leaves_the_global_stream_alone():
    """The global random stream is as it was."""
    before = np.random.get_state()[1].copy()
    lots(Redrawn((X, Y), 20), N).at(0)
    np.testing.assert_array_equal(before, np.random.get_state()[1])


def test_strata_come_in_proportion():
    """Every label has its share of the sample, and of every subsample, to within one example."""
    labels = np.repeat([0, 1, 2], [120, 80, 40])
    drawing = lots(Redrawn(labels, 60, by=labels), N)
    for step in range(20):
        drawn = labels[drawing.at(step)]
        assert np.bincount(drawn.ravel(), minlength=3).tolist() == [30, 20, 10]
        for subsample in drawn:
            assert np.abs(np.bincount(subsample, minlength=3) - [15, 10, 5]).max() <= 1


def test_a_small_stratum_comes_as_often_as_it_should_and_anywhere():
    """Half an example a draw is one in every second draw, in no preferred subsample."""
    labels, draws = np.repeat([0, 1], [12, 228]), 1000
    drawing = lots(Redrawn(labels, 10, by=labels), N)
    counts = sum((labels[drawing.at(t)] == 0).sum(axis=1) for t in range(draws))
    expected = draws * 10 * 12 / N / 2
    assert np.abs(counts - expected).max() < 4.5 * np.sqrt(expected)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: Redrawn(X, 0), RuleError, "n must be a whole number from 2 up, got 0"),
        (lambda: Redrawn(X, 7, subsamples=2), RuleError, "n = 7 and subsamples = 2"),
        (lambda: Redrawn(X, 4, subsamples=3), RuleError, "a multiple of subsamples"),
        (lambda: Redrawn(X, 4, subsamples=1), RuleError, "subsamples must be"),
        (lambda: Redrawn(X, 4, seed=-1), RuleError, "seed must be"),
        (lambda: Redrawn(X, 4, every=0), RuleError, "every must be a whole number from 1 up"),
        (lambda: FixedProbe(X, 0), RuleError, "n must be"),
        (lambda: Redrawn(X, 10.0), RuleError, r"n must be .* got 10\.0\. Pass one, as in n=2"),
        (lambda: Redrawn(X, 10, every=2.5), RuleError, r"every must be .* got 2\.5"),
        (
            lambda: Redrawn(X, 10, rule="simpson"),
            RuleError,
            r"rule must be .*got 'simpson'.*SIMPSON",
        ),
        (lambda: Redrawn(X, 10, rule=3), RuleError, "rule must be a Rule, got 3"),
        (lambda: Fixed("simpson"), RuleError, "rule must be a Rule, got 'simpson'"),
        (lambda: lots(Redrawn(X, 10, by=True), N), DataError, "by must be the labels .*got True"),
        (lambda: Redrawn(Partition(X, Y), 10), DataError, "of a Redrawn .*got a Partition.*by="),
        (lambda: FixedProbe(Redrawn(X, 10), 10), DataError, "of a FixedProbe .*got a Redrawn"),
        (lambda: Partition(FixedProbe(X, 10), Y), DataError, "of a Partition .*got a FixedProbe"),
        (lambda: FixedProbe(X, 10, seed=None), RuleError, "seed must be .* got None"),
        (
            lambda: FixedProbe(X, 10, seed=2**64),
            RuleError,
            "from 0 up and below 18446744073709551616",
        ),
        (lambda: lots(Redrawn(X, 500), N), DataError, "500 examples was asked for.*hold 240"),
        (lambda: lots(FixedProbe(X, 241), N), DataError, "241 examples was asked for"),
        (lambda: lots(Redrawn(X, 50, by=Y[:9]), N), DataError, "240 examples, 9 labels"),
    ],
)
def test_what_cannot_be_drawn_is_refused(make, error, words):
    """The error names the number and what it must be."""
    with pytest.raises(error, match=words):
        make()


# A redrawn measure


@define
class Watching:
    """A loss that notes where it was evaluated."""

    loss: Perceptron
    seen: list = field(factory=list)
    eps: float = EPS

    def __call__(self, params, buffers):
        self.seen.append(params)
        return self.loss(params, buffers)


def test_a_step_is_looked_at_in_its_middle_once_by_examples_of_its_own():
    """One draw a step, one gradient over each of its subsamples; nothing is shared."""
    looks, draws = [], []

    def noted(places):
        draws.extend(places)
        looks.extend(Watching(problem(row)) for row in places)
        return Apart(looks[-2:])

    run = walked({"train": redrawn(pick=noted)})
    of_steps = np.reshape(looks[2:], (-1, 2))  # the first two are asked for the loss at θ_0
    assert len(of_steps) == len(POINTS) - 1
    for pair, start, end in zip(of_steps, POINTS, POINTS[1:], strict=False):
        for one in pair:
            (seen,) = one.seen
            middle = (start["fc1.weight"] + end["fc1.weight"]) / 2
            np.testing.assert_allclose(seen["fc1.weight"], middle, rtol=1e-12, atol=1e-15)
    assert len({tuple(np.sort(places)) for places in draws[2:]}) == 2 * len(of_steps)
    np.testing.assert_array_equal(run.evaluations("train"), 1.0)


@pytest.mark.parametrize("rule", [MIDPOINT, TRAPEZOID, SIMPSON])
def test_a_step_is_what_the_full_mode_finds_on_its_sample(rule):
    """Allocation, error and counts of a step are those of its examples, tracked alone by a rule."""
    observers = [Totals(), Counts(), UnitSums()]
    run = walked({"train": redrawn(rule=rule)}, observers=observers)
    for t in (0, 5):
        sample = problem(redrawn().drawing.at(t).ravel())
        options = {"observers": observers, "integrator": Fixed(rule)}
        alone = walked({"train": sample}, POINTS[t : t + 2], **options)
        for name in ("allocation", "error", "helped", "unit_allocation"):
            np.testing.assert_allclose(
                run.rows[name][t], alone.rows[name][0], rtol=1e-9, atol=1e-13, err_msg=name
            )
    middle = {k: (w + POINTS[6][k]) / 2 for k, w in POINTS[5].items()}
    if rule is MIDPOINT:
        assert run.loss("train")[6] == pytest.approx(float(sample(middle, {}).loss), rel=1e-12)
    assert run.rows["subsample_allocation"].shape == (12, 1, 4, 2)


@pytest.mark.parametrize("by", ["leaf", "layer", "unit"])
def test_the_spread_is_that_of_the_subsamples(by):
    """Every subsample's sums are kept; their spread is the standard error of any group."""
    observers = [UnitSums()]
    measure = redrawn(subsamples=5)
    run = walked({"train": measure}, POINTS[:3], observers=observers)
    ones = [
        walked(
            {"train": problem(row)}, POINTS[1:3], integrator=Fixed(MIDPOINT), observers=observers
        )
        for row in measure.drawing.at(1)
    ]
    groups = np.array([one.allocation("train", by).values[0] for one in ones])
    expected = groups.std(axis=0, ddof=1) / np.sqrt(5) * np.sqrt(1 - 40 / N)
    np.testing.assert_allclose(run.standard_error("train", by).values[1], expected, rtol=1e-9)
    np.testing.assert_allclose(groups.mean(axis=0), run.allocation("train", by).values[1])


def test_all_of_the_data_leave_no_sampling_error():
    """A sample of all is the exact measure, with a standard error of zero."""
    run = walked({"train": redrawn(N)})
    exact = walked({"train": problem()}, integrator=Fixed(MIDPOINT))
    np.testing.assert_allclose(
        run.allocation("train").values, exact.allocation("train").values, atol=1e-12
    )
    assert run.loss("train")[0] == pytest.approx(exact.loss("train")[0], rel=1e-12)
    assert (run.standard_error("train").values == 0).all()


def test_measures_that_are_not_redrawn_are_as_they_were(run):
    """Beside a redrawn measure, an exact one keeps its numbers and has no sampling error."""
    alone = walked({"val": problem(slice(0, 60))}, observers=[Totals(), Counts()])
    for name, values in alone.rows.items():
        if name != "iteration":
            np.testing.assert_array_equal(run.rows[name][:, 1], values[:, 0])
    assert np.isnan(run.rows["subsample_allocation"][:, 1]).all()
    assert (run.standard_error("val").values == 0).all()
    assert "subsample_allocation" not in alone.rows
    assert "probes" not in alone.config
    assert run.probe("val") is None
    assert run.probe("train").examples == 40
    assert run.probe("train").of == N


def coverage(by, repetitions, **options):
    """Return errors in standard errors, and whether `Run.error` covers; (repetitions, groups)."""
    exact = walked({"train": problem()}, observers=[], integrator=Fixed(SIMPSON))
    truth = {by_: exact.allocation("train", by_).values.sum(axis=0) for by_ in ("leaf", "layer")}
    z, within = [], []
    for seed in range(repetitions):
        measure = redrawn(30, seed=seed, by=by, **options)
        found = walked({"train": measure}, observers=[])
        off = [found.allocation("train", b).values.sum(axis=0) - truth[b] for b in truth]
        errors = [np.sqrt((found.standard_error("train", b).values ** 2).sum(0)) for b in truth]
        z.append(np.concatenate(off) / np.concatenate(errors))
        halves = np.concatenate([found.error("train", b).values for b in truth])
        within.append(np.abs(np.concatenate(off)) <= halves)
    return np.array(z), np.array(within)


def test_estimates_are_unbiased_and_their_errors_honest():
    """Over 60 seeds, means lie on the exact totals; 95 % intervals cover as a binomial allows."""
    z, within = coverage(None, 60)
    assert np.abs(z.mean(axis=0) * np.sqrt(60)).max() < 3.6
    # 12 steps of few degrees of freedom: a bit below 95 %; 51 of 60 is four deviations from it.
    assert (np.abs(z) < 1.96).sum(axis=0).min() >= 51
    assert (within.sum(axis=0) >= (np.abs(z) < 1.96).sum(axis=0)).all()
    assert 0.75 < z.std(axis=0).min() <= z.std(axis=0).max() < 1.3


@pytest.mark.parametrize(
    ("labels", "n", "subsamples"), [(100, 50, 2), (100, 50, 5), (20, 50, 2), (10, 15, 5)]
)
def test_the_luck_of_strata_is_in_the_error(labels, n, subsamples):
    """Where a label's share is no whole number and every second one differs, s² is not too small.

    One start for labels in one order would draw all even or all odd ones.
    """
    label = np.arange(1000) % labels
    values = label % 2 + 0.3 * np.random.default_rng(0).normal(size=1000)
    strata = tuple(np.flatnonzero(label == one) for one in range(labels))
    drawing = Lots(strata, n, subsamples, seed=0)
    drawn = np.array([values[drawing.at(step)].mean(axis=1) for step in range(1500)])
    squares = drawn.var(axis=1, ddof=1) / subsamples * (1 - n / 1000)
    assert drawn.mean() == pytest.approx(values.mean(), abs=0.01)
    assert squares.mean() > 0.9 * drawn.mean(axis=1).var()


def test_strata_make_the_error_smaller():
    """Where classes differ, drawing them in proportion lowers the standard error."""
    totals = {
        name: np.mean(
            [
                walked({"t": redrawn(60, seed=s, by=by)}, observers=[]).standard_error("t").values
                for s in range(20)
            ]
        )
        for name, by in (("plain", None), ("strata", Y))
    }
    assert totals["strata"] < 0.95 * totals["plain"]


def of_sampling(run, by="leaf"):
    """Return Student's 95 % of the sums over the run, degrees of freedom by Satterthwaite."""
    squares = run.standard_error("train", by).values ** 2
    degrees = 3 * squares.sum(axis=0) ** 2 / (squares**2).sum(axis=0) - 2
    return stats.t.ppf(0.975, degrees) * np.sqrt(squares.sum(axis=0))


def test_error_is_that_of_integration_and_of_sampling():
    """`Run.error` is the 95 % of sampling, and the error of the integral if it is known."""
    simpson = walked({"train": redrawn(rule=SIMPSON)}, observers=[])
    difference, gap = simpson.rows["error"][:, 0], simpson.rows["sample_gap"][:, 0]
    better = (
        2
        * (1 + 4 / len(gap))
        * np.sqrt((gap**2).sum() / ((gap + difference.sum(axis=1)) ** 2).sum())
    )
    squares = (difference**2).sum(axis=0) + (difference**2).mean(axis=0)
    known = better * (np.abs(difference.sum(axis=0)) + 1.96 * np.sqrt(squares))
    expected = known + of_sampling(simpson)
    assert better < 0.1
    np.testing.assert_allclose(simpson.error("train", "leaf").values, expected, rtol=3e-4)
    midpoint = walked({"train": redrawn()}, observers=[])
    found = midpoint.error("train", "leaf").values
    np.testing.assert_allclose(found, of_sampling(midpoint), rtol=3e-4)


def test_the_gap_of_a_sample_is_what_is_left_of_the_change_of_its_own_loss():
    """It is known where the rule looks at both ends; a block of steps counts k times its look."""
    for every in (1, 3):
        run = walked({"train": redrawn(rule=SIMPSON, every=every), "mid": redrawn()}, observers=[])
        drawing = lots(Redrawn((X, Y), 40, every=every), N)
        change = np.full(len(POINTS) - 1, np.nan)
        for t in filter(drawing.looks_at, range(len(change))):
            examples = problem(drawing.at(t).ravel())
            ends = [examples(one, {}).loss for one in POINTS[t : t + 2]]
            change[t] = every * (ends[1] - ends[0])
        gap = change - run.allocation("train", by="leaf").values.sum(axis=1)
        np.testing.assert_allclose(run.rows["sample_gap"][:, 0], gap, rtol=1e-6, atol=1e-12)
        assert np.isnan(run.rows["sample_gap"][:, 1]).all()
    midpoint = walked({"train": redrawn()}, observers=[])
    assert "sample_gap" not in midpoint.rows


def test_along_segments_the_error_of_the_rule_is_neither_missed_nor_far_too_wide():
    """Simpson's rule on segments of ten steps, of the sample itself: leaves are within its ±.

    By the distance to the trapezoid rule, it would be several times as wide.
    """
    points = path(120)[::10]
    within, narrower = [], []
    for seed in range(12):
        run = walked({"t": redrawn(rule=SIMPSON, seed=seed)}, points, observers=[])
        fine = walked({"t": redrawn(rule=composite(SIMPSON, 16), seed=seed)}, points, observers=[])
        for steps in (slice(None), slice(4), slice(7, 8)):
            half = (
                run.error("t", "leaf", steps).values - run.sampling_error("t", "leaf", steps).values
            )
            apart = run.allocation("t", "leaf").values - fine.allocation("t", "leaf").values
            within += (np.abs(apart[steps].sum(axis=0)) <= half).tolist()
            difference = run.rows["error"][steps, 0]
            known = np.abs(difference.sum(axis=0)) + 1.96 * np.sqrt((difference**2).sum(axis=0))
            narrower += (half / known).tolist()
    assert np.mean(within) > 0.95
    assert np.median(narrower) < 0.5


@pytest.mark.parametrize("by", ["layer", "unit"])
def test_a_window_has_an_error_of_its_own(by):
    """The ± of some steps are those of a run of these steps alone, of units too."""
    options = {"observers": [UnitSums()]}
    run = walked({"train": redrawn(every=1)}, **options)
    errors = run.standard_error("train", by).values[4:9]
    expected = Drawn(errors, np.ones(5, bool), 1).within(slice(None))
    np.testing.assert_array_equal(run.sampling_error("train", by, slice(4, 9)).values, expected)
    if by == "layer":
        np.testing.assert_array_equal(run.error("train", by, slice(4, 9)).values, expected)


def test_errors_of_units_need_units(run):
    """Where units were not recorded, the error names the observer."""
    with pytest.raises(NotRecordedError, match=r"UnitSums\(\)"):
        run.standard_error("train", "unit")


# One step of several


def test_thinned_steps_are_drawn_one_a_block():
    """Of every 4 steps one, anywhere in its block, the same one again, another one by seed."""
    drawing = lots(Redrawn((X, Y), 20, every=4), N)
    looks = np.array([drawing.looks_at(step) for step in range(400)]).reshape(-1, 4)
    assert (looks.sum(axis=1) == 1).all()
    assert looks.sum(axis=0).min() > 10  # of 100: 25 expected, 4.3 their deviation
    other = lots(Redrawn((X, Y), 20, every=4, seed=1), N)
    assert [drawing.looks_at(step) for step in range(40)] != [
        other.looks_at(step) for step in range(40)
    ]


def test_a_thinned_step_counts_for_its_block():
    """What is looked at counts fourfold, also for units and parameters; the rest are zeros."""
    run = walked({"train": redrawn(every=4)}, observers=[Totals(), UnitSums()])
    every = walked({"train": redrawn()}, observers=[Totals(), UnitSums()])
    looked = run.evaluations("train") > 0
    assert looked.sum() == 3
    for by in ("leaf", "unit"):
        mine, full = run.allocation("train", by).values, every.allocation("train", by).values
        np.testing.assert_allclose(mine[looked], 4 * full[looked], rtol=1e-12)
        assert (mine[~looked] == 0).all()
        assert (run.standard_error("train", by).values[~looked] == 0).all()
    totals = run.total("train")
    for name, leaf in zip(run.layout.names, run.allocation("train", "leaf").values.T, strict=True):
        assert totals[name].sum() == pytest.approx(leaf.sum(), rel=1e-9)
    loss = run.loss("train")[1:]
    np.testing.assert_array_equal(loss[looked], every.loss("train")[1:][looked])
    assert set(loss[~looked]) <= {*loss[looked], run.loss("train")[0]}
    assert run.probe("train").every == 4
    assert np.isfinite(run.error("train").values).all()


@pytest.mark.parametrize(("rule", "known"), [(MIDPOINT, False), (SIMPSON, True)])
def test_a_step_passed_over_has_the_errors_that_its_rule_knows(rule, known):
    """Zeros where a rule has an error of its own, and nothing known where it has none."""
    run = walked({"train": redrawn(every=4, rule=rule)})
    passed = run.rows["evaluations"][:, 0] == 0.0
    assert 0 < passed.sum() < run.steps
    np.testing.assert_array_equal(run.rows["error"][passed, 0], 0.0 if known else np.nan)


def test_a_thinned_standard_error_is_that_of_neighbours():
    """The differences of the steps looked at, halved squares; one step alone tells nothing."""
    run = walked({"train": redrawn(every=3)})
    looked = np.flatnonzero(run.evaluations("train"))
    values = run.allocation("train").values[looked]
    errors = run.standard_error("train").values[looked]
    squares = np.diff(values, axis=0) ** 2 / 2
    np.testing.assert_allclose(errors[1:] ** 2, squares)
    np.testing.assert_allclose(errors[0] ** 2, squares[0])
    single = walked({"train": redrawn(every=12)})
    assert np.isnan(single.standard_error("train").values).any()


def test_a_thinned_step_counts_its_buffers_for_its_block():
    """What moving buffers cause at the step that is looked at counts for all of its block."""

    class Shifted:
        """A loss with a buffer added to it."""

        eps = EPS

        def __call__(self, params, buffers):
            found = problem()(params, {})
            return Evaluation(found.loss + buffers["b"], found.gradient)

    def moved(every):
        measure = redrawn(pick=lambda places: Apart([Shifted() for _ in places]), every=every)
        at = [{"b": np.float64(t**2)} for t in range(len(POINTS))]
        with track({"train": measure}, POINTS[0], problem().layout, buffers=at[0]) as tracker:
            for point, buffers in zip(POINTS[1:], at[1:], strict=True):
                tracker.step(point, buffers)
        return tracker.run

    np.testing.assert_allclose(moved(1).buffers("train"), 2 * np.arange(12) + 1, rtol=1e-9)
    run = moved(3)
    looked = run.looked_at("train")
    found = run.buffers("train")
    np.testing.assert_allclose(found[looked], 3 * (2 * np.arange(12) + 1)[looked], rtol=1e-9)
    assert not found[~looked].any()
    told = books(run, "train")
    assert told.fall == pytest.approx(run.allocation("train").values.sum() + found.sum())


def test_long_segments_draw_once_each():
    """With `every`, a segment has one sample, a run half as many, and Simpson's rule is used."""
    run = walked({"train": redrawn()}, every=3)
    assert run.steps == 4
    sample = problem(redrawn().drawing.at(1).ravel())
    alone = walked({"train": sample}, [POINTS[3], POINTS[6]], integrator=Fixed(SIMPSON))
    for name in ("allocation", "error"):
        np.testing.assert_allclose(run.rows[name][1], alone.rows[name][0], rtol=1e-9)
    assert run.evaluations("train")[0] == 3
    assert run.probe("train").rule == "Simpson"


@pytest.mark.parametrize("rule", [MIDPOINT, GAUSS_2])
def test_a_rule_that_is_asked_for_is_used_along_segments_too(rule):
    """However long they are."""
    run = walked({"train": redrawn(rule=rule)}, every=3)
    assert run.probe("train").rule == rule.name


def test_long_segments_are_covered_by_their_error():
    """Along them the midpoint rule is off by more than the luck of a draw; the default says ±."""
    points = path(240)
    longer = points[::24]
    exact = walked({"train": problem()}, longer, integrator=Fixed(composite(SIMPSON, 8)))
    truth = exact.allocation("train", "leaf").values.sum(axis=0)

    def off(**options):
        run = walked({"train": redrawn(236, **options)}, points, every=24)
        wrong = np.abs(run.allocation("train", "leaf").values.sum(axis=0) - truth)
        return wrong, run.error("train", "leaf").values

    wrong, half = off()
    assert (wrong <= half).all()
    coarse, narrow = off(rule=MIDPOINT)
    assert (coarse > narrow).any()
    assert wrong.sum() < coarse.sum()


def test_a_step_on_which_nothing_moved_allocates_zeros():
    """It has no error either."""
    run = walked({"train": redrawn()}, [POINTS[0], POINTS[0], POINTS[1]])
    assert (run.allocation("train").values[0] == 0).all()
    assert (run.standard_error("train").values[0] == 0).all()
    assert (run.standard_error("train").values[1] > 0).all()


def test_a_resumed_run_draws_what_it_would_have_drawn(tmp_path):
    """Broken off and resumed, the file is bit for bit that of one go, and opens as one."""
    measures = {"train": redrawn(), "val": problem()}
    whole = walked(measures, path=tmp_path / "whole.zarr")
    walked(measures, POINTS[:6], path=tmp_path / "run.zarr")
    again = walked(measures, POINTS[5:], path=tmp_path / "run.zarr", resume=True)
    for name, values in whole.rows.items():
        np.testing.assert_array_equal(again.rows[name], values, err_msg=name)
    for leaf, total in whole.total("train").items():
        np.testing.assert_array_equal(again.total("train")[leaf], total)


@pytest.mark.parametrize("cut", range(1, len(POINTS) - 1))
def test_a_resumed_thinned_run_holds_the_losses_of_one_go(cut, tmp_path):
    """Resumed between two looks, the last loss known stands until the next, as in one go."""
    measures = {"train": redrawn(every=3), "val": problem()}
    whole = walked(measures, path=tmp_path / "whole.zarr")
    walked(measures, POINTS[: cut + 1], path=tmp_path / "run.zarr")
    again = walked(measures, POINTS[cut:], path=tmp_path / "run.zarr", resume=True)
    for name, values in whole.rows.items():
        np.testing.assert_array_equal(again.rows[name], values, err_msg=name)


def test_run_files_hold_the_spread(run, tmp_path):
    """Saved and loaded, standard errors and the probe are the same; xarray names the axes."""
    run.save(tmp_path / "run.zarr")
    loaded = load(tmp_path / "run.zarr")
    np.testing.assert_array_equal(
        loaded.standard_error("train", "leaf").values, run.standard_error("train", "leaf").values
    )
    assert loaded.probe("train") == run.probe("train")
    data = loaded.to_xarray()["subsample_allocation"]
    assert data.dims == ("step", "measure", "leaf", "subsample")
    assert data.sel(measure="train").notnull().all()


def test_measures_may_have_subsamples_of_different_number():
    """The array has room for the most; the others ignore the rest of it."""
    run = walked({"a": redrawn(subsamples=2), "b": redrawn(subsamples=8)}, POINTS[:4])
    alone = walked({"a": redrawn(subsamples=2)}, POINTS[:4])
    np.testing.assert_array_equal(run.standard_error("a").values, alone.standard_error("a").values)


def test_nothing_is_said_to_close(run):
    """Summary, story and figure give the estimate and its 95 %, and claim no closure."""
    found = books(run, "train")
    assert found.fall == found.allocated
    assert np.isnan(run.gap("train")).all()
    assert (run.status("train") == Status.ESTIMATED).all()
    assert found.error == pytest.approx(of_sampling(run, lambda _: "all")[0], rel=3e-4)
    said = closure(run, "train")
    assert "estimated from 40 of 240 examples a step, so nothing is said to close" in said
    assert f"fell by an estimated {abs(found.fall):#.5g} ± {found.error:.2g} (95 %)" in said
    tale = {passage.topic: passage.text for passage in story(run, "train")}
    assert "The numbers are estimated from 40 of 240 examples a step" in tale["books"]
    assert "an estimated" in tale["loss"]
    assert "Each ± is the 95 % of sampling" in tale["certainty"]
    assert "known on its sample alone" in tale["certainty"]
    simpson = walked({"train": redrawn(rule=SIMPSON)}, observers=[])
    certainty = {passage.topic: passage.text for passage in story(simpson, "train")}["certainty"]
    assert "The 95 % of sampling are in it" in certainty
    texts = [said, *tale.values()]
    assert not any(" closed" in text or "books close" in text for text in texts)
    assert "all 12 steps closed" in closure(run, "val")
    assert "gap" not in said
    assert layer_lines(run, "train")[-1].error == found.error
    figure = loss_and_allocation(run, "train")
    labels = {text.get_text() for legend in figure.legends for text in legend.get_texts()}
    assert "true loss" not in labels
    assert "95 % of sampling" in labels


def test_a_step_that_is_not_finite_is_left_out():
    """Its error counts no more than its allocation."""
    broken = [*POINTS[:4], {k: w * np.nan for k, w in POINTS[3].items()}, POINTS[4]]
    run = walked({"train": redrawn()}, broken)
    assert (run.status("train")[3:] == Status.NONFINITE).all()
    assert np.isfinite(run.error("train").values).all()
    assert "2 of 5 steps came to a value that is not finite" in closure(run, "train")


def test_a_compiled_step_refuses():
    """`trace` cannot draw, and says what can."""
    from lca_core import Allocator, Snapshot

    made = Allocator(NumpyOps(), {"train": redrawn()}, problem().layout, Fixed(SIMPSON))
    state = made.init(Snapshot(POINTS[0]))
    with pytest.raises(UnsupportedError, match="FixedProbe"):
        made.trace(state, Snapshot(POINTS[1]))
    with pytest.raises(UnsupportedError, match=r"somewhere does not draw.*\['train'\]"):
        refuse_redrawn({"train": Redrawn(X, 10), "val": X}, "somewhere")


# A fixed probe


def test_a_fixed_probe_closes_its_books_on_its_own_loss():
    """It is the measure of a subset, told as such."""
    probe = FixedProbe(np.arange(N), 60, by=Y)
    drawn = drawn_once({"train": probe}, lambda data, places, _: data[places], len)
    probes = told({"train": probe, "val": probe.data}, len)
    run = walked({"train": problem(drawn["train"])}, config={"probes": probes})
    assert (run.status("train") == Status.OK).all()
    change = run.loss("train")[-1] - run.loss("train")[0]
    assert run.allocation("train").values.sum() + run.gap("train").sum() == pytest.approx(change)
    assert not run.redrawn("train")
    assert run.probe("train").examples == 60
    assert "all 12 steps closed, on a fixed probe of 60 of 240 examples" in closure(run, "train")
    shares = np.bincount(Y[drawn["train"]]) / 60
    assert np.abs(shares - np.bincount(Y) / N).max() <= 1 / 60


def test_lots_know_what_they_draw_from():
    """N is the sum of the strata."""
    assert Lots((np.arange(3), np.arange(3, 10)), 5, 5, 0).examples == 10


@pytest.mark.slow
@pytest.mark.parametrize("by", [None, Y])
def test_intervals_cover_19_times_in_20(by):
    """Over 300 seeds, per-leaf and per-layer 95 % intervals cover in 92 to 98 % each.

    Of 5 subsamples at 12 steps: 48 degrees of freedom, few enough to run often.
    """
    z, _ = coverage(by, 300, subsamples=5)
    covered = (np.abs(z) < 1.96).mean(axis=0)
    assert covered.min() >= 0.92
    assert covered.mean() <= 0.98
    assert np.abs(z.mean(axis=0) * np.sqrt(300)).max() < 3.6


def test_numbers_of_numpy_go_into_the_run_file(tmp_path):
    """What a user computed with NumPy is Python's own where it is kept: the run can be written."""
    one = np.int64(1)
    oracles = {"train": redrawn(40 * one, subsamples=2 * one, seed=np.int32(3), every=one)}
    probes = told({"val": FixedProbe(np.arange(N), 60 * one, seed=np.uint8(2))}, len)
    integrator = Adaptive(
        rtol=np.float32(0.5),
        atol=np.float32(1e-5),
        max_panels=np.int64(8),
        certify=np.bool_(1),
        audit=np.int16(4),
    )
    options = {"every": 2 * one, "chunk": 3 * one, "config": {"probes": probes}}
    oracles["val"] = problem(slice(0, 60))
    run = walked(oracles, path=tmp_path / "run.zarr", integrator=integrator, **options)
    run.save(tmp_path / "saved.zarr")
    assert load(tmp_path / "saved.zarr").config == run.config
    assert run.probe("train").seed == 3


def test_a_tolerance_of_numpy_goes_into_the_run_file(tmp_path):
    """So it is with a fixed rule."""
    fixed = Fixed(SIMPSON, Tolerance(np.float32(0.5), np.float32(0.25)))
    walked({"train": problem()}, path=tmp_path / "run.zarr", integrator=fixed)
    assert load(tmp_path / "run.zarr").config["integrator"]["atol"] == 0.25


def test_labels_of_numpy_in_a_list_are_labels():
    """As `list(labels)` holds them: numbers and words."""
    groups = Partition(X[:3], by=[np.int64(1), np.int64(0), np.int64(1)]).places()
    assert list(groups) == ["class=0", "class=1"]
    assert list(Partition(X[:2], by=[np.str_("b"), np.str_("a")]).places()) == [
        "class=a",
        "class=b",
    ]


def resumed(path, by):
    """Return the tracker that goes on with six steps of a redrawn measure."""
    oracles = {"train": redrawn(by=by)}
    start = POINTS[6]
    return track(oracles, start, problem().layout, path=path, resume=True)


@pytest.fixture
def stratified(tmp_path):
    """A run file of six steps, whose examples were drawn by label."""
    walked({"train": redrawn(by=Y)}, POINTS[:7], path=tmp_path / "run.zarr")
    return tmp_path / "run.zarr"


def test_a_run_does_not_go_on_with_other_strata(stratified):
    """Other labels draw other examples: they are refused, and the same ones go on."""
    before = load(stratified).config
    with pytest.raises(ResumeError, match=r"made with probes = .*strata"):
        resumed(stratified, X[:, 0] > 0)
    assert load(stratified).config == before
    names = np.array(["ape", "bee", "cat"])[Y]  # the same strata in the same order
    assert resumed(stratified, names).iteration == 6


def edited(path, change):
    """Change what a run file says of the probe of "train"."""
    document = json.loads((path / "zarr.json").read_text())
    change(document["attributes"]["lca"]["config"]["probes"]["train"])
    (path / "zarr.json").write_text(json.dumps(document))


def test_a_file_that_says_nothing_of_its_strata_goes_on(stratified):
    """As earlier versions wrote it: it loads, and is refused only for what it says."""
    edited(stratified, lambda probe: probe.pop("strata"))
    assert load(stratified).probe("train").strata == ""
    assert resumed(stratified, Y).iteration == 6
    with pytest.raises(ResumeError, match="made with probes"):
        resumed(stratified, None)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda probe: probe.update(flavour="sour"), "flavour"),
        (lambda probe: probe.pop("examples"), "examples"),
    ],
)
def test_a_probe_that_is_none_is_refused(stratified, change, says):
    """A field that nobody knows, or one that is not there, is damage, and named."""
    edited(stratified, change)
    with pytest.raises(RunFileError, match=rf"run\.zarr' has a damaged .*'train'.*{says}"):
        load(stratified)
