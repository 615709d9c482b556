"""Errors and costs of rules: an independent dense computation, planted gaps, and the figure."""

from itertools import combinations, pairwise

import numpy as np
import pytest
from attrs import evolve
from matplotlib.text import Text

from experiments.planted import blobs, diverged, planted, strict, trained
from lca_core.account import Account
from lca_core.errors import ExperimentError
from lca_core.experiments.integrator import ARTICLES, DEFAULT, INTEGRATOR, INTEGRATORS, SEEDS, TRUTH
from lca_core.experiments.refined_simpson import RefinedSimpson
from lca_core.figures import Theme
from lca_core.figures.labels import beside
from lca_core.figures.rules import _LABEL, error_against_cost
from lca_core.integrate import Fixed
from lca_core.networks import fc, resnet
from lca_core.optimizers import SGD
from lca_core.reference.training import iterates
from lca_core.rules import SIMPSON, composite
from lca_core.training import TrainingSpec

SMALL = TrainingSpec(fc((2, 2, 1), 3, hidden=(4,)), SGD(0.4, 0.9), batch_size=10, epochs=2)


def test_one_training_measured_by_every_rule():
    """Arms differ in their integrator alone, and only the first seeds are used."""
    planned = INTEGRATOR.plan(evolve(SMALL, seed=9), [4, 3, 2, 1, 0])
    assert [one.spec.seed for one in planned[:: len(INTEGRATORS) + 1]] == [4, 3, 2][:SEEDS]
    arms = {one.arm: one.tracking["integrator"] for one in planned}
    assert list(arms) == [TRUTH, *INTEGRATORS]
    assert arms[TRUTH] == Fixed(composite(SIMPSON, 16))
    for one in planned:
        assert evolve(one.spec, seed=9) == evolve(SMALL, seed=9)
        assert "mode" not in one.tracking
    normed = TrainingSpec(resnet((8, 8, 1), widths=(4,), blocks=1))
    assert INTEGRATOR.plan(normed, [0])[0].tracking["mode"] == "batch-stats"


def gradient(params, split):
    """Return loss and gradient of the 4-4-3 ReLU network, written out."""
    (w1, b1, w2, b2), x = params, split.inputs.reshape(len(split), -1).astype(float)
    hidden = x @ w1 + b1
    logits = np.maximum(hidden, 0) @ w2 + b2
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    hot = np.eye(3)[split.labels]
    up = (p - hot) / len(split)
    back = (up @ w2.T) * (hidden > 0)
    loss = -np.log((p * hot).sum(axis=1)).mean()
    return loss, [x.T @ back, back.sum(axis=0), np.maximum(hidden, 0).T @ up, up.sum(axis=0)]


def dense(spec, split, nodes, weights):
    """Return losses, and the allocation of every parameter at every step, by a rule."""
    path = [[np.array(p) for p in params.values()] for params, _ in iterates(spec, split)]
    losses = np.array([gradient(params, split)[0] for params in path])
    steps = []
    for start, end in pairwise(path):
        moved = [b - a for a, b in zip(start, end, strict=True)]
        mean = [np.zeros_like(a) for a in start]
        for s, w in zip(nodes, weights, strict=True):
            point = [a + s * d for a, d in zip(start, moved, strict=True)]
            mean = [m + w * g for m, g in zip(mean, gradient(point, split)[1], strict=True)]
        steps.append([(m * d).ravel() for m, d in zip(mean, moved, strict=True)])
    return losses, [np.array(leaf) for leaf in zip(*steps, strict=True)]


def panels(n):
    """Return nodes and weights of Simpson's rule on n panels."""
    weights = np.ones(2 * n + 1)
    weights[1:-1:2], weights[2:-1:2] = 4, 2
    return np.linspace(0, 1, 2 * n + 1), weights / (6 * n)


@pytest.fixture(scope="module")
def arms():
    """Return really trained arms of two seeds."""
    return trained(INTEGRATOR.plan(SMALL, [0, 1]))


