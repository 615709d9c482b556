"""One layer's delay: what is planned, planted slopes in both directions, tiny real runs."""

import numpy as np
import pytest
from attrs import evolve
from scipy import stats

from experiments.planted import diverged, planted, strict, trained
from lca_core.analyses.delays import slope
from lca_core.errors import ExperimentError
from lca_core.experiments.delay import DELAY, DELAYS, KEPT, Delay
from lca_core.experiments.delay_sweep import PairedSweep, linearity, place_of
from lca_core.networks import fc, resnet
from lca_core.optimizers import SGD, Adam, Override
from lca_core.training import TrainingSpec

BASE = TrainingSpec(fc((8, 8, 1)), SGD(0.02, 0.9), seed=99)
SMALL = TrainingSpec(fc((2, 2, 1), 3, hidden=(4,)), SGD(0.05, 0.9), batch_size=20, epochs=2)
RATE, STEP = KEPT


def of(planned, kept):
    """Return delay -> its arm's runs in a sweep."""
    names = {d: {f"delay {d}", f"delay {d}, {kept} kept"} for d in DELAYS}
    return {d: [one for one in planned if one.arm in names[d]] for d in DELAYS}


def test_only_the_layers_momentum_and_rate_differ():
    """All else is the base's; the momenta delay by 0 to 9 steps, and 19 arms are two sweeps."""
    planned = DELAY.plan(BASE, [3, 5])
    assert len(planned) == 38
    assert len({one.arm for one in planned}) == 19
    for kept in KEPT:
        for delay, (first, second) in of(planned, kept).items():
            assert (first.spec.seed, second.spec.seed) == (3, 5)
            assert set(first.spec.overrides) == {"fc3"}
            momentum = first.spec.overrides["fc3"].momentum
            assert momentum / (1 - momentum) == pytest.approx(delay)
            bare = evolve(first.spec, overrides={}, seed=99)
            assert bare == BASE
            assert first.spec == evolve(second.spec, seed=3)


def test_what_is_kept_is_kept():
    """The learning rate in one sweep, lr / (1 - m) in the other; both are the base's at m = 0.9."""
    planned = DELAY.plan(BASE, [0])
    rates, steps = (
        {d: one.spec.overrides["fc3"] for d, (one,) in of(planned, kept).items()} for kept in KEPT
    )
    assert {one.learning_rate for one in rates.values()} == {0.02}
    effective = [one.learning_rate / (1 - one.momentum) for one in steps.values()]
    np.testing.assert_allclose(effective, 0.2)
    assert rates[9] is steps[9] or rates[9] == steps[9] == Override(0.02, 0.9)


def test_a_base_of_another_momentum_shares_another_arm():
    """The sweeps meet where the layer is as all others are, or nowhere."""
    half = DELAY.plan(evolve(BASE, optimizer=SGD(0.02, 0.5)), [0])
    assert [one.arm for one in half if "kept" not in one.arm] == ["delay 1"]
    odd = DELAY.plan(evolve(BASE, optimizer=SGD(0.02, 0.3)), [0])
    assert len(odd) == 20
    effective = [
        one.spec.overrides["fc3"].learning_rate / (1 - one.spec.overrides["fc3"].momentum)
        for one in odd
        if STEP in one.arm
    ]
    np.testing.assert_allclose(effective, 0.02 / 0.7)


def test_the_layer_and_the_base_are_checked():
    """Any layer can be asked for, in any backend's spelling; only SGD's momentum is a delay."""
    for one in Delay(layer="fc1").plan(BASE, [0]):
        assert set(one.spec.overrides) == {"fc1"}
    held = evolve(BASE, overrides={"fc3": Override(0.5, frozen_from=7)})
    for one in DELAY.plan(held, [0]):
        assert one.spec.overrides["fc3"].frozen_from == 7
    assert place_of("block1.conv1", ["bn1", "block1_conv1"]) == 1
    with pytest.raises(ExperimentError, match=r"no layer 'fc4'.*fc1.*fc3"):
        Delay(layer="fc4").plan(BASE, [0])
    with pytest.raises(ExperimentError, match=r"needs SGD.*Adam"):
        DELAY.plan(evolve(BASE, optimizer=Adam()), [0])
    normed = TrainingSpec(resnet((8, 8, 1), widths=(4,), blocks=1))
    assert {one.tracking["mode"] for one in DELAY.plan(normed, [0])} == {"batch-stats"}


