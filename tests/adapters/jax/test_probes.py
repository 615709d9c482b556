"""Samples in the place of the full data, in JAX."""

import jax.numpy as jnp
import numpy as np
import pytest

import lca_jax
from lca_core import FixedProbe, Redrawn, Status
from lca_core.errors import DataError, UnsupportedError
from lca_core.probes import lots

X = np.random.default_rng(0).standard_normal((60, 4)).astype(np.float32)
Y = X @ np.arange(4.0, dtype=np.float32)
PARAMS = {"w": jnp.zeros(4), "b": jnp.zeros(())}


def loss_fn(params, batch):
    """Return squared errors."""
    x, y = batch
    return (x @ params["w"] + params["b"] - y) ** 2


def walked(data):
    """Return the run of two steps."""
    with lca_jax.track(loss_fn, PARAMS, data) as tracker:
        for scale in (0.1, 0.2):
            tracker.step({"w": scale * jnp.arange(4.0), "b": jnp.float32(scale)})
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


def test_the_compiled_pair_takes_a_fixed_probe():
    """`functional` draws it as `track` does."""
    probe = FixedProbe((X, Y), 20)
    here = lots(probe, 60).once()
    records = []
    for data in (probe, (X[here], Y[here])):
        pair = lca_jax.functional(loss_fn, PARAMS, data)
        record, _ = pair.update({"w": 0.1 * jnp.arange(4.0), "b": PARAMS["b"]}, pair.init(PARAMS))
        records.append(np.asarray(record["train"]["allocation"]))
    np.testing.assert_array_equal(*records)


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        (Redrawn((X, Y), 20), UnsupportedError, r"lca_jax does not draw.*\['train'\]"),
        (FixedProbe((X, Y), 61), DataError, "61 examples was asked for"),
        (FixedProbe([(X, Y)], 20), DataError, "not a list of batches"),
    ],
)
def test_what_cannot_be_sampled_is_refused(data, error, words):
    """The error says what is there instead."""
    with pytest.raises(error, match=words):
        walked(data)


def test_one_array_alone_is_data_still():
    """A bare array is one measure, sampled or not."""

    def square(params, x):
        return ((x - params["w"]) ** 2).sum(axis=1)

    for data in (X, FixedProbe(X, 20), {"train": (X,)}):
        params = {"w": jnp.zeros(4)}
        loss = square if not isinstance(data, dict) else lambda p, batch: square(p, batch[0])
        with lca_jax.track(loss, params, data) as tracker:
            tracker.step({"w": jnp.ones(4)})
        assert tracker.run.measures == ("train",)
