"""Half-precision models are measured without losing what float16 cannot hold."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import lca_keras


def autoencoder(policy: str) -> keras.Model:
    """Return a compiled autoencoder whose loss averages over 96 outputs of each example."""
    model = keras.Sequential(
        [
            keras.Input((96,)),
            layers.Dense(6, activation="relu", dtype=policy),
            layers.Dense(96, dtype=policy),
            layers.Activation("linear", dtype="float32"),
        ]
    )
    model.compile(loss="mse")
    rng = np.random.default_rng(0)
    for v in model.trainable_variables:
        v.assign(0.3 * rng.standard_normal(v.shape).astype("float32"))
    return model


def truth(model: keras.Model, x: np.ndarray) -> dict[str, np.ndarray]:
    """Return the gradient of the mean squared error, in float64 by hand."""
    w1, b1, w2, b2 = (w.astype("f8") for w in model.get_weights())
    hidden = np.maximum(x @ w1 + b1, 0.0)
    out = 2.0 * (hidden @ w2 + b2 - x) / x.size
    inner = out @ w2.T * (hidden > 0.0)
    found = (x.T @ inner, inner.sum(0), hidden.T @ out, out.sum(0))
    return dict(zip(("k1", "b1", "k2", "b2"), found, strict=True))


@pytest.mark.parametrize("size", [1e-2, 1.0, 30.0])
@pytest.mark.parametrize("batch_size", [None, 700])
def test_gradients_through_float16_keep_their_digits(size, batch_size):
    """Small gradients of many outputs do not vanish, and large ones do not overflow."""
    model = autoencoder("mixed_float16")
    x = np.random.default_rng(1).standard_normal((3000, 96)) * size
    x = x.astype("float16").astype("float32")
    if size < 1.0:
        for v in model.trainable_variables:
            v.assign(v * size)
    tracker = lca_keras.track(model, (x, x), batch_size=batch_size)
    found = tracker._state.evaluations["train"].gradient.values()

    for got, (name, expected) in zip(found, truth(model, x.astype("f8")).items(), strict=True):
        error = np.linalg.norm(keras.ops.convert_to_numpy(got) - expected)
        assert error <= 0.03 * np.linalg.norm(expected), name
