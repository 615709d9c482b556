"""Validation falling behind: planted in both directions, and tiny real runs."""

import numpy as np
import pytest
from attrs import evolve
from scipy import stats

from experiments.planted import LAYOUT, by_seed, planted, strict, trained
from lca_core.errors import ExperimentError
from lca_core.experiments.overfit import OVERFIT
from lca_core.experiments.windows import equal, windows
from lca_core.networks import fc, resnet20
from lca_core.optimizers import Cosine
from lca_core.segment import Status
from lca_core.training import TrainingSpec

BASE = TrainingSpec(fc((2, 2, 1), 3, hidden=(6,)), batch_size=20, epochs=8)
STEPS, HALF = 20, 10


def totals(train, val):
    """Return what `Totals()` keeps of two measures: the same for every parameter of a leaf."""

    def leaves(values):
        return {leaf.name: np.full(leaf.shape, v)
                for leaf, v in zip(LAYOUT.leaves, values, strict=True)}  # fmt: skip

    def nothing():
        return leaves((0.0, 0.0))

    measures = {"train": train, "val": val}
    return {m: {"total": leaves(v), "total_rounding": nothing()} for m, v in measures.items()}


def pair(late, rng, spread=0.02):
    """Return a whole run and its first half; val / train is 0.9 at first, `late` in the end."""
    train = -np.abs(rng.normal([0.1, 0.05], 0.01, (STEPS, 2)))
    rate = np.repeat([[0.9], [late]], HALF, axis=0)
    val = train * (rate + rng.normal(0, spread, (STEPS, 2)))
    whole = planted(train, val, totals=totals(train.sum(axis=0), val.sum(axis=0)))
    begun = (train[:HALF], val[:HALF])
    half = planted(*begun, totals=totals(*(part.sum(axis=0) for part in begun)))
    return whole, half


def arms(late, seeds=8, seed=0, spread=0.02):
    """Return both arms."""
    rng = np.random.default_rng(seed)
    whole, half = zip(*(pair(late, rng, spread) for _ in range(seeds)), strict=True)
    return {"whole": by_seed(whole), "first half": by_seed(half)}


def test_arms_differ_in_their_length_alone():
    """The base, and half of its epochs; one epoch has no half."""
    planned = OVERFIT.plan(evolve(BASE, epochs=9, seed=5), [1, 2])
    assert [(one.arm, one.spec.seed, one.spec.epochs) for one in planned] == [
        ("whole", 1, 9), ("whole", 2, 9), ("first half", 1, 4), ("first half", 2, 4),
    ]  # fmt: skip
    assert all(evolve(one.spec, epochs=8, seed=0) == BASE for one in planned)
    assert OVERFIT.plan(TrainingSpec(resnet20()), [0])[0].tracking["mode"] == "batch-stats"
    with pytest.raises(ExperimentError, match="at least 2 epochs"):
        OVERFIT.plan(evolve(BASE, epochs=1), [0])


@pytest.mark.parametrize(
    ("late", "found"), [(0.5, "agrees"), (0.9, "undecided"), (1.2, "disagrees")]
)
def test_planted_effects(late, found):
    """Validation that falls behind, keeps up, or catches up in the second half."""
    judged = OVERFIT.judge(arms(late))
    assert judged.verdict == found
    results = strict(judged.results)
    whole = results["halves"][-1]
    assert whole["first"]["value"] == pytest.approx(0.9, abs=0.02)
    assert whole["second"]["value"] == pytest.approx(late, abs=0.02)
    assert whole["behind"]["value"] == pytest.approx((0.9 - late) * 1.5, abs=0.03)
    assert results["middle"] == HALF


def test_the_layer_that_falls_behind_is_named():
    """Only the layer whose rate falls is said to fall behind."""
    given = arms(0.9)
    for seed, run in given["whole"].items():
        rows = {**run.rows, "allocation": run.rows["allocation"].copy()}
        rows["allocation"][HALF:, 1, 1] *= 0.5
        given["whole"][seed] = evolve(run, rows=rows)
    judged = OVERFIT.judge(given)
    (told,) = (part for part in judged.text if "these fall behind" in part)
    assert "b (" in told
    assert "a (" not in told


