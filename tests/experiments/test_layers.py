"""Which layers hurt: planted effects in both directions, and tiny real runs."""

import numpy as np
import pytest
from attrs import evolve
from scipy import stats

from experiments.planted import by_seed, diverged, planted, strict, trained
from lca_core.errors import AnalysisError, ExperimentError
from lca_core.experiments.layers import LAYERS
from lca_core.networks import fc, resnet
from lca_core.reference import demo_run
from lca_core.training import TrainingSpec


def arms(network, first, last, seeds=10, spread=0.05):
    """Return an arm whose two layers do this a step, over four steps."""
    rng = np.random.default_rng(1)
    each = rng.normal([first, last], spread, size=(seeds, 4, 2))
    return {network: by_seed(planted(one) for one in each)}


def test_one_arm_named_after_the_network():
    """The trainings differ in their seed alone; batch norm is measured as the article did."""
    base = TrainingSpec(fc((8, 8, 1)), seed=99)
    one, two = LAYERS.plan(base, [3, 4])
    assert (one.arm, two.arm) == ("fc", "fc")
    assert (one.spec, two.spec) == (evolve(base, seed=3), evolve(base, seed=4))
    assert "mode" not in one.tracking
    small = resnet((8, 8, 1), widths=(4,), blocks=1)
    (normed,) = LAYERS.plan(TrainingSpec(small), [0])
    assert normed.tracking["mode"] == "batch-stats"


@pytest.mark.parametrize(
    ("network", "first", "last", "found"),
    [
        ("fc", -0.5, -0.3, "agrees"),
        ("lenet", -0.5, 0.3, "disagrees"),
        ("fc", -0.5, 0.0, "undecided"),
        ("resnet", 0.5, 0.3, "agrees"),
        ("resnet", 0.5, -0.3, "disagrees"),
        ("resnet", 0.5, 0.0, "undecided"),
        ("allcnn", 0.5, 0.3, "undecided"),
    ],
)
def test_the_verdict_is_on_what_is_said_of_the_network(network, first, last, found):
    """Planted layers that help, hurt or do neither beyond chance decide it."""
    judged = LAYERS.judge(arms(network, first, last))
    assert judged.verdict == found
    strict(judged.results)


def test_numbers_are_scipys():
    """Means, p and Holm's correction in the results, and the counts in the text."""
    given = arms("fc", -0.5, 0.1)
    totals = np.array([run.allocation("train").values.sum(axis=0) for run in given["fc"].values()])
    p = stats.ttest_1samp(totals, 0).pvalue
    judged = LAYERS.judge(given)
    a, b = strict(judged.results)["layers"]
    assert [a["mean"]["p"], b["mean"]["p"]] == pytest.approx(p)
    assert sorted([a["p_holm"], b["p_holm"]])[1] == pytest.approx(max(p.max(), 2 * p.min()))
    np.testing.assert_allclose(np.transpose([a["totals"], b["totals"]]), totals)
    assert b["p_sign"] == pytest.approx(2 / 2**10)
    assert "| 10 of 10 |" in judged.text[1]
    assert "b (p" in judged.text[2]
    assert judged.figures["layers"]().axes


def test_a_layer_that_stood_still_is_no_test():
    """A frozen layer neither helps nor hurts, and does not change the verdict on the others."""
    given = arms("fc", -0.5, 0.0)
    for seed, run in given["fc"].items():
        still = run.rows["allocation"] * np.array([1.0, 0.0])
        given["fc"][seed] = evolve(run, rows={**run.rows, "allocation": still})
    judged = LAYERS.judge(given)
    assert judged.verdict == "agrees"
    assert strict(judged.results)["layers"][1]["p_holm"] is None


def test_one_seed_decides_nothing():
    """A single run is shown with its integral's error, and the text says why nothing follows."""
    judged = LAYERS.judge(arms("fc", -0.5, -0.3, seeds=1))
    assert judged.verdict == "undecided"
    assert "One run is no sample" in judged.text[0]
    assert strict(judged.results)["layers"][0]["p_holm"] is None
    assert judged.figures["layers"]().axes


def test_what_cannot_be_judged_is_refused():
    """Two arms, or runs of two networks, are no experiment of one."""
    with pytest.raises(ExperimentError, match="one arm"):
        LAYERS.judge({**arms("fc", 1, 1), **arms("lenet", 1, 1)})
    with pytest.raises(AnalysisError, match="different networks"):
        LAYERS.judge({"fc": by_seed([demo_run(), planted([[1.0, 1.0]])])})


def test_a_run_that_diverged_is_left_out():
    """Its seed changes nothing but for a sentence; without any other there is nothing to judge."""
    given = arms("fc", -0.5, -0.3)
    whole = LAYERS.judge(given)
    judged = LAYERS.judge({"fc": {**given["fc"], 10: diverged()}})
    assert (judged.verdict, judged.results) == ("agrees", whole.results)
    told = "Left out, as the loss was no number in the end: 1 run of 'fc'."
    assert judged.text == (*whole.text, told)
    assert judged.figures["layers"]().axes
    with pytest.raises(ExperimentError, match="'fc' that ended well"):
        LAYERS.judge({"fc": {0: diverged()}})


def test_a_null_layer_is_found_in_five_percent():
    """Of layers that do nothing on average, p < 0.05 in 5 % of draws of ten runs."""
    rng = np.random.default_rng(3)
    p = []
    for _ in range(60):
        runs = by_seed(planted(rng.normal(size=(1, 2))) for _ in range(10))
        p += [one["mean"]["p"] for one in LAYERS.judge({"fc": runs}).results["layers"]]
    low, high = stats.binom.interval(0.999, len(p), 0.05)
    assert low <= sum(one < 0.05 for one in p) <= high


def test_of_trained_runs():
    """All layers of a tiny perceptron help, over eight seeds really trained."""
    base = TrainingSpec(fc((2, 2, 1), 3, hidden=(6,)), batch_size=20, epochs=8)
    judged = LAYERS.judge(trained(LAYERS.plan(base, range(8))))
    assert judged.verdict == "agrees"
    results = strict(judged.results)
    assert [one["layer"] for one in results["layers"]] == ["fc1", "fc2"]
    assert all(one["mean"]["value"] < 0 for one in results["layers"])
