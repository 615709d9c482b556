"""The paper's network on real digits: closed books, few gradients, true allocations."""

from __future__ import annotations

import numpy as np
import pytest

from lca_core import SIMPSON, Fixed, composite
from lca_core.adapters import as_spelled
from lca_core.datasets import digits
from lca_core.reference import Perceptron
from lca_core.reference import track as track_numpy
from lca_core.training import TrainingSpec
from lca_torch.adapter import ADAPTER


def record(spec: TrainingSpec):
    """Train and return the run with every iterate."""
    iterates = [as_spelled(ADAPTER.spelling(spec.network), spec.initial())]

    def keep(tracker):
        params = tracker._state.snapshot.params
        iterates.append({name: leaf.numpy().copy() for name, leaf in params.items()})

    run = ADAPTER.train(spec, digits(), on_step=keep, tracking={})
    return run, iterates


@pytest.fixture(scope="module")
def recorded():
    """The demo's run."""
    return record(TrainingSpec())


def test_every_step_closes_at_little_more_than_one_gradient(recorded):
    """Every status is ok, at ≤ 1.2 gradients a step."""
    run, _ = recorded
    for measure in run.measures:
        assert np.all(run.status(measure) == 0)
        assert (1 + run.evaluations(measure).sum()) / run.steps <= 1.2


def test_the_books_of_the_run_close(recorded):
    """|Σ gap| ≤ 1e-4 of the total change, of both measures."""
    run, _ = recorded
    for measure in run.measures:
        change = run.loss(measure)[-1] - run.loss(measure)[0]
        assert change < -2.0
        assert abs(run.gap(measure).sum()) <= 1e-4 * abs(change)


@pytest.mark.parametrize("epochs", [2, pytest.param(30, marks=pytest.mark.slow)])
def test_leaf_totals_are_those_of_a_float64_reference(epochs):
    """Per-leaf totals are within 1e-3 of numpy, float64, Simpson on 16 panels; ± covers that."""
    run, iterates = record(TrainingSpec(epochs=epochs))
    train = digits().train
    inputs = train.inputs.reshape(len(train), -1).astype(np.float64)
    problem = Perceptron(inputs, train.labels, (64, 100, 50, 10))
    wide = [{k: leaf.astype(np.float64) for k, leaf in params.items()} for params in iterates]
    rule = Fixed(composite(SIMPSON, 16))
    with track_numpy(
        {"train": problem}, wide[0], problem.layout, integrator=rule, observers=[]
    ) as tracker:
        for params in wide[1:]:
            tracker.step(params)
    truth = tracker.run.allocation("train", by="leaf")
    found = run.allocation("train", by="leaf")
    error = np.abs(found.values.sum(0) - truth.values.sum(0))
    half_width = run.error("train", by="leaf").values

    assert found.labels == truth.labels
    np.testing.assert_allclose(found.values.sum(0), truth.values.sum(0), rtol=1e-3)
    np.testing.assert_allclose(run.loss("train"), tracker.run.loss("train"), rtol=2e-6)
    # 95 % intervals of six leaves: one may miss, none by much.
    assert (error <= half_width).sum() >= 5
    assert np.all(error <= 2 * half_width)


def test_totals_of_single_parameters_sum_to_the_leaves(recorded):
    """Sums over parameters, units, leaves and layers agree."""
    run, _ = recorded
    total = {name: values.sum() for name, values in run.total("train").items()}
    leaves = run.allocation("train", by="leaf")
    units = run.allocation("train", by="unit")
    layers = run.allocation("train", by="layer")

    np.testing.assert_allclose(list(total.values()), leaves.values.sum(0), rtol=1e-5)
    assert len(units.labels) == 160
    np.testing.assert_allclose(units.values.sum(1), layers.values.sum(1), atol=1e-7)
    np.testing.assert_allclose(units.values[:, :100].sum(1), layers.values[:, 0], atol=1e-7)


def test_the_articles_first_finding_holds(recorded):
    """More than half, but far from all, of the moving parameters help at a step."""
    run, _ = recorded
    share = run.helping("train", by="layer")
    overall = share.helped.sum(1) / (share.helped + share.hurt).sum(1)

    assert 0.5 < overall.mean() < 0.8
