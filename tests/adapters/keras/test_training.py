"""Optimizers follow the specification's formulas, and trainings are the specified ones."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from lca_core.optimizers import SGD, Adam, AdamW, Override, RMSprop
from lca_core.training import Group, TrainingSpec
from lca_keras.optimizers import Grouped
from lca_keras.training import compiled_model

RATE = 0.125


def formula(optimizer, theta, gradients, factors):
    """Return θ after all steps, in float64 numpy, as `lca_core.optimizers` says."""
    v = s = np.zeros_like(theta)
    for t, (g, factor) in enumerate(zip(gradients, factors, strict=True), start=1):
        lr = optimizer.learning_rate * factor
        match optimizer:
            case SGD(momentum=m):
                v = m * v + g
                theta = theta - lr * v
            case RMSprop(momentum=m, decay=d, epsilon=e):
                s = d * s + (1 - d) * g**2
                v = m * v + g / (np.sqrt(s) + e)
                theta = theta - lr * v
            case Adam(beta1=b, beta2=c, epsilon=e) | AdamW(beta1=b, beta2=c, epsilon=e):
                v, s = b * v + (1 - b) * g, c * s + (1 - c) * g**2
                step = v / (1 - b**t) / (np.sqrt(s / (1 - c**t)) + e)
                decay = getattr(optimizer, "weight_decay", 0.0)
                theta = theta - lr * (step + decay * theta)
    return theta


@pytest.mark.parametrize(
    "optimizer",
    [
        SGD(RATE, 0.9),
        RMSprop(RATE, 0.5, 0.8, 0.25),
        Adam(RATE, 0.8, 0.95, 0.25),
        Adam(RATE, 0.0),
        AdamW(RATE, 0.25, epsilon=0.5),
    ],
    ids=repr,
)
def test_an_optimizer_is_its_formula(optimizer):
    """Five steps with a falling learning rate; ε is large, so that its place shows."""
    rng = np.random.default_rng(0)
    theta, gradients = rng.standard_normal((3, 2)), rng.standard_normal((5, 3, 2))
    factors = [1.0, 1.0, 0.5, 0.5, 0.25]
    variable = keras.Variable(theta.astype("float32"))
    native = Grouped([Group(("w",), optimizer, None)], {"w": variable})
    for gradient, factor in zip(gradients.astype("float32"), factors, strict=True):
        native.learning_rate = factor
        native.apply([keras.ops.convert_to_tensor(gradient)], [variable])

    wanted = formula(optimizer, theta, gradients, factors)
    np.testing.assert_allclose(np.asarray(variable.numpy()), wanted, rtol=3e-5, atol=3e-6)


def test_groups_have_their_own_rates_and_may_be_frozen():
    """A layer that is frozen from the second step on does not move any more, bit for bit."""
    spec = TrainingSpec(
        overrides={"fc1": Override(learning_rate=0.5, momentum=0.0), "fc2": Override(frozen_from=1)}
    )
    model = compiled_model(spec)
    rng = np.random.default_rng(0)
    x, y = rng.random((30, 8, 8, 1), "float32"), rng.integers(10, size=30)
    held = []
    for _ in range(3):
        model.train_on_batch(x, y)
        held.append([np.array(value) for value in model.get_weights()])
    at = [variable.path for variable in model.weights].index("fc2/kernel")

    assert np.array_equal(held[0][at], held[2][at])
    assert not np.array_equal(held[0][0], held[1][0])
