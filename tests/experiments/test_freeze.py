"""Freezing layers: what is planned, planted effects in both directions, tiny real runs."""

import numpy as np
import pytest
from attrs import evolve
from scipy import stats

from experiments.planted import by_seed, planted, strict, trained
from lca_core import Layout, Leaf
from lca_core.errors import ExperimentError
from lca_core.experiments.freeze import FREEZE, Freeze
from lca_core.networks import Dense, Flatten, NetworkSpec, fc, resnet20
from lca_core.optimizers import Override
from lca_core.training import TrainingSpec

BASE = TrainingSpec(fc((2, 2, 1), 3, hidden=(6,)), batch_size=20, epochs=8)
STEPS = 5


def arms(first, last, seeds=10, spread=0.02):
    """Return arms whose layers do this a step; the plain ones help by 0.1 and by 0.05."""
    rng = np.random.default_rng(0)
    does = {"plain": (-0.1, -0.05), "first frozen": (0.0, first), "last frozen": (last, 0.0),
            "last frozen from step 3": (-0.1, -0.03)}  # fmt: skip

    def run(means):
        noise = rng.normal(0, spread, (STEPS, 2)) * (np.array(means) != 0)
        return planted(np.array(means) + noise)

    return {arm: by_seed(run(means) for _ in range(seeds)) for arm, means in does.items()}


def test_arms_differ_in_what_is_frozen_alone():
    """The first or last layer from the start, the last from a step on; all else is the base."""
    base = evolve(BASE, overrides={"fc2": Override(momentum=0.5)}, seed=9)
    planned = Freeze(step=7).plan(base, [1, 2])
    assert [one.spec.seed for one in planned] == [1, 2] * 4
    overrides = {one.arm: one.spec.overrides for one in planned}
    assert overrides == {
        "plain": base.overrides,
        "first frozen": {**base.overrides, "fc1": Override(frozen_from=0)},
        "last frozen": {"fc2": Override(momentum=0.5, frozen_from=0)},
        "last frozen from step 7": {"fc2": Override(momentum=0.5, frozen_from=7)},
    }
    assert all(evolve(one.spec, overrides=base.overrides, seed=9) == base for one in planned)
    normed = FREEZE.plan(TrainingSpec(resnet20()), [0])
    assert {one.tracking["mode"] for one in normed} == {"batch-stats"}
    assert {tuple(one.spec.overrides) for one in normed} == {(), ("conv1",), ("fc1",)}


def test_any_layer_is_frozen_where_it_is_asked_for():
    """One more layer is frozen from the start and from the step on, and judged like the others."""
    one = Freeze(step=3, layer="fc1")
    planned = {run.arm: run.spec.overrides for run in one.plan(BASE, [0])}
    assert planned["fc1 frozen"] == {"fc1": Override(frozen_from=0)}
    assert planned["fc1 frozen from step 3"] == {"fc1": Override(frozen_from=3)}
    given = arms(0.0, -0.3)
    given |= {"a frozen": given["first frozen"], "a frozen from step 3": given["first frozen"]}
    found = strict(Freeze(step=3, layer="a").judge(given).results)["against_plain"]
    assert found["a frozen"] == found["a frozen from step 3"] == found["first frozen"]
    assert found["a frozen"]["frozen"] == "a"
    with pytest.raises(ExperimentError, match="'fc' has no such layer; it has fc1, fc2"):
        Freeze(layer="fc9").plan(BASE, [0])


def test_one_layer_has_no_others():
    """A network of a single layer is refused before anything runs."""
    single = NetworkSpec("single", (2, 2, 1), [Flatten(), Dense(3)])
    with pytest.raises(ExperimentError, match="at least two, 'single' has"):
        FREEZE.plan(TrainingSpec(single), [0])


@pytest.mark.parametrize(
    ("first", "last", "found"),
    [
        (0.0, -0.3, "agrees"),
        (0.0, -0.05, "disagrees"),
        (-0.3, -0.3, "disagrees"),
        (0.0, -0.145, "undecided"),
    ],
)
def test_planted_effects(first, last, found):
    """The last frozen must lower the loss, the first must not, and the others must help less."""
    judged = Freeze(step=3).judge(arms(first, last, spread=0.01))
    assert judged.verdict == found
    strict(judged.results)


