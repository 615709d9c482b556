"""Samples in the place of the full data, in JAX."""

import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lca_jax
from lca_core import MIDPOINT, Fixed, FixedProbe, Redrawn, Status
from lca_core.errors import DataError, UnsupportedError
from lca_core.probes import lots

X = np.random.default_rng(0).standard_normal((60, 4)).astype(np.float32)
Y = X @ np.arange(4.0, dtype=np.float32)
PARAMS = {"w": jnp.zeros(4), "b": jnp.zeros(())}


def loss_fn(params, batch):
    """Return squared errors."""
    x, y = batch
    return (x @ params["w"] + params["b"] - y) ** 2


def walked(data, **options):
    """Return the run of two steps."""
    with lca_jax.track(loss_fn, PARAMS, data, **options) as tracker:
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
        (Redrawn([(X, Y), (X, Y)], 20), DataError, "not a list of batches"),
        (FixedProbe((X, Y), 61), DataError, "61 examples was asked for"),
        (FixedProbe([(X, Y)], 20), DataError, "not a list of batches"),
    ],
)
def test_what_cannot_be_sampled_is_refused(data, error, words):
    """The error says what is there instead."""
    with pytest.raises(error, match=words):
        walked(data)


def test_the_compiled_pair_cannot_redraw():
    """The host draws: `functional` says so at once."""
    with pytest.raises(UnsupportedError, match=r"lca_jax.functional does not draw.*\['train'\]"):
        lca_jax.functional(loss_fn, PARAMS, Redrawn((X, Y), 20))


@pytest.mark.parametrize("batch_size", [None, 4])
def test_a_redrawn_step_is_what_the_full_mode_finds_on_its_sample(batch_size):
    """Every step's sums are those of its examples, and of each subsample's, by midpoints."""
    probe, rule = Redrawn((X, Y), 20), Fixed(MIDPOINT)
    run, places = walked(probe, batch_size=batch_size), lots(probe, 60)
    assert (run.status("train") == Status.ESTIMATED).all()
    for t in (0, 1):
        here = places.at(t).ravel()
        alone = walked((X[here], Y[here]), integrator=rule)
        for name in ("allocation", "unit_allocation"):
            np.testing.assert_allclose(run.rows[name][t], alone.rows[name][t], rtol=2e-6)
        for k, row in enumerate(places.at(t)):
            part = walked((X[row], Y[row]), integrator=rule).rows["allocation"][t, 0]
            np.testing.assert_allclose(
                run.rows["subsample_allocation"][t, 0, :, k], part, rtol=2e-6
            )


@pytest.mark.parametrize("what", [lambda data: data, lambda data: Redrawn(data, 20)])
def test_data_may_be_overwritten(what):
    """What the caller's arrays become after `track` is nobody's concern."""
    runs = []
    for spoil in (False, True):
        x, y = X.copy(), Y.copy()
        with lca_jax.track(loss_fn, PARAMS, what((x, y))) as tracker:
            if spoil:
                x[...], y[...] = 0.0, 0.0
            tracker.step({"w": 0.1 * jnp.arange(4.0), "b": jnp.float32(0.1)})
        runs.append(tracker.run)
    np.testing.assert_array_equal(*(run.rows["allocation"] for run in runs))


def test_examples_that_weigh_nothing_are_refused():
    """There is no mean to estimate; said at the start, not by a division at the first step."""

    def weighted(params, batch):
        x, y, w = batch
        return w * (x @ params["w"] - y) ** 2, w

    with pytest.raises(DataError, match=r"'train' weigh 0\.0 together"):
        lca_jax.track(weighted, PARAMS, Redrawn((X, Y, 0 * Y), 20))


def test_weighted_samples_are_divided_by_their_expected_weight():
    """Dividing by a sample's own weight would make a ratio, which is biased."""
    weights = np.arange(60.0, dtype=np.float32)

    def weighted(params, batch):
        x, y, w = batch
        return loss_fn(params, (x, y)), w

    probe = Redrawn((X, Y, weights), 20)
    with lca_jax.track(weighted, PARAMS, probe) as tracker:
        pass
    here = lots(probe, 60).at(0).ravel()
    expected = (weights[here] * Y[here] ** 2).mean() / weights.mean()
    assert tracker.run.loss("train")[0] == pytest.approx(expected, rel=1e-6)


def test_a_draw_compiles_nothing_anew():
    """One program serves every step, whatever it draws."""
    tracker = lca_jax.track(loss_fn, PARAMS, Redrawn((X, Y), 20))
    steps = [{"w": t * jnp.arange(4.0), "b": jnp.float32(t)} for t in range(6)]
    for step in steps[:3]:
        tracker.step(step)
    with jax.log_compiles(), pytest.MonkeyPatch.context() as patch:
        seen = []
        patch.setattr(logging.getLogger("jax"), "propagate", False)
        handler = logging.Handler()
        handler.emit = seen.append
        logging.getLogger("jax").addHandler(handler)
        for step in steps[3:]:
            tracker.step(step)
        logging.getLogger("jax").removeHandler(handler)
    assert not [one for one in seen if "Compiling" in one.getMessage()]


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