@pytest.mark.parametrize(
    ("arm", "nodes", "weights", "cost"),
    [("left", [0], [1], 1), ("trapezoid", [0, 1], [0.5, 0.5], 1), ("Simpson", *panels(1), 2),
     ("Boole", np.linspace(0, 1, 5), np.array([7, 32, 12, 32, 7]) / 90, 4),
     ("Gauss-2", [0.5 - 3**-0.5 / 2, 0.5 + 3**-0.5 / 2], [0.5, 0.5], 3),
     ("Simpson x4", *panels(4), 8)],
)  # fmt: skip
def test_errors_are_those_of_a_dense_computation(arms, arm, nodes, weights, cost):
    """Every number of the table, from a network written out and all its steps times parameters."""
    results = strict(INTEGRATOR.judge(arms).results)["rules"][arm]
    for seed in (0, 1):
        spec = evolve(SMALL, seed=seed)
        losses, found = dense(spec, blobs().train, nodes, weights)
        _, true = dense(spec, blobs().train, *panels(16))
        one = results["seeds"][str(seed)]
        gap = np.diff(losses) - sum(leaf.sum(axis=1) for leaf in found)
        assert one["total"] == pytest.approx(abs(gap.sum() / (losses[-1] - losses[0])), rel=1e-6)
        assert one["worst_step"] == pytest.approx(np.abs(gap).max(), rel=1e-6)
        layers, true_layers = (
            np.array([each[0].sum() + each[1].sum(), each[2].sum() + each[3].sum()])
            for each in (found, true)
        )
        np.testing.assert_allclose(one["layers"], layers - true_layers, atol=1e-12)
        wrong = np.array(["fc1", "fc2"])[np.sign(layers) != np.sign(true_layers)]
        assert one["layers_flipped"] == wrong.tolist()
        total, truth = (np.concatenate([leaf.sum(axis=0) for leaf in x]) for x in (found, true))
        l1 = np.abs(total - truth).sum() / np.abs(truth).sum()
        assert one["parameters"] == pytest.approx(l1, rel=1e-6)
        moved = truth != 0
        flips = (np.sign(total) != np.sign(truth))[moved].mean()
        assert one["parameters_flipped"] == pytest.approx(flips)
        assert one["cost"] == cost


def test_the_articles_rule_doubles_until_a_step_closes(arms):
    """Its gaps are those of the first of 1, 2, ... 16 panels that is below the threshold."""
    run = arms[ARTICLES][0]
    losses, _ = dense(SMALL, blobs().train, *panels(1))
    gaps = {}
    for n in (1, 2, 4, 8, 16):
        _, found = dense(SMALL, blobs().train, *panels(n))
        gaps[n] = np.diff(losses) - sum(leaf.sum(axis=1) for leaf in found)
    refined = 0
    for t, (gap, spent) in enumerate(zip(run.gap("train"), run.evaluations("train"), strict=True)):
        n = next((n for n in gaps if abs(gaps[n][t]) <= 1e-3), 16)
        assert gap == pytest.approx(gaps[n][t], abs=1e-12)
        assert spent == 2 * n
        refined += n > 1
    assert refined  # else nothing was tested
    rough = RefinedSimpson(threshold=1e-9, most_panels=1)
    assert rough.settle(0, change=1.0, gap=1.0, noise=0.0, account=Account()) == 1


def leaves(values):
    """Return running totals of a planted run."""
    split = {"a.kernel": np.array(values[:6], float), "b.kernel": np.array(values[6:], float)}
    one = {"total": split, "total_rounding": {name: 0 * leaf for name, leaf in split.items()}}
    return {"train": one, "val": one}


def planted_arms(gaps, seeds=2):
    """Return arms whose books leave over `gaps` a step of a loss that falls by 1, in four."""
    loss = 3 - 0.25 * np.arange(1, 5)
    made = {}
    for arm in (TRUTH, *INTEGRATORS):
        gap = np.full(4, gaps.get(arm, 0.0))
        allocation = np.stack([-0.5 - gap, np.full(4, 0.25)], axis=1)
        totals = leaves([*[-2 / 6 - gap.sum() / 6] * 6, *[0.25] * 4])
        made[arm] = {
            seed: planted(allocation, totals=totals, gap=gap, loss=loss) for seed in range(seeds)
        }
    return made


