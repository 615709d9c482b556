"""`tf.data.Dataset`, where TensorFlow is the backend."""

from __future__ import annotations

import keras
import pytest

import lca_keras
from lca_core import Partition
from lca_core.errors import DataError

if keras.backend.backend() != "tensorflow":
    pytest.skip("another backend", allow_module_level=True)

import tensorflow as tf


def test_a_data_set_in_fixed_order_is_read(plain, blobs):
    """Batched, the last one smaller."""
    data = tf.data.Dataset.from_tensor_slices(blobs).batch(30)
    run = lca_keras.track(plain, data).finish()

    whole = plain.evaluate(*blobs, batch_size=101, verbose=0)
    assert run.loss("train")[0] == pytest.approx(whole, rel=1e-6)


def test_one_that_shuffles_or_never_ends_is_refused(plain, blobs):
    """Both would count examples twice or not at all."""
    data = tf.data.Dataset.from_tensor_slices(blobs)
    with pytest.raises(DataError, match="Two readings"):
        lca_keras.track(plain, data.shuffle(101).batch(30))
    with pytest.raises(DataError, match="never ends"):
        lca_keras.track(plain, data.batch(30).repeat())


def test_one_that_drops_the_last_examples_is_refused(plain, blobs):
    """Also behind what comes after the batches; 100 of 101 would be another loss."""
    data = tf.data.Dataset.from_tensor_slices(blobs).batch(25, drop_remainder=True).prefetch(2)
    with pytest.raises(DataError, match=r"drops the last 1 of 101 examples.*drop_remainder=True"):
        lca_keras.track(plain, data)
    even = tf.data.Dataset.from_tensor_slices(blobs).take(100).batch(25, drop_remainder=True)
    assert lca_keras.track(plain, even).finish().steps == 0
    x = tf.data.Dataset.from_tensor_slices(blobs[0].ravel()[:-1]).batch(12, drop_remainder=True)
    pieces = tf.data.Dataset.zip(x, tf.data.Dataset.from_tensor_slices(blobs[1][:100]))
    for one in (pieces.batch(30), x.map(lambda row: (row, 0)).batch(30)):  # no example is dropped
        assert lca_keras.track(plain, one).finish().steps == 0


def test_nothing_is_traced_again_after_the_first_step(plain, blobs):
    """The objective runs in Python only while programs are made, whatever the steps."""
    calls = 0

    def loss(targets, outputs):
        nonlocal calls
        calls += 1
        return keras.losses.sparse_categorical_crossentropy(targets, outputs, from_logits=True)

    tracker = lca_keras.track(plain, blobs, loss=loss, batch_size=30)
    counts = []
    for _ in range(4):
        plain.train_on_batch(*blobs)
        tracker.step()
        counts.append(calls)

    assert len(set(counts)) == 1


def test_cuts_of_many_sizes_are_no_reason_for_tensorflow_to_warn(plain, blobs, caplog, monkeypatch):
    """Looking at the parts of a partition, and of data that are cut, is silent."""
    monkeypatch.setattr(tf.get_logger(), "propagate", True)
    x, y = (array[:90] for array in blobs)
    lca_keras.track(plain, {"by": Partition((x, y), by=y), "all": (x, y)}, batch_size=50)

    assert "retracing" not in caplog.text
