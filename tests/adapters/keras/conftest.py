"""Small models and data for the Keras tests, on whichever backend the process has."""

from __future__ import annotations

import os

# Before TensorFlow is imported: quiet, and few threads.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "2")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")

from typing import TYPE_CHECKING

import keras
import numpy as np
import pytest
from keras import layers

if TYPE_CHECKING:
    from collections.abc import Callable

FEATURES, CLASSES = 12, 4


@pytest.fixture
def blobs() -> tuple[np.ndarray, np.ndarray]:
    """101 examples of 12 features in 4 classes: a prime number, so every cut is ragged."""
    rng = np.random.default_rng(3)
    labels = rng.integers(CLASSES, size=101)
    centres = rng.standard_normal((CLASSES, FEATURES))
    inputs = centres[labels] + 0.7 * rng.standard_normal((101, FEATURES))
    return inputs.astype("float32"), labels


def with_weights(model: keras.Model, seed: int = 0) -> keras.Model:
    """Give a model the same weights whenever it is built."""
    rng = np.random.default_rng(seed)
    for weight in model.trainable_variables:
        weight.assign(0.5 * rng.standard_normal(weight.shape).astype("float32"))
    return model


def cross_entropy() -> keras.losses.Loss:
    """Return the loss of the tests."""
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def make_plain() -> keras.Model:
    """Return a small perceptron."""
    model = keras.Sequential(
        [keras.Input((FEATURES,)), layers.Dense(8, activation="tanh"), layers.Dense(CLASSES)]
    )
    model.compile(optimizer=keras.optimizers.SGD(0.1, 0.9), loss=cross_entropy())
    return with_weights(model)


def make_noisy() -> keras.Model:
    """Return a network with everything that could leave a trace: batch norm and dropout."""
    model = keras.Sequential(
        [
            keras.Input((FEATURES,)),
            layers.Dense(16),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Dropout(0.3, seed=5),
            layers.Dense(CLASSES),
        ]
    )
    model.compile(optimizer=keras.optimizers.Adam(0.01), loss=cross_entropy(), metrics=["accuracy"])
    return with_weights(model)


@pytest.fixture
def plain() -> keras.Model:
    """The perceptron."""
    return make_plain()


@pytest.fixture
def noisy() -> keras.Model:
    """The network with batch norm and dropout."""
    return make_noisy()


@pytest.fixture
def make() -> dict[str, Callable[[], keras.Model]]:
    """Both, to be built more than once."""
    return {"plain": make_plain, "noisy": make_noisy}
