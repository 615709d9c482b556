"""Samples in the place of the full data, in Keras."""

import keras
import numpy as np
import pytest

import lca_keras
from lca_core import MIDPOINT, Fixed, FixedProbe, Redrawn, Status
from lca_core.errors import DataError, LossError
from lca_core.probes import lots

X = np.random.default_rng(0).standard_normal((60, 4)).astype(np.float32)
Y = (X @ np.arange(4.0, dtype=np.float32))[:, None]


def walked(data, **options):
    """Return the run of two steps."""
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, kernel_initializer="ones")])
    with lca_keras.track(model, data, loss=keras.losses.MeanSquaredError(), **options) as tracker:
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
            np.testing.assert_allclose(run.rows[name][t], alone.rows[name][t], rtol=5e-6)
        for k, row in enumerate(places.at(t)):
            part = walked((X[row], Y[row]), integrator=rule).rows["allocation"][t, 0]
            found = run.rows["subsample_allocation"][t, 0, :, k]
            np.testing.assert_allclose(found, part, rtol=5e-6)


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        (Redrawn([(X, Y)], 20), DataError, "one by one: pass arrays"),
        (Redrawn((X, Y), 62), DataError, "62 examples was asked for"),
        (FixedProbe((X, Y), 61), DataError, "61 examples was asked for"),
        (FixedProbe([(X, Y)], 20), DataError, "one by one: pass arrays"),
    ],
)
def test_what_cannot_be_sampled_is_refused(data, error, words):
    """The error says what is there instead."""
    with pytest.raises(error, match=words):
        walked(data)


def no_mean(name):
    """Return a loss that is not the mean of its examples' losses."""
    return lambda y, outputs: getattr(keras.ops, name)((y - outputs) ** 2)


@pytest.mark.parametrize("loss", ["sum", "max", "var"])
@pytest.mark.parametrize("probe", [Redrawn, FixedProbe])
def test_a_sample_of_a_loss_that_is_no_mean_is_refused(probe, loss):
    """Its value would depend on how many are drawn; all examples at once have one."""
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    with pytest.raises(LossError, match="what a sample says of all data is nothing else"):
        lca_keras.track(model, probe((X, Y), 20), loss=no_mean(loss))
    tracker = lca_keras.track(model, (X, Y), loss=no_mean(loss))
    expected = getattr(np, loss)((Y - model.predict(X, verbose=0)) ** 2)
    assert tracker.last()["loss"] == pytest.approx(expected, rel=1e-5)


def test_sampled_weights_are_not_divided_by():
    """Nor is a mean that divides by the weights of the sample, which would be biased."""
    weight = np.linspace(0.0, 3.0, 60, dtype=np.float32)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    loss = keras.losses.MeanSquaredError(reduction="mean_with_sample_weight")
    with pytest.raises(LossError, match="divides by their weights"):
        lca_keras.track(model, Redrawn((X, Y, weight), 20), loss=loss)


def test_a_loss_that_is_no_mean_is_planned_without_samples():
    """And the plan says why."""
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    many = (np.tile(X, (5, 1)), np.tile(Y, (5, 1)))
    with lca_keras.track(model, many, loss=no_mean("max")) as tracker:
        for scale in (0.9, 0.8, 0.7):
            model.weights[0].assign(scale * np.ones((4, 1)))
            tracker.step()
        plan = tracker.plan(training_seconds=0.01)
    assert set(plan.unsampled) == {"probe", "redrawn"}
    assert all("not the mean" in reason for reason in plan.unsampled.values())
