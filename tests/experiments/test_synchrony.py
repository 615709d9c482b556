"""Shared moments over seeds: planted, absent and avoided ones, and tiny real runs."""

import sys

import numpy as np
import pytest
from attrs import evolve
from scipy import stats

from experiments.planted import LAYOUT, strict, trained
from lca_core import Header, Run
from lca_core.analyses import minima, peaks, synchrony
from lca_core.errors import ExperimentError
from lca_core.experiments.aligning import Series, aligned, peaks_of
from lca_core.experiments.synchrony import HONEST, SYNCHRONY
from lca_core.networks import Dense, Flatten, NetworkSpec, fc
from lca_core.optimizers import SGD, Override
from lca_core.segment import Status
from lca_core.training import TrainingSpec

SMALL = TrainingSpec(fc((2, 2, 1), 3, hidden=(4,)), SGD(0.1, 0.9), batch_size=10, epochs=4)
CLASSES, STEPS = 4, 90


@pytest.fixture(autouse=True)
def _few_draws(monkeypatch):
    """Draw as often as p = 0.001 needs."""
    monkeypatch.setattr(sys.modules["lca_core.analyses.synchrony"], "DRAWS", 999)


def test_one_arm_by_class():
    """The base, every class measured, with the sizes of motion and gradient."""
    planned = SYNCHRONY.plan(evolve(SMALL, seed=9), [2, 3])
    assert [one.spec for one in planned] == [evolve(SMALL, seed=seed) for seed in (2, 3)]
    assert {one.arm for one in planned} == {"by class"}
    assert all(one.by_class for one in planned)
    assert "mode" not in planned[0].tracking
    single = NetworkSpec("one", (2, 2, 1), [Flatten(), Dense(3)])
    with pytest.raises(ExperimentError, match="two layers"):
        SYNCHRONY.plan(TrainingSpec(single), [0])


def run_of(by_class, motion, status=None):
    """Return a run of "train" and its classes: LCA (classes, layers, T), motion (layers, T)."""
    classes, _, steps = by_class.shape
    names = [f"train/class={c}" for c in range(classes)]
    allocation = np.moveaxis(np.concatenate([by_class.mean(axis=0)[None], by_class]), 2, 0)
    square = np.broadcast_to(motion.T[:, None] ** 2, allocation.shape)
    rows = {
        "allocation": allocation,
        "motion_square": square,
        "gradient_square": allocation**2,
        "status": np.zeros(allocation.shape[:2], np.int8) if status is None else status,
        "iteration": np.arange(1, steps + 1),
        "loss": np.zeros(allocation.shape[:2]),
    }
    config = {"observers": [], "parts": {"train": dict.fromkeys(names, 1 / classes)}}
    header = Header(LAYOUT, ("train", *names), (), config, (1.0,) * (classes + 1))
    return Run(header, rows, {})


def made(kind, seeds=10):
    """Return an arm whose layers learn together, apart, or at different moments by planting."""
    rng = np.random.default_rng(3)
    runs = {}
    for seed in range(seeds):
        series = rng.normal(size=(CLASSES, 2, STEPS))
        moments = rng.permutation(np.arange(3, STEPS - 3, 6))[:8]
        series[:, 0, moments] -= 9.0
        if kind == "together":
            series[:, 1, moments] -= 9.0
        elif kind == "avoiding":
            series[:, 1, moments + 3] -= 9.0
        motion = 1 + rng.random((2, STEPS))
        if kind == "moving":
            series[:, 1, moments] -= 9.0
            motion[:, moments] += 9.0
        runs[seed] = run_of(series, motion)
    return {"by class": runs}


@pytest.mark.parametrize(
    ("kind", "found"),
    [("together", "agrees"), ("apart", "disagrees"), ("avoiding", "disagrees"),
     ("moving", "disagrees")],
)  # fmt: skip
def test_verdicts_on_planted_moments(kind, found):
    """Shared moments that motion does not explain agree; independent ones are not far above."""
    judged = SYNCHRONY.judge(made(kind))
    assert judged.verdict == found
    results = strict(judged.results)
    excess = results["aligned"]["LCA by class"]["minima"]["excess"]
    if kind == "together":
        assert excess["value"] > 5
        assert results["lca_peaks_on_motion_peaks"]["mean"]["value"] < 0.2
    if kind == "moving":
        # Of eight equal moments either keeps six: three quarters are the same.
        assert results["lca_peaks_on_motion_peaks"]["mean"]["value"] == pytest.approx(0.75, abs=0.1)
    if kind == "apart":
        assert "Twice as many" in judged.text[0]


def test_a_run_too_short_for_chance_is_undecided():
    """Where all minima are peaks, chance has nothing to draw; without motion peaks, none is met."""
    series = np.tile([0.0, -1.0, 0.0, -2.0, 0.0, 0.1], (CLASSES, 2, 1))
    motion = np.tile(np.arange(1.0, 7.0), (2, 1))
    judged = SYNCHRONY.judge({"by class": {seed: run_of(series, motion) for seed in range(3)}})
    assert judged.verdict == "undecided"
    text = " ".join(judged.text)
    assert "could only have placed the peaks where they are" in text
    assert "nan" not in text
    assert strict(judged.results)["lca_peaks_on_motion_peaks"]["share"] == [None] * 3


