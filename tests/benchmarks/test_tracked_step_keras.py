"""Bookkeeping costs next to nothing beside the gradients it keeps books of, in Keras too.

`python -m pytest tests/benchmarks --benchmark-json out.json` prints the table and writes the
ratios (`extra_info`). Only ratios of times taken in turn in one process are compared.
"""

from __future__ import annotations

import os
import statistics
import time
from itertools import pairwise
from typing import TYPE_CHECKING

# Before TensorFlow is imported.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest

import lca_keras
from lca_core import Adaptive

if keras.backend.backend() != "tensorflow":
    pytest.skip("another backend", allow_module_level=True)

import tensorflow as tf

if TYPE_CHECKING:
    from collections.abc import Callable

LIMIT = 1.05
JUDGED = 50_000
"""Bookkeeping is a fixed cost a step: it shows on smaller data sets, which are only reported."""

FEWEST_ROUNDS, MOST_ROUNDS = 15, 60


def network() -> keras.Model:
    """Return the paper's FC network for MNIST-sized inputs: 84,060 parameters."""
    dense = [keras.layers.Dense(100, "relu"), keras.layers.Dense(50, "relu")]
    model = keras.Sequential([keras.Input((784,)), *dense, keras.layers.Dense(10)])
    model.compile(
        optimizer="sgd", loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    return model


def bare_gradient(model: keras.Model, x: tf.Tensor, y: tf.Tensor, size: int):
    """Return a function that makes one gradient pass over all examples, as a user would."""
    variables = model.trainable_variables
    parts = -(-len(y) // size)
    cuts = list(pairwise([len(y) * i // parts for i in range(parts + 1)]))

    @tf.function
    def gradient(inputs: tf.Tensor, labels: tf.Tensor, share: float) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            loss = model.loss(labels, model(inputs, training=False)) * share
        return tape.gradient(loss, [v.value for v in variables])

    pieces = [
        (x[begin:end], y[begin:end], tf.constant((end - begin) / len(y), tf.float32))
        for begin, end in cuts
    ]

    def run() -> None:
        total = gradient(*pieces[0])
        for piece in pieces[1:]:
            total = [whole + part for whole, part in zip(total, gradient(*piece), strict=True)]
        total[0].numpy()

    return run


def seconds(function: Callable[[], None]) -> float:
    """Return how long one call takes."""
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


@pytest.mark.slow
@pytest.mark.parametrize("examples", [10_000, JUDGED])
def test_a_tracked_step_costs_its_gradient_pass(benchmark, examples):
    """With all default observers a step takes little more than its one bare gradient pass."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((examples, 784), np.float32)
    y = rng.integers(10, size=examples)
    model = network()
    one_gradient = Adaptive(atol=1e9, audit=None)
    tracker = lca_keras.track(model, (x, y), integrator=one_gradient, chunk=10**6)
    size = tracker._allocator.oracles["train"].batch_size
    bare = bare_gradient(model, tf.constant(x), tf.constant(y), size)
    directions = [1e-3 * rng.standard_normal(v.shape, np.float32) for v in model.weights]

    def move() -> None:
        for variable, direction in zip(model.weights, directions, strict=True):
            variable.assign_add(direction)

    for warm_up in (bare, tracker.step):
        move()
        warm_up()
    # Each step is set against the passes just before and after it: the machine's speed drifts.
    ratios, before = [], seconds(bare)
    while len(ratios) < MOST_ROUNDS:
        move()
        tracked, after = seconds(tracker.step), seconds(bare)
        ratios.append(2 * tracked / (before + after))
        before = after
        if len(ratios) >= FEWEST_ROUNDS and statistics.median(ratios) <= LIMIT:
            break
    benchmark.extra_info["ratio"] = statistics.median(ratios)
    benchmark.extra_info["examples_per_chunk"] = size
    benchmark.pedantic(tracker.step, setup=move, rounds=5)

    assert examples < JUDGED or statistics.median(ratios) <= LIMIT
