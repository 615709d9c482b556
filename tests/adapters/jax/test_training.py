"""A `TrainingSpec` is trained by the formulas of its optimizer, and its books close."""

from __future__ import annotations

from collections import OrderedDict

import jax
import numpy as np
import pytest

from lca_core.datasets import digits
from lca_core.networks import BatchNorm, Dense, Dropout, Flatten, NetworkSpec, fc
from lca_core.optimizers import SGD, Adam, AdamW, Drops, Override, RMSprop
from lca_core.training import TrainingSpec
from lca_jax.adapter import ADAPTER
from lca_jax.networks import nested
from lca_jax.training import Groups

TWO = NetworkSpec("two", (3,), [Dense(4), Dense(2)])


def sgd(o, g, theta, memory):
    """Return v ← m·v + g."""
    memory["v"] = o.momentum * memory.get("v", 0.0) + g
    return memory["v"]


def rmsprop(o, g, theta, memory):
    """Return v ← m·v + g / (√s + ε) with s ← d·s + (1 - d)·g²."""
    memory["s"] = o.decay * memory.get("s", 0.0) + (1 - o.decay) * g**2
    memory["v"] = o.momentum * memory.get("v", 0.0) + g / (np.sqrt(memory["s"]) + o.epsilon)
    return memory["v"]


def adam(o, g, theta, memory):
    """Return m̂ / (√ŝ + ε)."""
    memory["t"] = memory.get("t", 0) + 1
    memory["m"] = o.beta1 * memory.get("m", 0.0) + (1 - o.beta1) * g
    memory["s"] = o.beta2 * memory.get("s", 0.0) + (1 - o.beta2) * g**2
    mean = memory["m"] / (1 - o.beta1 ** memory["t"])
    return mean / (np.sqrt(memory["s"] / (1 - o.beta2 ** memory["t"])) + o.epsilon)


def adamw(o, g, theta, memory):
    """Return Adam's, and w·θ from the same θ."""
    return adam(o, g, theta, memory) + o.weight_decay * theta


CASES = {
    "SGD": (SGD(0.1, 0.9), sgd),
    "RMSprop": (RMSprop(0.01, 0.5, 0.8, 0.05), rmsprop),
    "Adam": (Adam(0.02, 0.8, 0.9, 0.1), adam),
    "AdamW": (AdamW(0.02, 0.3, 0.8, 0.9, 0.1), adamw),
}


@pytest.mark.parametrize("case", CASES)
def test_optimizers_follow_their_formulas(case):
    """Ten steps with a schedule, another rate, another momentum and a freeze are the formulas'."""
    optimizer, formula = CASES[case]
    overrides = {"fc2": Override(learning_rate=0.05, momentum=0.3, frozen_from=6)}
    spec = TrainingSpec(TWO, optimizer, Drops([2, 4], by=0.5), overrides=overrides)
    groups, rng = Groups(spec), np.random.default_rng(0)
    start = spec.initial()
    params = nested(start)
    truth = {k: v.astype(np.float64) for k, v in start.items()}
    memory: dict[str, dict] = {name: {} for name in truth}
    settings = {leaf: group for group in spec.groups for leaf in group.leaves}
    updates = groups.init(params)
    update = jax.jit(groups.update)
    for step in range(10):
        factor = spec.schedule.factor(step, 2, 10)
        gradient = {k: rng.standard_normal(v.shape).astype(np.float32) for k, v in start.items()}
        params, updates = update(params, nested(gradient), updates, groups.rates(step, factor))
        for name, group in settings.items():
            if group.moves(step):
                g = gradient[name].astype(np.float64)
                direction = formula(group.optimizer, g, truth[name], memory[name])
                truth[name] -= group.optimizer.learning_rate * factor * direction

    assert len(spec.groups) == 2
    for name, values in truth.items():
        layer, _, own = name.partition(".")
        np.testing.assert_allclose(params[layer][own], values, rtol=2e-5, atol=2e-6, err_msg=name)


def test_a_frozen_leaf_stays_whatever_its_gradient():
    """An infinite gradient does not reach a layer that is frozen."""
    spec = TrainingSpec(TWO, SGD(), overrides={"fc1": Override(frozen_from=0)})
    groups, params = Groups(spec), nested(spec.initial())
    infinite = jax.tree.map(lambda leaf: np.full(leaf.shape, np.inf, np.float32), params)
    moved, _ = groups.update(params, infinite, groups.init(params), groups.rates(0, 1.0))

    np.testing.assert_array_equal(moved["fc1"]["kernel"], params["fc1"]["kernel"])
    assert np.all(np.isinf(moved["fc2"]["kernel"]))


def test_training_closes_its_books():
    """On real digits every status is ok, at few gradients, and Σ gap is 1e-4 of the change."""
    seen = []
    spec = TrainingSpec(fc((8, 8, 1), hidden=[20]), epochs=2)
    run = ADAPTER.train(
        spec,
        digits(),
        on_step=lambda tracker: seen.append(tracker.last("val")["loss"]),
        tracking={"batch_size": 1500},
    )
    change = run.loss("train")[-1] - run.loss("train")[0]

    assert run.measures == ("train", "val")
    assert run.layout.names == ("fc1/kernel", "fc1/bias", "fc2/kernel", "fc2/bias")
    assert change < -0.5
    assert np.all(run.status("train") == 0)
    assert abs(run.gap("train").sum()) <= 1e-4 * abs(change)
    np.testing.assert_allclose(seen, run.loss("val")[1:])
    total = sum(values.sum() for values in run.total("train").values())
    assert total == pytest.approx(run.allocation("train").values.sum(), rel=1e-5)


@pytest.mark.parametrize("mode", ["eval", "batch-stats"])
def test_batch_norm_and_dropout_in_training(mode):
    """Moving averages are a term of the ledger in eval mode, and no part of it otherwise."""
    layers = [Flatten(), Dense(8), BatchNorm(), Dropout(0.5), Dense(10)]
    spec = TrainingSpec(NetworkSpec("bn", (8, 8, 1), layers), SGD(0.1), batch_size=500, epochs=1)
    run = ADAPTER.train(spec, digits(), on_step=lambda _: None, tracking={"mode": mode})
    closed = run.allocation("train").values.sum(1) + run.buffers("train") + run.gap("train")

    assert run.steps == 3
    assert np.all((run.buffers("train") != 0.0) == (mode == "eval"))
    np.testing.assert_allclose(closed, np.diff(run.loss("train")), atol=1e-12)
    assert np.all(run.status("train") == 0)


def test_dicts_of_parameters_keep_the_networks_order():
    """Leaves come in the order of the layers: "fc10" is not before "fc2"."""
    spec = NetworkSpec("deep", (2,), [Dense(2, bias=False) for _ in range(11)])
    params = nested(spec.initial(0))

    assert isinstance(params, OrderedDict)
    assert list(params)[-2:] == ["fc10", "fc11"]
