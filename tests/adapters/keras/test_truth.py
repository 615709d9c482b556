"""Losses, gradients and allocations against closed forms and the float64 reference."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import lca_keras
from lca_core import Adaptive
from lca_core.reference import Linear, Perceptron, track

WEIGHT = {"kernel": "weight", "bias": "bias"}


def spelled(name: str) -> str:
    """Return the reference's name of a leaf of a Sequential of Dense layers."""
    layer, _, own = name.rpartition("/")
    return f"fc{int(layer.partition('_')[2] or 0) + 1}.{WEIGHT[own]}"


def hosted(model: keras.Model) -> dict[str, np.ndarray]:
    """Return the reference's parameters from where the model stands, float64."""
    tracker_names = ["dense/kernel", "dense/bias", "dense_1/kernel", "dense_1/bias"]
    values = zip(tracker_names, model.get_weights(), strict=False)
    return {spelled(name): value.T.astype(np.float64) for name, value in values}


@pytest.mark.parametrize("batch_size", [None, 101, 40, 7])
def test_a_perceptron_has_the_allocations_of_the_reference(plain, blobs, batch_size):
    """Every step's loss and every parameter's total are those of float64 numpy, however cut."""
    x, y = blobs
    reference = Perceptron(x.astype(np.float64), y, (12, 8, 4), "tanh")
    wanted = track({"train": reference}, hosted(plain), reference.layout)
    tracker = lca_keras.track(plain, blobs, batch_size=batch_size)
    for _ in range(6):
        plain.train_on_batch(x[:30], y[:30])
        tracker.step()
        wanted.step(hosted(plain))
    run, truth = tracker.finish(), wanted.finish()

    np.testing.assert_allclose(run.loss("train"), truth.loss("train"), rtol=1e-6)
    for name, total in run.total("train").items():
        np.testing.assert_allclose(total.T, truth.total("train")[spelled(name)], atol=3e-6)


def test_a_linear_model_closes_exactly_with_one_gradient_a_step(blobs):
    """The loss of a linear model is quadratic: the trapezoid rule leaves rounding only."""
    x, _ = blobs
    rng = np.random.default_rng(0)
    targets = rng.standard_normal((len(x), 3)).astype("float32")
    model = keras.Sequential([keras.Input((12,)), layers.Dense(3)])
    model.compile(optimizer=keras.optimizers.SGD(0.05), loss="mse")
    reference = Linear(x.astype(np.float64), targets.astype(np.float64))
    tracker = lca_keras.track(model, (x, targets), integrator=Adaptive(audit=None))
    starts = [hosted(model)]
    for _ in range(4):
        model.train_on_batch(x, targets)
        tracker.step()
        starts.append(hosted(model))
    run = tracker.finish()
    # Keras averages over outputs too; the reference halves the sum.
    losses = [2 / 3 * float(reference(at, {}).loss) for at in starts]

    np.testing.assert_allclose(run.loss("train"), losses, rtol=1e-6)
    assert np.all(np.abs(run.gap("train")) < 1e-6 * losses[0])
    assert np.all(run.status("train") == 0)


def test_a_step_without_motion_is_exactly_zero(plain, blobs):
    """Nothing moved, so nothing is allocated, and no gradient is spent."""
    tracker = lca_keras.track(plain, blobs)
    tracker.step()
    run = tracker.finish()

    assert np.all(run.allocation("train").values == 0.0)
    assert np.all(run.gap("train") == 0.0)


def test_snapshots_are_owned(plain, blobs):
    """Assigning to the live variables does not reach what was captured."""
    tracker = lca_keras.track(plain, blobs)
    held = tracker._state.snapshot.params["dense/kernel"]
    before = np.array(tracker._allocator.ops.to_numpy(held))
    plain.train_on_batch(*blobs)
    plain.layers[0].kernel.assign(plain.layers[0].kernel * 2.0)

    assert np.array_equal(tracker._allocator.ops.to_numpy(held), before)
