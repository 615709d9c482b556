"""Optimizers, schedules and training set-ups as data; the formulas against PyTorch's."""

import json
import math
from itertools import pairwise

import numpy as np
import pytest

from lca_core.errors import NetworkError
from lca_core.networks import fc
from lca_core.optimizers import (
    OPTIMIZERS,
    SGD,
    Adam,
    AdamW,
    Constant,
    Cosine,
    Drops,
    Override,
    RMSprop,
)
from lca_core.reference import optimizers
from lca_core.training import TrainingSpec

TINY = fc((2, 2, 1), classes=3, hidden=(5, 4))
SETTINGS = {
    "SGD": SGD(0.1, 0.9),
    "SGD without momentum": SGD(0.1, 0.0),
    "RMSprop": RMSprop(0.01),
    "RMSprop with momentum": RMSprop(0.01, 0.7, 0.8, 1e-3),
    "Adam": Adam(0.02),
    "Adam, large epsilon": Adam(0.02, 0.8, 0.95, 0.1),
    "AdamW": AdamW(0.02, 0.3),
    "AdamW, other betas": AdamW(0.02, 0.1, 0.5, 0.7, 1e-3),
}


def pytorchs(torch, optimizer, parameters):
    """Return PyTorch's own optimizer with the same settings."""
    match optimizer:
        case SGD(rate, momentum):
            return torch.optim.SGD(parameters, rate, momentum)
        case RMSprop(rate, momentum, decay, epsilon):
            return torch.optim.RMSprop(parameters, rate, decay, epsilon, momentum=momentum)
        case Adam(rate, beta1, beta2, epsilon):
            return torch.optim.Adam(parameters, rate, (beta1, beta2), epsilon)
        case AdamW(rate, decay, beta1, beta2, epsilon):
            return torch.optim.AdamW(parameters, rate, (beta1, beta2), epsilon, decay)


@pytest.mark.parametrize("optimizer", SETTINGS.values(), ids=SETTINGS)
def test_formulas_are_pytorchs(optimizer):
    """Twelve steps with a moving learning rate are those of PyTorch in float64."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    theta = {"w": rng.standard_normal((3, 2)), "b": np.array(0.7)}
    truth = {name: torch.tensor(leaf, requires_grad=True) for name, leaf in theta.items()}
    theirs = pytorchs(torch, optimizer, list(truth.values()))
    moments = optimizers.init(theta)
    for step in range(12):
        factor = 1.0 / (1 + step)
        gradient = {name: rng.standard_normal(leaf.shape) for name, leaf in theta.items()}
        theta, moments = optimizers.update(optimizer, theta, gradient, moments, factor)
        for name, leaf in truth.items():
            leaf.grad = torch.tensor(gradient[name])
        theirs.param_groups[0]["lr"] = factor * optimizer.learning_rate
        theirs.step()
        for name, leaf in truth.items():
            np.testing.assert_allclose(theta[name], leaf.detach(), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("optimizer", SETTINGS.values(), ids=SETTINGS)
def test_updates_are_pure(optimizer):
    """Parameters, gradients and moments that went in are as they were."""
    theta, gradient = {"w": np.ones(3)}, {"w": np.full(3, 2.0)}
    moments = optimizers.init(theta)
    _, after = optimizers.update(optimizer, theta, gradient, moments)
    once, _ = optimizers.update(optimizer, theta, gradient, after)
    again, _ = optimizers.update(optimizer, theta, gradient, after)

    np.testing.assert_array_equal(once["w"], again["w"])
    np.testing.assert_array_equal(theta["w"], np.ones(3))
    np.testing.assert_array_equal(gradient["w"], np.full(3, 2.0))
    np.testing.assert_array_equal(moments.first["w"], np.zeros(3))


def test_the_first_steps_of_momentum_are_as_written():
    """θ moves by lr·g, then by lr·(m·g + g)."""
    theta, g = {"x": np.array(1.0)}, {"x": np.array(2.0)}
    theta, moments = optimizers.update(SGD(0.1, 0.5), theta, g, optimizers.init(theta))
    assert theta["x"] == pytest.approx(0.8)
    theta, _ = optimizers.update(SGD(0.1, 0.5), theta, g, moments)
    assert theta["x"] == pytest.approx(0.5)


def walked(spec, steps, factor=1.0):
    """Return every iterate of a set-up under a gradient of ones."""
    params = {name: values.astype(float) for name, values in spec.initial().items()}
    gradient = {name: np.ones(leaf.shape) for name, leaf in params.items()}
    moments, path = optimizers.begin(spec.groups, params), [params]
    for step in range(steps):
        params, moments = optimizers.step(
            spec.groups, params, gradient, moments, step=step, factor=factor
        )
        path.append(params)
    return path


def test_groups_move_by_their_own_settings():
    """Layers with overrides have their own rate and momentum, the others the optimizer's."""
    overrides = {"fc1": Override(learning_rate=0.5), "fc2": Override(momentum=0.0)}
    spec = TrainingSpec(TINY, SGD(0.1, 0.5), overrides=overrides)
    path = walked(spec, 2, factor=0.1)
    moves = {name: [np.unique(np.round(b[name] - a[name], 9)) for a, b in pairwise(path)]
             for name in path[0]}  # fmt: skip

    assert list(path[2]) == list(path[0])
    for name, wanted in (
        ("fc1.kernel", [-0.05, -0.075]),
        ("fc2.bias", [-0.01, -0.01]),
        ("fc3.kernel", [-0.01, -0.015]),
    ):
        np.testing.assert_allclose(np.array(moves[name]).ravel(), wanted)


