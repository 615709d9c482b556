"""Samples in the place of the full data, in Keras."""

import keras
import numpy as np
import pytest

import lca_keras
from lca_core import FixedProbe, Redrawn, Status
from lca_core.errors import DataError, UnsupportedError
from lca_core.probes import lots

X = np.random.default_rng(0).standard_normal((60, 4)).astype(np.float32)
Y = (X @ np.arange(4.0, dtype=np.float32))[:, None]


def walked(data):
    """Return the run of two steps."""
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, kernel_initializer="ones")])
    with lca_keras.track(model, data, loss=keras.losses.MeanSquaredError()) as tracker:
        for scale in (0.9, 0.8):
            model.weights[0].assign(scale * np.ones((4, 1)))
            tracker.step()
    return tracker.run


def test_a_fixed_probe_is_the_measure_of_a_subset():
    """It closes on its own loss, which is that of the examples drawn."""
    probe = FixedProbe((X, Y), 20)
    run, here = walked({"train": probe, "val": (X, Y)}), lots(probe, 60).once()
    alone = walked((X[here], Y[here]))
    np.testing.assert_allclose(run.loss("train"), alone.loss("train"), rtol=1e-6)
    assert (run.status("train") == Status.OK).all()
    assert (run.probe("train").examples, run.probe("train").of) == (20, 60)
    assert run.probe("val") is None


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        (Redrawn((X, Y), 20), UnsupportedError, r"lca_keras does not draw.*\['train'\]"),
        (FixedProbe((X, Y), 61), DataError, "61 examples was asked for"),
        (FixedProbe([(X, Y)], 20), DataError, "one by one: pass arrays"),
    ],
)
def test_what_cannot_be_sampled_is_refused(data, error, words):
    """The error says what is there instead."""
    with pytest.raises(error, match=words):
        walked(data)