def arms(own, others, *, seeds=6, bend=0.0, spread=0.02, without=()):
    """Return arms in which layer b changes by `own` a step of delay, and a by `others`.

    `own` and `others` are of both sweeps: with the rate kept, with the effective step kept.
    """
    rng = np.random.default_rng(7)
    start = rng.normal(size=(seeds, 2))
    made = {}
    for i, kept in enumerate(KEPT):
        for d in DELAYS[: 9 if i else 10]:
            name = f"delay {d}" if d == 9 else f"delay {d}, {kept} kept"
            far = d - 9  # the arm of delay 9 is that of both sweeps
            made[name] = {
                seed: planted([[
                    start[seed, 0] + others[i] * far + rng.normal(0, spread),
                    start[seed, 1] + own[i] * far + bend * (d - 4.5) ** 2 + rng.normal(0, spread),
                ]])
                for seed in range(seeds)
                if (name, seed) not in without
            }  # fmt: skip
    return made


@pytest.mark.parametrize(
    ("own", "others", "bend", "found"),
    [
        ((0.1, 0.1), (-0.05, -0.02), 0.0, "agrees"),
        ((-0.1, 0.1), (-0.05, -0.02), 0.0, "disagrees"),
        ((0.1, -0.1), (-0.05, -0.02), 0.0, "disagrees"),
        ((0.1, 0.1), (0.05, -0.02), 0.0, "disagrees"),
        ((0.1, 0.1), (-0.05, -0.02), 0.1, "undecided"),
        ((0.1, 0.1), (-0.05, 0.0), 0.0, "undecided"),
    ],
)
def test_verdicts_on_planted_slopes(own, others, bend, found):
    """The article's signs in both sweeps, and straight lines, or it does not agree."""
    judged = DELAY.judge(arms(own, others, bend=bend))
    assert judged.verdict == found
    sweeps = strict(judged.results)["sweeps"]
    for i, kept in enumerate(KEPT):
        one = sweeps[kept]
        assert one["slope"]["value"] == pytest.approx(own[i], abs=5e-3)
        assert one["others_slope"]["value"] == pytest.approx(others[i], abs=5e-3)
        assert one["slope_by_layer"]["b"] == pytest.approx(one["slope"])
        assert np.shape(one["totals"]) == (6, 10, 2)
    opposite = any("opposite signs" in text for text in judged.text)
    assert opposite == (own[0] * own[1] < 0)


def test_the_picture_says_what_the_verdict_says():
    """Slope and ± above the figure are those over seeds, not of runs taken for independent."""
    judged = DELAY.judge(arms((0.1, 0.1), (-0.05, -0.02)))
    sweeps = judged.results["sweeps"]
    for kept, draw in zip(KEPT, judged.figures.values(), strict=True):
        one = sweeps[kept]["slope"]
        said = f"{one['value']:+#.2g} ± {one['half']:#.2g}"
        assert said in " ".join(draw().get_suptitle().split())


def test_slopes_are_scipys():
    """One slope a seed by scipy's regression, their mean, interval and p by scipy's t-test."""
    totals = np.random.default_rng(0).normal(size=(5, 10, 3))
    sweep = PairedSweep(("a", "b", "c"), 1, np.arange(10.0), tuple(range(5)), totals, ())
    each = [stats.linregress(np.arange(10), one[:, 1]).slope for one in totals]
    rest = [stats.linregress(np.arange(10), one[:, [0, 2]].sum(axis=1)).slope for one in totals]
    for found, truth in ((sweep.slope, each), (sweep.others_slope, rest)):
        test = stats.ttest_1samp(truth, 0)
        low, high = test.confidence_interval()
        assert found.value == pytest.approx(np.mean(truth))
        assert (found.p, found.half) == pytest.approx((test.pvalue, (high - low) / 2))
    mean = totals[:, :, 1].mean(axis=0)
    assert sweep.linearity == pytest.approx(stats.linregress(np.arange(10), mean).rvalue ** 2)
    assert np.isnan(linearity(np.arange(3.0), np.ones(3)))