def test_frozen_layers_stand_from_their_step_on():
    """Up to `frozen_from` a layer moves, afterwards it keeps every bit."""
    overrides = {"fc1": Override(frozen_from=0), "fc2": Override(frozen_from=2)}
    path = walked(TrainingSpec(TINY, Adam(), overrides=overrides), 4)
    moved = {name: [(a[name] != b[name]).all() for a, b in pairwise(path)] for name in path[0]}

    assert moved["fc1.kernel"] == [False] * 4
    assert moved["fc2.kernel"] == [True, True, False, False]
    assert moved["fc3.bias"] == [True] * 4


def test_groups_gather_equal_settings():
    """Leaves with equal settings are one group, in the network's order, every leaf in one."""
    overrides = {"fc2": Override(learning_rate=1.0), "fc3": Override()}
    spec = TrainingSpec(TINY, SGD(0.1), overrides=overrides)
    first, second = spec.groups

    assert first.leaves == ("fc1.kernel", "fc1.bias", "fc3.kernel", "fc3.bias")
    assert second.leaves == ("fc2.kernel", "fc2.bias")
    assert (first.optimizer, second.optimizer) == (SGD(0.1), SGD(1.0))


@pytest.mark.parametrize("kind", [Adam, AdamW])
def test_momentum_of_adam_is_its_first_beta(kind):
    """An override's momentum replaces β₁, and nothing else."""
    spec = TrainingSpec(TINY, kind(0.1), overrides={"fc1": Override(momentum=0.0)})
    assert spec.groups[0].optimizer == kind(0.1, beta1=0.0)


def test_overrides_name_layers():
    """An override of a layer that is not there names it, and those that are."""
    with pytest.raises(NetworkError, match=r"\['fc9'\].*fc1.*fc3"):
        TrainingSpec(TINY, overrides={"fc9": Override()})