def test_lag_by_hand():
    """One window's sums and ratio; nothing learned has no ratio, what one lost counts nowhere."""
    train = [[-2.0, 1.0], [-5.0, -5.0], [-1.0, -1.0]]
    val = [[-1.0, 1.0], [np.nan, np.nan], [-1.0, 0.5]]
    run = planted(train, val)
    run.rows["status"][1, 1] = Status.NONFINITE
    found = windows(run, [0, 2, 3])
    assert found.labels == ("a", "b", "all")
    np.testing.assert_allclose(found.learned, [[-2, 1, -1], [-1, -1, -2]])
    np.testing.assert_allclose(found.held_out, [[-1, 1, 0], [-1, 0.5, -0.5]])
    np.testing.assert_allclose(found.ratio, [[0.5, np.nan, 0], [1, -0.5, 0.25]])
    with pytest.raises(ExperimentError, match="end at step 9, the run has 3"):
        windows(planted(train, val), equal(9, 3))


def test_parameters_of_the_second_half_are_what_is_missing():
    """Layer b helps both in the first half and overfits in the second: 4 of 10 parameters."""
    given = arms(0.9)
    for seed, run in given["first half"].items():
        first = totals((-1.0, -1.0), (-1.0, -1.0))
        given["first half"][seed] = evolve(run, totals=first)
        whole = totals((-2.0, -2.0), (-2.0, -0.5))
        given["whole"][seed] = evolve(given["whole"][seed], totals=whole)
    judged = OVERFIT.judge(given)
    found = strict(judged.results)["parameters"]
    assert found["first_half"]["value"] == 0.0
    assert found["second_half"]["value"] == pytest.approx(0.4)
    assert found["whole"]["value"] == 0.0
    assert any("40.0 ± 0 % in the second" in part for part in judged.text)


@pytest.mark.parametrize("losing", [1, 8])
def test_runs_that_lost_other_steps_are_left_out_aloud(losing):
    """What parameters did is not compared over different steps, and the text says so."""
    given = arms(0.9)
    for seed, run in list(given["whole"].items())[:losing]:
        status = run.rows["status"].copy()
        status[3, 1] = Status.NONFINITE
        given["whole"][seed] = evolve(run, rows={**run.rows, "status": status})
    judged = OVERFIT.judge(given)
    assert strict(judged.results)["parameters"]["runs_without"] == losing
    (told,) = (part for part in judged.text if "other steps in one measure" in part)
    said = "Left out: 1 run that" if losing == 1 else "is not known: every run lost"
    assert said in told


def test_another_training_is_no_first_half():
    """Where the short runs were trained otherwise (a schedule by length), the text says so."""
    base = evolve(BASE, schedule=Cosine())
    judged = OVERFIT.judge(trained(OVERFIT.plan(base, range(2))))
    assert "change" not in judged.results["parameters"]
    assert any("is not known: no training for half" in part for part in judged.text)


def test_null_effects_are_found_in_five_percent():
    """Validation at the same rate in both halves has p < 0.05 in 5 % of draws."""
    rng = np.random.default_rng(11)
    p = []
    for _ in range(300):
        rates = rng.normal(0.9, 0.1, (6, 2))
        runs = [planted(-np.ones((2, 2)), -rate[:, None] * np.ones((2, 2)),
                        totals=totals((-1, -1), (-1, -1))) for rate in rates]  # fmt: skip
        given = {"whole": by_seed(runs), "first half": {}}
        p.append(OVERFIT.judge(given).results["halves"][-1]["behind"]["p"])
    low, high = stats.binom.interval(0.999, len(p), 0.05)
    assert low <= sum(one < 0.05 for one in p) <= high


def test_too_little():
    """One seed decides nothing; missing and diverged halves are done without."""
    one = OVERFIT.judge(arms(0.5, seeds=1))
    assert one.verdict == "undecided"
    assert "in 1 run: too few" in one.text[0]
    strict(one.results)
    given = arms(0.5, seeds=5)
    del given["first half"][3]
    given["whole"][1] = planted([[np.nan, 0.0]])
    judged = OVERFIT.judge(given)
    results = strict(judged.results)
    assert results["seeds"] == [0, 2, 3, 4]
    assert results["parameters"]["change"]["n"] == 3
    assert "1 run of 'whole'" in judged.text[-1]
    with pytest.raises(ExperimentError, match="ended well; there is none"):
        OVERFIT.judge({**given, "whole": {}})


def test_of_trained_runs():
    """On sixty noisy examples a perceptron overfits, and the short runs are the beginning."""
    base = evolve(BASE, epochs=60)
    judged = OVERFIT.judge(trained(OVERFIT.plan(base, range(5))))
    assert judged.verdict == "agrees"
    found = strict(judged.results)
    assert found["middle"] == 90
    assert found["parameters"]["change"]["value"] > 0
    assert all(draw().axes for draw in judged.figures.values())