def test_differences_are_paired_by_seed():
    """P is scipy's paired test of the seeds that both arms have; others are left out."""
    given = arms(0.0, -0.12)
    del given["last frozen"][2]
    del given["plain"][5]
    judged = Freeze(step=3).judge(given)
    found = strict(judged.results)["against_plain"]["last frozen"]
    seeds = sorted(set(range(10)) - {2, 5})
    plain, frozen = (
        [given[arm][seed].loss("train")[-1] for seed in seeds] for arm in ("plain", "last frozen")
    )
    truth = stats.ttest_rel(frozen, plain)
    assert found["loss"]["train"]["p"] == pytest.approx(truth.pvalue)
    assert found["loss"]["train"]["value"] == pytest.approx(np.mean(frozen) - np.mean(plain))
    assert found["loss"]["train"]["n"] == 8
    assert (found["frozen"], list(found["layers"])) == ("b", ["a"])
    assert found["others"] == found["layers"]["a"]


def test_why_it_does_not_help_here():
    """Where the last layer helps when free, the text gives that as the reason."""
    judged = Freeze(step=3).judge(arms(0.0, -0.05))
    assert any("here b helps when it is free" in part for part in judged.text)
    assert not any("takes this help" in part for part in Freeze(step=3).judge(arms(0, -0.3)).text)


def test_null_effects_are_found_in_five_percent():
    """Frozen runs that end as the plain ones have p < 0.05 in 5 % of draws."""
    rng = np.random.default_rng(5)

    def run():
        return planted([[rng.normal(), 0.0]])

    p = []
    for _ in range(250):
        runs = {arm: by_seed(run() for _ in range(6)) for arm in ("plain", "first frozen")}
        given = {**runs, "last frozen": runs["first frozen"]}
        p.append(FREEZE.judge(given).results["against_plain"]["last frozen"]["loss"]["train"]["p"])
    low, high = stats.binom.interval(0.999, len(p), 0.05)
    assert low <= sum(one < 0.05 for one in p) <= high


def test_layers_that_chance_alone_moves_are_seldom_named():
    """Of twenty layers that freezing does nothing to, any is named in at most 5 % of draws."""
    rng = np.random.default_rng(6)
    layout = Layout([Leaf(f"fc{i}.kernel", (2,), layer=f"fc{i}") for i in range(21)])

    def run():
        return planted(rng.normal(0, 0.1, (1, 21)) - 0.5, layout=layout)

    named = 0
    for _ in range(100):
        runs = {arm: by_seed(run() for _ in range(5)) for arm in ("plain", "last frozen")}
        judged = FREEZE.judge({**runs, "first frozen": runs["last frozen"]})
        (line,) = [part for part in judged.text if part.startswith("last frozen: LCA changed")]
        named += "no other layer" not in line
        assert line.endswith(", corrected for 20 layers.")
    assert named <= stats.binom.ppf(0.999, 100, 0.05)


def test_too_little():
    """One common seed decides nothing; none, or an arm without runs, is refused."""
    one = Freeze(step=3).judge(arms(0.0, -0.3, seeds=1))
    assert one.verdict == "undecided"
    assert "One seed" in one.text[0]
    assert not any("LCA changed of" in part for part in one.text)
    assert strict(one.results)["against_plain"]["last frozen"]["loss"]["val"]["p"] is None
    given = arms(0.0, -0.3, seeds=2)
    with pytest.raises(ExperimentError, match="No seed is finished both"):
        FREEZE.judge({**given, "last frozen": {7: given["plain"][0]}})
    with pytest.raises(ExperimentError, match="last frozen has no run that ended well"):
        FREEZE.judge({**given, "last frozen": {}})


def test_a_run_that_diverged_is_left_out():
    """Its seed does not count, the text says so, and no NaN comes out."""
    given = arms(0.0, -0.3, seeds=4)
    given["last frozen"][1] = planted([[np.nan, 0.0]])
    judged = Freeze(step=3).judge(given)
    assert strict(judged.results)["against_plain"]["last frozen"]["loss"]["val"]["n"] == 3
    assert judged.text[-1].endswith("in the end: 1 run of 'last frozen'.")


def test_of_trained_runs():
    """A tiny perceptron needs its last layer: frozen, it learns less; every picture is drawn."""
    experiment = Freeze(step=12)
    judged = experiment.judge(trained(experiment.plan(BASE, range(6))))
    assert judged.verdict == "disagrees"
    found = strict(judged.results)
    last = found["against_plain"]["last frozen"]
    assert last["frozen"] == "fc2"
    assert last["loss"]["train"]["value"] > 0 > last["its_lca_when_free"]["value"]
    late = found["against_plain"]["last frozen from step 12"]
    assert 0 < late["loss"]["train"]["value"] < last["loss"]["train"]["value"]
    assert set(judged.figures) == {"first-frozen", "last-frozen", "last-frozen-from-step-12"}
    assert all(draw().axes for draw in judged.figures.values())
