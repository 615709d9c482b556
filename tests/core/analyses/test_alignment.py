"""Cosines of layers and correlations of parameters, against numpy and scipy."""

import numpy as np
import pytest
from scipy import stats

from lca_core import TRAPEZOID, Fixed, Sizes, Totals, Watch
from lca_core.analyses import alignment, correlation
from lca_core.errors import AnalysisError, NotRecordedError
from lca_core.reference import demo_run, track


def test_cosines_are_those_of_the_leaves(perceptron):
    """On a random walk: of the displacement and the mean gradient, leaf by leaf and together."""
    rng = np.random.default_rng(0)
    path = [perceptron.initial(0)]
    for _ in range(5):
        path.append({k: v + 0.1 * rng.normal(size=v.shape) for k, v in path[-1].items()})
    path.append(path[-1])
    settings = {"integrator": Fixed(TRAPEZOID), "observers": [Sizes()]}
    with track({"train": perceptron}, path[0], perceptron.layout, **settings) as tracker:
        for point in path[1:]:
            tracker.step(point)
    leaves, whole = (alignment(tracker.run, "train", by) for by in ("leaf", "layer"))
    for t in range(5):
        g = [perceptron(path[t + s], {}).gradient for s in (0, 1)]
        moved = {k: path[t + 1][k] - path[t][k] for k in path[0]}
        mean = {k: (g[0][k] + g[1][k]) / 2 for k in path[0]}
        for i, name in enumerate(leaves.labels):
            a, b = moved[name].ravel(), mean[name].ravel()
            truth = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
            assert leaves.values[t, i] == pytest.approx(truth, rel=1e-9)
        a, b = (np.append(x["fc1.weight"].ravel(), x["fc1.bias"]) for x in (moved, mean))
        truth = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
        assert whole.values[t, 0] == pytest.approx(truth, rel=1e-9)
    assert np.isnan(leaves.values[5]).all()


def test_correlations_are_scipys():
    """Value and p-value of every watched parameter; one that stands still has none."""
    places = [("fc1.weight", (0, 1)), ("fc2.bias", (2,))]
    run = demo_run(steps=12, observers=[Watch(places)])
    found = correlation(run, "train")
    for i in range(len(places)):
        weight = run.watched("train").weight[:, i]
        gradient = run.watched("train").gradient[1:, i]
        truth = stats.pearsonr(np.diff(weight), gradient)
        assert found.value[i] == pytest.approx(truth.statistic, rel=1e-9)
        assert found.p_value[i] == pytest.approx(truth.pvalue, rel=1e-6)
    assert found.steps == 11


def test_what_stood_still_has_no_correlation(perceptron):
    """Without a change there is nothing to correlate: NaN, not a warning."""
    start = perceptron.initial(0)
    watch = Watch([("fc1.bias", (0,))])
    with track({"train": perceptron}, start, perceptron.layout, observers=[watch]) as tracker:
        for _ in range(6):
            tracker.step(start)
    found = correlation(tracker.run, "train")
    assert np.isnan(found.value[0])
    assert np.isnan(found.p_value[0])


def broken(perceptron, lost, value):
    """Return a watched random walk of twelve steps, on some of which a weight is no number."""
    rng, params = np.random.default_rng(3), perceptron.initial(0)
    watch = Watch([("fc1.weight", (0, 1)), ("fc2.bias", (2,))])
    with track({"train": perceptron}, params, perceptron.layout, observers=[watch]) as tracker:
        for t in range(12):
            params = {k: v + 0.1 * rng.normal(size=v.shape) for k, v in params.items()}
            point = {k: v.copy() for k, v in params.items()}
            if t in lost:
                point["fc1.weight"][0, 1] = value
            with np.errstate(invalid="ignore"):
                tracker.step(point)
    return tracker.run


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_lost_steps_are_left_out(perceptron, value):
    """Two steps in a row without a number, and the step back from them, are not compared."""
    run = broken(perceptron, {5, 6}, value)
    found, watched = correlation(run, "train"), run.watched("train")
    kept = [t for t in range(1, 12) if t not in {5, 6, 7}]
    assert found.steps == len(kept)
    for i in range(2):
        motion = [watched.weight[t, i] - watched.weight[t - 1, i] for t in kept]
        truth = stats.pearsonr(motion, watched.gradient[kept, i])
        assert found.value[i] == pytest.approx(truth.statistic, rel=1e-9)
        assert found.p_value[i] == pytest.approx(truth.pvalue, rel=1e-6)


def test_a_run_that_was_lost_is_said(perceptron):
    """With two steps left to compare there is no correlation, and the error counts them."""
    run = broken(perceptron, range(3, 12), np.nan)
    with pytest.raises(AnalysisError, match="the run has 12, and 2 can be compared"):
        correlation(run, "train")


def test_too_little_is_said():
    """Short runs, and runs without the observers, are errors that say what is missing."""
    watch = Watch([("fc1.bias", (0,))])
    with pytest.raises(AnalysisError, match="at least 4 steps, the run has 3"):
        correlation(demo_run(steps=3, observers=[watch]), "train")
    with pytest.raises(NotRecordedError, match=r"Add Sizes\(\)"):
        alignment(demo_run(observers=[Totals()]), "train")
