"""The networks in Keras on TensorFlow: bare gradients, and tracked steps."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import keras
import numpy as np
import tensorflow as tf
from keras import layers

import lca_keras
from benchmarks.work import (
    BLOCKS,
    HEADS,
    LENGTH,
    TOKENS,
    TRANSFORMER,
    WIDTH,
    Prepared,
    Work,
)
from lca_core import Adaptive
from lca_core.chunks import even_cuts
from lca_keras import networks

if TYPE_CHECKING:
    from collections.abc import Callable


class Places(layers.Layer):
    """Adds what a word's place in the text means."""

    def build(self, _: tuple[int, ...]) -> None:
        """Make the table."""
        self.table = self.add_weight(shape=(LENGTH, WIDTH), name="table")

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Add."""
        return x + self.table


def transformer() -> keras.Model:
    """Return a small language model; logits of the next word, shape (n, LENGTH, TOKENS)."""
    text = keras.Input((LENGTH,), dtype="int32")
    x = Places()(layers.Embedding(TOKENS, WIDTH)(text))
    for _ in range(BLOCKS):
        normed = layers.LayerNormalization()(x)
        attention = layers.MultiHeadAttention(HEADS, WIDTH // HEADS)
        x = layers.Add()([x, attention(normed, normed, use_causal_mask=True)])
        up = layers.Dense(4 * WIDTH, "gelu")(layers.LayerNormalization()(x))
        x = layers.Add()([x, layers.Dense(WIDTH)(up)])
    return keras.Model(text, layers.Dense(TOKENS)(x))


def network(work: Work) -> keras.Model:
    """Return the network with its initial weights."""
    keras.utils.set_random_seed(0)
    if work.network == TRANSFORMER:
        return transformer()
    return networks.build(work.spec, work.spec.initial(0))


def bare_gradient(
    model: keras.Model, loss_fn: keras.losses.Loss, x: tf.Tensor, y: tf.Tensor, size: int
) -> Callable[[], None]:
    """Return a function that makes one gradient pass over all examples, as a user would."""
    variables = [v.value for v in model.trainable_variables]

    @tf.function
    def added(
        total: list[tf.Tensor], inputs: tf.Tensor, labels: tf.Tensor, share: tf.Tensor
    ) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            loss = loss_fn(labels, model(inputs, training=False)) * share
        gradient = tape.gradient(loss, variables)
        return [whole + part for whole, part in zip(total, gradient, strict=True)]

    pieces = [
        (x[begin:end], y[begin:end], tf.constant((end - begin) / len(y), tf.float32))
        for begin, end in pairwise(even_cuts(len(y), size))
    ]
    zeros = [tf.zeros_like(v) for v in variables]

    def run() -> None:
        total = zeros
        for piece in pieces:
            total = added(total, *piece)
        total[0].numpy()

    return run


def prepared(work: Work) -> Prepared:
    """Return the model with a tracker and the default observers."""
    x, y = work.data()
    model = network(work)
    loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    one_gradient = Adaptive(atol=1e9, audit=None)
    tracker = lca_keras.track(model, (x, y), loss=loss_fn, integrator=one_gradient, chunk=10**6)
    size = tracker._allocator.oracles["train"].batch_size
    rng, moving = np.random.default_rng(1), model.trainable_variables
    directions = [1e-3 * rng.standard_normal(v.shape, np.float32) for v in moving]

    def move() -> None:
        for variable, direction in zip(moving, directions, strict=True):
            variable.assign_add(direction)

    bare = bare_gradient(model, loss_fn, tf.constant(x), tf.constant(y), size)
    return Prepared(bare, move, tracker.step, tracker.layout.parameters, size)


WAYS = {"default": prepared}