def test_no_slope_gives_five_per_cent():
    """Seeds whose lines tilt by chance alone have p < 0.05 in 5 % of draws.

    Runs taken for independent would find a slope far too often: that is why they are paired.
    """
    rng, draws, x = np.random.default_rng(1), 1500, np.arange(10.0)
    hits = pooled = 0
    for _ in range(draws):
        tilt = rng.normal(0, 0.05, (8, 1)) * (x - 4.5)
        own = tilt + 0.05 * rng.normal(size=(8, 10))
        totals = np.stack([np.zeros_like(own), own], axis=2)
        sweep = PairedSweep(("a", "b"), 1, x, tuple(range(8)), totals, ())
        hits += sweep.slope.p < 0.05
        pooled += slope(np.tile(x, 8), own.reshape(-1)).p < 0.05
    low, high = stats.binom.ppf([0.001, 0.999], draws, 0.05)
    assert low <= hits <= high
    assert pooled > 2 * high


def test_seeds_that_lack_a_delay_do_not_count():
    """They are named; without any whole seed there is nothing to say."""
    given = arms((0.1, 0.1), (-0.1, -0.1), without={(f"delay 3, {RATE} kept", 2)})
    judged = DELAY.judge(given)
    sweeps = judged.results["sweeps"]
    assert sweeps[RATE]["seeds"] == [0, 1, 3, 4, 5]
    assert sweeps[RATE]["seeds_left_out"] == [2]
    assert sweeps[STEP]["seeds"] == [0, 1, 2, 3, 4, 5]
    assert any("Left out" in text and "seed 2" in text for text in judged.text)
    one = {name: {0: runs[0]} for name, runs in given.items()}
    one["delay 9"] = {1: given["delay 9"][1]}
    with pytest.raises(ExperimentError, match="seed that has a run at every delay"):
        DELAY.judge(one)
    with pytest.raises(ExperimentError, match="no arm of delay 9"):
        DELAY.judge({name: runs for name, runs in given.items() if name != "delay 9"})


def test_a_single_seed_decides_nothing():
    """A slope without an interval is told as such, and JSON has no NaN."""
    judged = DELAY.judge(arms((0.1, 0.1), (-0.1, -0.1), seeds=1))
    assert judged.verdict == "undecided"
    assert "One seed gives no interval" in judged.text[0]
    assert strict(judged.results)["sweeps"][RATE]["slope"]["p"] is None


def test_a_run_that_diverged_is_left_out():
    """Its seed counts in the sweep without it alone, and the text says why."""
    given = arms((0.1, 0.1), (-0.1, -0.1))
    given[f"delay 0, {STEP} kept"][2] = diverged()
    judged = DELAY.judge(given)
    sweeps = strict(judged.results)["sweeps"]
    assert judged.verdict == "agrees"
    assert (sweeps[RATE]["seeds_left_out"], sweeps[STEP]["seeds_left_out"]) == ([], [2])
    assert judged.text[-1].endswith(f"no number in the end: 1 run of 'delay 0, {STEP} kept'.")
    given["delay 9"] = dict.fromkeys(given["delay 9"], diverged())
    with pytest.raises(ExperimentError, match="no number in the end do not count"):
        DELAY.judge(given)


def test_really_trained():
    """Tiny networks: totals are those of the runs, a frozen layer is no error, figures draw."""
    made = trained(DELAY.plan(SMALL, [0, 1]))
    judged = DELAY.judge(made)
    one = strict(judged.results)["sweeps"][STEP]
    run = made[f"delay 4, {STEP} kept"][1]
    np.testing.assert_allclose(one["totals"][1][4], run.allocation("train").values.sum(axis=0))
    assert set(judged.figures) == {"delay-learning-rate-kept", "delay-effective-step-kept"}
    for draw in judged.figures.values():
        assert len(draw().axes) == 2
    frozen = evolve(SMALL, overrides={"fc2": Override(frozen_from=0)})
    still = DELAY.judge(trained(DELAY.plan(frozen, [0, 1])))
    assert still.verdict == "undecided"
    strict(still.results)
