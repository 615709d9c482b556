"""Models in float64: what the measurement says of its own rounding holds, whatever Keras makes."""

from __future__ import annotations

import jax
import keras
import numpy as np
import pytest
from keras import layers, losses

import lca_keras
from lca_core import Adaptive, Status

RNG = np.random.default_rng(0)
X = RNG.standard_normal((60, 5)).astype(np.float32).astype(np.float64)
"""The same however Keras takes it."""
Y = RNG.integers(0, 3, 60)
LOSSES = {
    "compiled": None,
    "of Keras": losses.SparseCategoricalCrossentropy(from_logits=True),
    "of Keras, in float64": losses.SparseCategoricalCrossentropy(from_logits=True, dtype="float64"),
    "a function": lambda y, outputs: losses.sparse_categorical_crossentropy(
        y, outputs, from_logits=True
    ),
}


@pytest.fixture(params=["float32", "float64"])
def model(request):
    """Return a compiled model in float64; what Keras takes by default is one or the other."""
    if keras.backend.backend() == "jax" and not jax.config.jax_enable_x64:
        pytest.skip("JAX has no float64 without jax_enable_x64")
    floatx, policy = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx(request.param)
    keras.config.set_dtype_policy("float64")
    made = keras.Sequential([keras.Input((5,)), layers.Dense(8, "tanh"), layers.Dense(3)])
    made.compile(loss=losses.SparseCategoricalCrossentropy(from_logits=True))
    yield made
    keras.config.set_floatx(floatx)
    keras.config.set_dtype_policy(policy)


def truth(model: keras.Model) -> float:
    """Return the loss by numpy."""
    w1, b1, w2, b2 = model.get_weights()
    logits = np.tanh(X @ w1 + b1) @ w2 + b2
    return float(np.mean(np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(Y)), Y]))


@pytest.mark.parametrize("loss", LOSSES)
def test_rounding_is_as_small_as_is_said(model, loss):
    """The loss is right to a few of its stated epsilons, and no more is asked of tiny steps."""
    integrator = Adaptive(rtol=1e-3, atol=0.0)
    tracker = lca_keras.track(model, (X, Y), loss=LOSSES[loss], integrator=integrator)
    eps = tracker._allocator.eps("train")
    assert tracker.last()["loss"] == pytest.approx(truth(model), rel=4 * eps, abs=0.0)
    with tracker:
        for v in 4 * model.trainable_variables:
            v.assign_add(np.full(v.shape, 1e-7))
            tracker.step()
    assert (tracker.run.status("train") == Status.OK).all()


def test_losses_in_float64_are_said_to_be(model):
    """Where Keras computes in float64 throughout, so little is the noise that is allowed."""
    tracker = lca_keras.track(model, (X, Y), loss=LOSSES["of Keras, in float64"])
    wide = keras.backend.result_type("float64") == "float64"
    assert tracker._allocator.eps("train") == 2.0 ** -(52 if wide else 23)