@pytest.mark.parametrize(
    ("gaps", "found"),
    [({}, "agrees"), ({"left": 0.2, ARTICLES: 0.002, DEFAULT: -0.002}, "agrees"),
     ({ARTICLES: 0.003}, "disagrees"), ({DEFAULT: -0.003}, "disagrees")],
)  # fmt: skip
def test_verdicts_on_planted_gaps(gaps, found):
    """Both the article's rule and our default, or it does not agree; other rules do not count."""
    judged = INTEGRATOR.judge(planted_arms(gaps))
    assert judged.verdict == found
    rules = strict(judged.results)["rules"]
    for arm, gap in gaps.items():
        assert rules[arm]["total"]["value"] == pytest.approx(4 * abs(gap))
        assert rules[arm]["seeds"]["0"]["layers"] == pytest.approx([-4 * gap, 0])


def test_signs_that_are_wrong_are_named():
    """A layer whose total has the other sign, and the share of such parameters."""
    given = planted_arms({})
    flipped = np.full((4, 2), [-0.5, -0.01])
    totals = leaves([*[-2 / 6] * 6, -0.1, 0.2, 0.3, 0.4])
    loss = given[TRUTH][0].loss("train")[1:]
    given["left"][0] = planted(flipped, totals=totals, loss=loss)
    judged = INTEGRATOR.judge(given)
    one = strict(judged.results)["rules"]["left"]["seeds"]
    assert (one["0"]["layers_flipped"], one["0"]["parameters_flipped"]) == (["b"], 0.1)
    assert (one["1"]["layers_flipped"], one["1"]["parameters_flipped"]) == ([], 0.0)
    (row,) = [line for line in judged.text[2].splitlines() if line.startswith("| left")]
    assert "| b |" in row


def test_seeds_are_paired_and_other_trajectories_left_out():
    """What was not trained as the truth was says nothing of a rule."""
    given = planted_arms({})
    other = planted(np.full((4, 2), -0.1), totals=leaves([0.1] * 10))
    given["Boole"][1] = other
    del given["midpoint"][0]
    judged = INTEGRATOR.judge(given)
    assert judged.results["trained_differently"] == {"Boole": [1]}
    assert "Boole, seed 1" in judged.text[1]
    assert list(judged.results["rules"]["Boole"]["seeds"]) == ["0"]
    assert list(judged.results["rules"]["midpoint"]["seeds"]) == ["1"]
    given[DEFAULT] = {1: other}
    with pytest.raises(ExperimentError, match="same losses"):
        INTEGRATOR.judge(given)
    with pytest.raises(ExperimentError, match="no arm"):
        INTEGRATOR.judge({"left": given["left"]})


def test_a_loss_that_stays_decides_nothing():
    """Nothing can be accounted for, and JSON has no NaN."""
    still = planted(np.zeros((3, 2)), totals=leaves([0.0] * 10))
    judged = INTEGRATOR.judge({arm: {0: still} for arm in (TRUTH, *INTEGRATORS)})
    assert judged.verdict == "undecided"
    assert strict(judged.results)["rules"][DEFAULT]["total"]["value"] is None
    for draw in judged.figures.values():
        draw()


def test_really_trained_orders_the_rules(arms):
    """First order is worst, the default is far below 1 % and knows its gaps."""
    rules = strict(INTEGRATOR.judge(arms).results)["rules"]
    assert rules["left"]["total"]["value"] > 10 * rules[DEFAULT]["total"]["value"]
    assert rules[DEFAULT]["total"]["value"] < 0.01
    assert rules["Simpson x4"]["parameters"]["value"] < rules["left"]["parameters"]["value"]