@pytest.mark.parametrize(
    ("schedule", "wanted"),
    [
        (Constant(), [1.0] * 6),
        (Drops([2, 1], by=0.1), [1.0, 1.0, 0.1, 0.1, 0.01, 0.01]),
        (Drops([0]), [0.1] * 6),
        (Drops([]), [1.0] * 6),
        (Cosine(), [0.5 * (1 + math.cos(math.pi * k / 6)) for k in range(6)]),
        (Cosine(warmup=1), [0.5, 1.0, *(0.5 * (1 + math.cos(math.pi * k / 4)) for k in range(4))]),
        (Cosine(warmup=0.75), [1 / 1.5, 1.0]),
        (Cosine(warmup=10), [k / 20 for k in range(1, 7)]),
    ],
)
def test_schedules_are_as_written(schedule, wanted):
    """Factors of two steps an epoch, three epochs, are those of the closed form."""
    factors = [schedule.factor(step, 2, 6) for step in range(6)]
    assert factors[: len(wanted)] == pytest.approx(wanted, rel=1e-12)
    assert all(0.0 <= factor <= 1.0 for factor in factors)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: SGD(-0.1), "learning_rate of SGD.*from 0 up.*got -0.1"),
        (lambda: SGD(float("nan")), "learning_rate.*nan"),
        (lambda: SGD(float("inf")), "learning_rate"),
        (lambda: SGD(momentum=1.0), "momentum.*below 1"),
        (lambda: RMSprop(decay=-0.1), "decay of RMSprop"),
        (lambda: RMSprop(epsilon=0.0), "epsilon.*above 0"),
        (lambda: Adam(beta1=1.0), "beta1 of Adam"),
        (lambda: Adam(beta2=1.5), "beta2"),
        (lambda: AdamW(weight_decay=-1.0), "weight_decay of AdamW"),
        (lambda: Drops([-1]), "epochs of Drops"),
        (lambda: Drops([1], by=0.0), "by of Drops"),
        (lambda: Cosine(-1.0), "warmup of Cosine"),
        (lambda: Override(learning_rate=-1.0), "learning_rate of Override"),
        (lambda: Override(momentum=2.0), "momentum of Override"),
        (lambda: Override(frozen_from=-1), "frozen_from of Override.*got -1"),
    ],
)
def test_settings_out_of_range_are_refused(make, says):
    """The error names the setting, its range and what came."""
    with pytest.raises(NetworkError, match=says):
        make()


def test_all_optimizers_have_a_name():
    """The names of the command line are those of the four optimizers."""
    wanted = {"sgd": SGD, "rmsprop": RMSprop, "adam": Adam, "adamw": AdamW}
    assert wanted == OPTIMIZERS


class TestBatches:
    def test_an_epoch_has_every_example_once(self):
        """Each epoch is a permutation of its own, cut into batches, the last one smaller."""
        spec = TrainingSpec(TINY, batch_size=4, epochs=2)
        batches = list(spec.batches(10))
        epochs = [np.concatenate(batches[:3]), np.concatenate(batches[3:])]

        assert [len(batch) for batch in batches] == [4, 4, 2] * 2
        assert spec.steps(10) == len(batches)
        for epoch in epochs:
            np.testing.assert_array_equal(np.sort(epoch), np.arange(10))
        assert (epochs[0] != epochs[1]).any()

    def test_the_order_depends_on_the_seed(self):
        """The same seed gives the same batches, another one others."""
        one, again, other = (
            np.concatenate(list(TrainingSpec(TINY, epochs=1, seed=seed).batches(50)))
            for seed in (0, 0, 1)
        )
        np.testing.assert_array_equal(one, again)
        assert (one != other).any()

    def test_there_is_a_factor_for_every_batch(self):
        """`factors` and `batches` are equally long, and factors follow the schedule."""
        spec = TrainingSpec(TINY, batch_size=4, epochs=3, schedule=Drops([1]))
        assert list(spec.factors(10)) == pytest.approx([1.0] * 3 + [0.1] * 6)


def test_set_ups_are_json():
    """What the run file is told survives JSON, and tells kinds and numbers."""
    told = TrainingSpec(TINY, AdamW(0.1), Drops([3]), overrides={"fc1": Override(0.2)}).describe()

    assert json.loads(json.dumps(told)) == told
    assert told["optimizer"]["kind"] == "AdamW"
    assert told["schedule"] == {"kind": "Drops", "epochs": [3], "by": 0.1}
    assert told["overrides"]["fc1"]["learning_rate"] == 0.2
    assert told["layers"][1] == {"kind": "Dense", "units": 5, "bias": True}
