"""Training with LCA on is, bit for bit, the training without it."""

from __future__ import annotations

import random

import keras
import numpy as np
import pytest
from keras.src.backend.common.global_state import set_global_attribute

import lca_keras
from lca_keras.backends import BACKEND


def state(model: keras.Model) -> dict[str, bytes]:
    """Return all that can differ, as bytes."""
    variables = [*model.variables, *model.optimizer.variables, *model.metrics_variables]
    values = {f"{i} {v.path}": v for i, v in enumerate(variables)}
    return {
        # The root's number counts the models of the process.
        **{
            k.replace(model.name, ""): BACKEND.ops.to_numpy(BACKEND.owned(v)).tobytes()
            for k, v in values.items()
        },
        "python": repr(random.getstate()).encode(),
        "numpy": np.random.get_state()[1].tobytes(),
        **BACKEND.streams(),
    }


def trained(model: keras.Model, blobs, callbacks) -> list[bytes]:
    """Fit two epochs with shuffling, dropout and the global streams on."""
    keras.utils.set_random_seed(7)
    model.fit(*blobs, batch_size=20, epochs=2, verbose=0, callbacks=callbacks)
    return list(state(model).values())


@pytest.mark.parametrize("mode", ["eval", pytest.param("batch-stats", marks=pytest.mark.slow)])
def test_fit_is_the_same_with_and_without(make, blobs, mode):
    """Variables, dropout's seeds, optimizer, metrics and random streams are untouched."""
    without = trained(make["noisy"](), blobs, [])
    data = {"train": blobs, "val": [blobs]}
    lca = lca_keras.LossChangeAllocation(data=data, mode=mode, batch_size=40)
    tracked = trained(make["noisy"](), blobs, [lca])

    assert lca.run.steps == 12
    assert np.all(np.isfinite(lca.run.gap("train")))
    assert without == tracked


def test_dropouts_seed_is_no_buffer(noisy, blobs):
    """It moves at every step of training, and the measured loss does not depend on it."""
    tracker = lca_keras.track(noisy, blobs, mode="batch-stats")
    assert tracker._state.snapshot.buffers == {}
    noisy.train_on_batch(*blobs)
    tracker.step()
    found = lca_keras.track(noisy, blobs, mode="batch-stats").finish()

    assert tracker.finish().loss("train")[1] == pytest.approx(found.loss("train")[0], rel=1e-7)


def test_a_model_that_always_draws_is_a_fixed_function(blobs):
    """Noise inside `call` is the same at every look, so its books close too."""

    class Noise(keras.layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.seeds = keras.random.SeedGenerator(3)

        def call(self, x):
            return x + keras.random.normal(keras.ops.shape(x), seed=self.seeds)

    entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model = keras.Sequential([keras.Input((12,)), Noise(), keras.layers.Dense(4)])
    model.compile(optimizer=keras.optimizers.SGD(0.1), loss=entropy)
    tracker = lca_keras.track(model, blobs)
    for _ in range(3):
        model.train_on_batch(*blobs)
        tracker.step()
    run = tracker.finish()

    assert np.all(run.status("train") == 0)


class OfNumPy(keras.layers.Layer):
    """Draws from a global stream of the host."""

    def call(self, x):
        return x * float(1 + 0.1 * np.random.rand())


class Unseeded(keras.layers.Layer):
    """Draws from the backend's global stream; in JAX, Keras refuses it."""

    def call(self, x):
        return x + 0.1 * keras.random.normal(keras.ops.shape(x))


DRAWING = [OfNumPy, *([] if keras.backend.backend() == "jax" else [Unseeded])]


@pytest.mark.parametrize("eager", [True, False])
@pytest.mark.parametrize("seeded", [True, False])
@pytest.mark.parametrize("layer", DRAWING)
def test_layers_that_draw_from_global_streams_train_as_without(blobs, layer, seeded, eager):
    """The streams are the training's again behind every look; all looks draw alike."""

    def fitted(callbacks):
        keras.utils.clear_session()
        keras.utils.set_random_seed(7)
        if not seeded:
            set_global_attribute("global_random_seed", None)
        model = keras.Sequential([keras.Input((12,)), layer(), keras.layers.Dense(4)])
        entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(optimizer=keras.optimizers.SGD(0.1), loss=entropy, run_eagerly=eager)
        model.fit(*blobs, batch_size=50, epochs=2, verbose=0, callbacks=callbacks)
        return list(state(model).values())

    lca = lca_keras.LossChangeAllocation(data=blobs)
    assert fitted([]) == fitted([lca])
    assert np.all(lca.run.status("train") == 0)