def test_counts_are_those_of_the_analysis():
    """Observed, expected and p of a seed are `analyses.synchrony`'s; the joint ones their sums."""
    rng = np.random.default_rng(0)
    series = [rng.normal(size=(4, 2, 120)) for _ in range(3)]
    found = aligned(series, "minima", 12)
    alone = [
        synchrony(one, count=12, null="minima", draws=found.draws, seed=i)
        for i, one in enumerate(series)
    ]
    assert found.observed.tolist() == [one.observed for one in alone]
    assert found.p.tolist() == [one.p_value for one in alone]
    total = sum(one.null for one in alone)
    above = (total >= sum(one.observed for one in alone)).mean()
    assert found.joint == pytest.approx(above, abs=2 / found.draws)
    differ = stats.ttest_1samp(found.observed - found.expected, 0)
    assert found.excess.p == pytest.approx(differ.pvalue)


@pytest.mark.parametrize("null", HONEST)
def test_independent_layers_give_five_per_cent(null):
    """Layers that are independent, while the classes of a layer peak together.

    The t-test over seeds finds an excess in 5 % of draws at most, a deficit or an excess in
    about 5 %. So does the joint count where the classes are rotated together; where they are
    drawn one by one, it finds an excess too often, which is why it is not enough for a verdict.
    """
    rng, repeats, seeds = np.random.default_rng(5), 300, 6
    excess = differs = joint = 0
    for _ in range(repeats):
        shared = rng.normal(size=(seeds, 1, 2, 60))
        series = list(shared + 0.3 * rng.normal(size=(seeds, 3, 2, 60)))
        found = aligned_cheaply(series, null)
        differs += found.excess.p < 0.05
        excess += found.excess.p < 0.05 and found.excess.value > 0
        joint += found.joint < 0.05
    low, high = stats.binom.ppf([0.001, 0.999], repeats, 0.05)
    assert excess <= high
    assert (joint <= high) == (null == "rotation")
    assert low <= differs <= high


def aligned_cheaply(series, null):
    """Count with few draws."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules["lca_core.analyses.synchrony"], "DRAWS", 200)
        patch.setattr("lca_core.experiments.aligning._FEWEST_DRAWS", 200)
        return aligned(series, null, 8)


def test_short_runs_have_fewer_peaks():
    """Some minima are left that are no peaks, else no null could tell anything."""
    rng = np.random.default_rng(0)
    for steps in (20, 60, 200, 880):
        series = rng.normal(size=(20, steps))
        kept = peaks(series, peaks_of(steps)).sum(axis=1)
        assert (kept < minima(series).sum(axis=1)).mean() > 0.9


def test_layers_that_stand_still_do_not_count():
    """A frozen layer has no peaks, lost steps are not known; with one layer left nothing is."""
    rng = np.random.default_rng(1)
    values = rng.normal(size=(2, 2, 30))
    status = np.zeros((30, 3), np.int8)
    status[4, 1] = Status.NONFINITE
    values[0, :, 4] = np.nan
    series = Series.of(run_of(values, np.ones((2, 30)), status), "train")
    assert series.layers == 2
    assert np.isnan(series.allocation[0, :, 4]).all()
    np.testing.assert_array_equal(series.allocation[1], values[1])
    motion = np.ones((2, 30))
    motion[1, 10:] = 0.0  # frozen later
    assert Series.of(run_of(values, motion), "train").layers == 2
    motion[1] = 0.0
    run = run_of(rng.normal(size=(2, 2, 30)), motion)
    assert Series.of(run, "train").layers == 1
    with pytest.raises(ExperimentError, match="two layers moved"):
        SYNCHRONY.judge({"by class": {0: run}})
    both = {"by class": {**made("together", seeds=3)["by class"], 7: run}}
    judged = SYNCHRONY.judge(both)
    assert judged.results["seeds_left_out"] == [7]
    assert "seed 7" in judged.text[1]


def test_a_single_seed_decides_nothing():
    """Its own p is told, but nothing says how runs differ."""
    judged = SYNCHRONY.judge(made("together", seeds=1))
    assert judged.verdict == "undecided"
    assert "One seed" in judged.text[0]
    one = strict(judged.results)["aligned"]["LCA by class"]["rotation"]
    assert one["p"][0] == 0.001
    assert one["excess"]["p"] is None
    with pytest.raises(ExperimentError, match="'by class'"):
        SYNCHRONY.judge({"other": {}})


def test_a_run_that_diverged_is_left_out():
    """Its moments are not counted, and the text says why."""
    given = made("together", seeds=3)
    run = given["by class"][1]
    ended = evolve(run, rows={**run.rows, "loss": np.full_like(run.rows["loss"], np.nan)})
    judged = SYNCHRONY.judge({"by class": {**given["by class"], 7: ended}})
    assert judged.results["seeds"] == [0, 1, 2]
    assert judged.text[-1].endswith("no number in the end: 1 run of 'by class'.")
    with pytest.raises(ExperimentError, match="a run that ended well"):
        SYNCHRONY.judge({"by class": {7: ended}})


def test_really_trained():
    """Tiny networks, one with a frozen layer among three: judged, and the figures draw."""
    base = evolve(SMALL, network=fc((2, 2, 1), 3, hidden=(4, 4)))
    frozen = evolve(base, overrides={"fc2": Override(frozen_from=0)})
    for spec, layers in ((base, 3), (frozen, 2)):
        arms = trained(SYNCHRONY.plan(spec, [0, 1, 2]))
        judged = SYNCHRONY.judge(arms)
        results = strict(judged.results)
        assert results["layers"] == layers
        assert results["steps"] == 24
        assert set(judged.figures) == {"peaks", "gradient-peaks", "motion-peaks"}
        for draw in judged.figures.values():
            assert draw().axes