@pytest.mark.parametrize("width", [5.0, 3.4])
def test_the_figure_has_a_dot_a_rule(width):
    """A dot at cost and mean error of every rule whose error is known, numbered as in the key."""
    cost = {"one": 1.0, "two": 2.0, "three": 2.0}
    errors = {"total": {"one": [0.1, 0.3], "two": [0.01], "three": [0.0]}}
    theme = Theme.of(dark=True, width=width)
    figure = error_against_cost(cost, errors, marked=("two",), line=0.01, theme=theme)
    (axes,) = figure.axes
    dots = [tuple(line.get_xydata()[0]) for line in axes.lines if line.get_markersize() == 4
            and len(line.get_xydata()) == 1]  # fmt: skip
    assert dots == [(1.0, pytest.approx(0.2)), (2.0, pytest.approx(0.01))]
    assert [text.get_text() for text in axes.texts] == ["1", "2"]
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["1 one", "2 two", "3 three"]


def test_numbers_keep_apart():
    """Where dots are close, their numbers are not, hide no dot, and do not wander off."""
    heights = np.array([0.0, 0.01, 0.02, 0.5, 0.9, 0.95])
    dots = np.stack([np.ones(6), 0.5 + heights], axis=-1)
    placed = beside(dots, dots, _LABEL, (2.0, 2.0))
    for one, other in combinations(placed, 2):
        assert (np.abs(one - other) >= _LABEL).any()
    assert all((np.abs(one - dot) > np.array(_LABEL) / 2).any() for one in placed for dot in dots)
    assert np.hypot(*(placed - dots).T).max() < 2 * max(_LABEL)
    assert placed[3].tolist() == [1.12, 1.0]


def test_every_number_leads_to_its_dot():
    """Of crowded dots each number is tied to its own by a line, and lies on no other dot."""
    cost = {str(i): one for i, one in enumerate([2.0, 2.0, 2.36, 3.0, 3.0, 4.0, 4.0, 4.0, 4.0])}
    size = [6.3, 2.5, 2.0, 5.2, 1.6, 2.9, 1.9, 1.5, 1.3]
    errors = {rule: [value] for rule, value in zip(cost, size, strict=True)}
    figure = error_against_cost(cost, {"one": errors, "other": errors}, marked=("1",))
    figure.draw_without_rendering()
    axes = figure.axes[0]
    dots = {rule: (cost[rule], errors[rule][0]) for rule in cost}
    assert [text.xy for text in axes.texts] == list(dots.values())
    seen = axes.transData.transform(list(dots.values()))
    for text in axes.texts:
        assert text.arrow_patch is not None
        assert not Text.get_window_extent(text).count_contains(seen)


@pytest.mark.parametrize("width", [3.3, 5.0])
def test_numbers_of_rules_stand_clear(width):
    """Of dots as close as those of real rules, no number covers another, or leaves the panel."""
    costs = [1.0, 1.0, 2.0, 1.0, 2.0, 4.0, 3.0, 4.0, 3.0, 4.0, 4.0, 8.0, 2.0, 1.07, 2.002]
    size = [
        240.0,
        240.0,
        0.63,
        0.57,
        0.25,
        0.15,
        0.16,
        0.19,
        0.52,
        0.29,
        0.13,
        0.06,
        0.25,
        0.7,
        0.28,
    ]
    cost = dict(zip(map(str, range(15)), costs, strict=True))
    errors = {rule: [value] for rule, value in zip(cost, size, strict=True)}
    panels = {"total": errors, "parameters": errors}
    figure = error_against_cost(cost, panels, theme=Theme.of(width=width))
    figure.draw_without_rendering()
    for axes in figure.axes:
        boxes = [Text.get_window_extent(text) for text in axes.texts]  # without its line
        assert len(boxes) == len(cost)
        assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
        panel = axes.get_window_extent()
        assert all(panel.x0 < box.x0 and box.x1 < panel.x1 for box in boxes)


def test_a_run_that_diverged_is_left_out():
    """A seed that ended at no number does not stand for one whose loss stood still."""
    given = planted_arms({})
    whole = INTEGRATOR.judge(given)
    for arm in given.values():
        arm[2] = diverged()
    judged = INTEGRATOR.judge(given)
    assert (judged.verdict, judged.results) == ("agrees", whole.results)
    assert "no number in the end: 1 run of 'truth', 1 run of 'left'," in judged.text[-1]
    with pytest.raises(ExperimentError, match="there is no truth"):
        INTEGRATOR.judge({arm: {2: of_seed[2]} for arm, of_seed in given.items()})
