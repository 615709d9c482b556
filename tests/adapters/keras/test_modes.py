"""Batch norm and dropout behave as the mode says, and are as they were afterwards."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import lca_keras
from lca_core.errors import LossError, RuleError

EPSILON = 1e-3


def normed(momentum: float = 0.9) -> keras.Model:
    """Return batch norm followed by a linear map, compiled with the mean squared error."""
    model = keras.Sequential(
        [
            keras.Input((3,)),
            layers.BatchNormalization(momentum=momentum, epsilon=EPSILON),
            layers.Dropout(0.5),
            layers.Dense(1, kernel_initializer="ones"),
        ]
    )
    model.compile(optimizer=keras.optimizers.SGD(0.01), loss="mse")
    return model


def data() -> tuple[np.ndarray, np.ndarray]:
    """Return 20 examples far from the initial averages."""
    rng = np.random.default_rng(1)
    return (3 + 2 * rng.standard_normal((20, 3))).astype("float32"), np.zeros((20, 1), "float32")


def test_eval_uses_the_moving_averages_and_no_dropout():
    """The loss is that of `evaluate`; what moved the averages is a term of its own."""
    x, y = data()
    model = normed()
    tracker = lca_keras.track(model, (x, y))
    model.train_on_batch(x, y)
    tracker.step()
    run = tracker.finish()
    change, whole = np.diff(run.loss("train")), model.evaluate(x, y, batch_size=20, verbose=0)

    assert run.loss("train")[1] == pytest.approx(whole, rel=1e-6)
    assert abs(run.buffers("train")[0]) > 0.1 * abs(change[0])
    total = run.allocation("train").values.sum() + run.buffers("train") + run.gap("train")
    np.testing.assert_allclose(total, change, rtol=1e-9)


def test_batch_stats_uses_each_chunk_alone():
    """Chunks of ten are normalised by their own means and variances; averages do not matter."""
    x, y = data()
    model = normed()
    tracker = lca_keras.track(model, (x, y), mode="batch-stats", batch_size=10)
    halves = x.astype(np.float64).reshape(2, 10, 3)
    centred = halves - halves.mean(1, keepdims=True)
    unit = centred / np.sqrt(halves.var(1, keepdims=True) + EPSILON)
    wanted = (unit.sum(2) ** 2).mean()
    model.layers[0].moving_mean.assign([7.0, 7.0, 7.0])
    tracker.step()
    run = tracker.finish()

    np.testing.assert_allclose(run.loss("train"), wanted, rtol=1e-5)
    assert np.all(run.buffers("train") == 0.0)


def test_a_frozen_batch_norm_keeps_to_its_averages():
    """As in training, a layer that is not trainable normalises by what it has."""
    x, y = data()
    model = normed()
    model.layers[0].trainable = False
    found = lca_keras.track(model, (x, y), mode="batch-stats", batch_size=10).finish()

    wanted = model.evaluate(x, y, batch_size=20, verbose=0)
    assert found.loss("train")[0] == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("trains", [True, False])
def test_a_batch_norm_that_is_frozen_or_unfrozen_midway_is_refused(trains):
    """One run would mix the averages and the chunk's own statistics; with averages alone, none."""
    x, y = data()
    model = normed()
    model.layers[0].trainable = trains
    everything = {"leaves": lambda _: True}
    tracker = lca_keras.track(model, (x, y), mode="batch-stats", **everything)
    by_averages = lca_keras.track(model, (x, y), **everything)
    model.layers[0].trainable = not trains
    with pytest.raises(LossError, match=r"\['batch_normalization.*frozen or unfrozen after"):
        tracker.step()
    by_averages.step()
    model.layers[0].trainable = trains
    tracker.step()
    assert tracker.finish().steps == by_averages.finish().steps == 1


def test_layers_are_as_they_were_also_behind_an_error(noisy, blobs):
    """No layer keeps the call that it had while it was measured, and Keras is usable."""
    before = [sorted(vars(layer)) for layer in noisy.layers]

    def broken(targets, outputs):
        msg = "user's own error"
        raise ValueError(msg)

    with pytest.raises(ValueError, match="user's own"):
        lca_keras.track(noisy, blobs, loss=broken, mode="batch-stats")
    assert noisy._losses_override == []
    assert [sorted(vars(layer)) for layer in noisy.layers] == before
    assert np.isfinite(lca_keras.track(noisy, blobs).finish().loss("train")[0])


def test_an_unknown_mode_is_refused(plain, blobs):
    """The message lists what there is."""
    with pytest.raises(RuleError, match="batch-stats"):
        lca_keras.track(plain, blobs, mode="train")
