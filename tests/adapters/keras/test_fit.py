"""The callback: every batch of `fit` is a step."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import lca_keras
from lca_core import load
from lca_core.errors import LCAError, UnsupportedError

FIT = {"batch_size": 30, "shuffle": False, "verbose": 0}


def test_fit_and_a_loop_of_ones_own_agree(make, blobs):
    """Four batches an epoch, and the record is that of a custom loop with the same batches."""
    x, y = blobs
    fitted, looped = make["plain"](), make["plain"]()
    lca = lca_keras.LossChangeAllocation(data=blobs)
    fitted.fit(x, y, epochs=2, callbacks=[lca], **FIT)
    with lca_keras.track(looped, blobs) as tracker:
        for _ in range(2):
            for i in range(0, 101, 30):
                looped.train_on_batch(x[i : i + 30], y[i : i + 30])
                tracker.step()

    assert lca.run.steps == tracker.run.steps == 8
    np.testing.assert_allclose(lca.run.loss("train"), tracker.run.loss("train"), rtol=1e-6)
    for name, total in lca.run.total("train").items():
        np.testing.assert_allclose(total, tracker.run.total("train")[name], atol=1e-6)


def test_a_second_fit_goes_on_in_the_same_run(plain, blobs):
    """Also after the run was looked at."""
    lca = lca_keras.LossChangeAllocation(data=blobs)
    for fits in (1, 2):
        plain.fit(*blobs, callbacks=[lca], **FIT)
        assert lca.run.steps == 4 * fits

    final = plain.evaluate(*blobs, batch_size=101, verbose=0)
    assert lca.run.loss("train")[-1] == pytest.approx(final, rel=1e-6)


def test_a_callback_follows_one_model(make, blobs):
    """Another model would be recorded as a jump of the first one: it is refused."""
    lca = lca_keras.LossChangeAllocation(data=blobs)
    make["plain"]().fit(*blobs, callbacks=[lca], **FIT)
    with pytest.raises(LCAError, match="another model"):
        make["plain"]().fit(*blobs, callbacks=[lca], **FIT)

    assert lca.run.steps == 4


def test_an_error_inside_fit_keeps_what_was_recorded(plain, blobs):
    """Two batches were closed before another callback failed."""

    class Failing(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 1:
                msg = "out of luck"
                raise RuntimeError(msg)

    lca = lca_keras.LossChangeAllocation(data=blobs)
    with pytest.raises(RuntimeError, match="out of luck"):
        plain.fit(*blobs, callbacks=[lca, Failing()], **FIT)

    assert lca.run.steps == 2


def test_every_closes_longer_segments(plain, blobs):
    """The last, shorter one is closed when fit ends."""
    lca = lca_keras.LossChangeAllocation(data=blobs, every=3)
    plain.fit(*blobs, callbacks=[lca], **FIT)
    run = lca.run
    change = run.loss("train")[-1] - run.loss("train")[0]

    assert run.steps == 2
    whole = run.allocation("train").values.sum() + run.gap("train").sum()
    assert whole == pytest.approx(change, rel=1e-6)


def test_accumulated_gradients_move_nothing_between_updates(plain, blobs):
    """Batches without an update have exact zeros."""
    optimizer = keras.optimizers.SGD(0.1, gradient_accumulation_steps=2)
    plain.compile(optimizer=optimizer, loss=plain.loss)
    lca = lca_keras.LossChangeAllocation(data=blobs)
    plain.fit(*blobs, callbacks=[lca], **FIT)
    moved = np.abs(lca.run.allocation("train", by="leaf").values).sum(axis=1) > 0

    assert moved.tolist() == [False, True, False, True]


def test_several_steps_in_one_execution_are_refused(plain, blobs):
    """The iterates between them cannot be seen; the message says what to do."""
    if keras.backend.backend() == "torch":
        pytest.skip("Keras itself refuses them there")
    plain.compile(optimizer="sgd", loss=plain.loss, steps_per_execution=2)
    lca = lca_keras.LossChangeAllocation(data=blobs)
    with pytest.raises(UnsupportedError, match="steps_per_execution=1"):
        plain.fit(*blobs, callbacks=[lca], **FIT)
    with pytest.raises(LCAError, match="begins"):
        _ = lca.run


def test_a_run_is_resumed_where_the_model_stands(make, blobs, tmp_path):
    """Two processes' worth of fit give the run of one, in the file and in numbers."""
    whole, first = make["plain"](), make["plain"]()
    uninterrupted = lca_keras.LossChangeAllocation(data=blobs)
    for model in (whole, first):
        # Plain descent: the optimizer has nothing to remember.
        model.compile(optimizer=keras.optimizers.SGD(0.1), loss=model.loss)
    whole.fit(*blobs, epochs=2, callbacks=[uninterrupted], **FIT)
    path = tmp_path / "run.zarr"
    for expected in (4, 8):
        lca = lca_keras.LossChangeAllocation(data=blobs, path=path, resume=True)
        first.fit(*blobs, callbacks=[lca], **FIT)
        assert load(path).steps == lca.run.steps == expected
    run = load(path)

    np.testing.assert_allclose(run.loss("train"), uninterrupted.run.loss("train"), rtol=1e-6)
    for name, total in run.total("train").items():
        np.testing.assert_allclose(total, uninterrupted.run.total("train")[name], atol=1e-6)
    assert not getattr(lca, "async_safe", False)


def descended(make, optimizer, blobs, *others, **options):
    """Return a perceptron after two epochs of eight steps in all, and what was recorded."""
    model = make["plain"]()
    model.compile(optimizer=optimizer, loss=model.loss)
    lca = lca_keras.LossChangeAllocation(data=blobs, **options)
    model.fit(*blobs, epochs=2, callbacks=[*others, lca], **FIT)
    return model, lca


def mean_loss(model, x, y) -> float:
    """Return L where the model stands; after averaging, Keras on JAX cannot `evaluate`."""
    return float(keras.ops.convert_to_numpy(model.loss(y, model(x))))


def restoring() -> keras.callbacks.Callback:
    """Return a callback that brings the weights of the first epoch back when `fit` ends."""
    return keras.callbacks.EarlyStopping("loss", mode="max", patience=5, restore_best_weights=True)


@pytest.mark.parametrize("mover", ["average", "restored"])
def test_what_moves_the_weights_when_fit_ends_is_a_step(make, blobs, tmp_path, mover):
    """The run ends at the model's loss, the steps before are as without, and it is resumed."""
    averaging = mover == "average"
    optimizer = keras.optimizers.SGD(0.1, use_ema=averaging, ema_momentum=0.9)
    others, path = [] if averaging else [restoring()], tmp_path / "run.zarr"
    _, without = descended(make, keras.optimizers.SGD(0.1), blobs)
    model, lca = descended(make, optimizer, blobs, *others, path=path)
    loss, truth = lca.run.loss("train"), mean_loss(model, *blobs)

    assert lca.run.steps == 9
    np.testing.assert_allclose(loss[:-1], without.run.loss("train"), rtol=1e-6)
    assert loss[-1] == pytest.approx(truth, rel=1e-6)
    assert abs(loss[-1] - loss[-2]) > 0.01
    moved = lca.run.allocation("train").values[-1].sum() + lca.run.gap("train")[-1]
    assert moved == pytest.approx(truth - without.run.loss("train")[-1], rel=1e-4)

    again = make["plain"]()
    again.set_weights(model.get_weights())
    lca = lca_keras.LossChangeAllocation(data=blobs, path=path, resume=True)
    again.fit(*blobs, callbacks=[lca], **FIT)
    assert lca.run.steps == 13


@pytest.mark.parametrize(("every", "closed_at"), [(2, [0, 2, 4, 6, 8, 9]), (3, [0, 3, 6, 8])])
def test_a_move_at_the_end_belongs_to_what_is_open(make, blobs, every, closed_at):
    """A segment of its own where the last batch closed one; else the last segment ends there."""
    averaging = keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.9)
    model, lca = descended(make, averaging, blobs, every=every)

    assert lca.run.iteration.tolist() == closed_at
    assert lca.run.loss("train")[-1] == pytest.approx(mean_loss(model, *blobs), rel=1e-6)


def test_weights_that_are_lost_and_stay_so_are_no_step(make, blobs, tmp_path):
    """A NaN differs from itself: it has not moved."""
    _, lca = descended(make, keras.optimizers.SGD(np.nan), blobs, path=tmp_path / "run.zarr")

    assert np.isnan(lca.run.loss("train")[1:]).all()
    assert lca.run.steps == 8


class Crash(keras.callbacks.Callback):
    """Fails in the middle of the third epoch."""

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == (2, 1):
            msg = "out of luck"
            raise RuntimeError(msg)


# From Keras' own saving.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize(
    ("every", "saving"),
    [
        (3, "ModelCheckpoint"),
        pytest.param(1, "BackupAndRestore", marks=pytest.mark.slow),
        pytest.param(1, "ModelCheckpoint", marks=pytest.mark.slow),
        pytest.param(3, "BackupAndRestore", marks=pytest.mark.slow),
    ],
)
def test_a_crash_is_resumed_where_keras_saved_the_model(make, blobs, tmp_path, saving, every):
    """With momentum: all steps and totals are those of the run that did not crash."""
    saved, path = tmp_path / "model.keras", tmp_path / "run.zarr"

    def fit(model, path, *others, first=0):
        lca = lca_keras.LossChangeAllocation(data=blobs, path=path, resume=True, every=every)
        callbacks = [lca, *others]
        model.fit(*blobs, epochs=4, initial_epoch=first, callbacks=callbacks, **FIT)
        return lca.run

    def saver():
        if saving == "ModelCheckpoint":
            return keras.callbacks.ModelCheckpoint(saved)
        return keras.callbacks.BackupAndRestore(tmp_path / "backup")

    uninterrupted = fit(make["plain"](), tmp_path / "whole.zarr")
    with pytest.raises(RuntimeError, match="out of luck"):
        fit(make["plain"](), path, saver(), Crash())
    if saving == "ModelCheckpoint":
        run = fit(keras.models.load_model(saved), path, first=2)
    else:
        run = fit(make["plain"](), path, saver())

    assert run.iteration.tolist() == uninterrupted.iteration.tolist()
    np.testing.assert_allclose(run.loss("train"), uninterrupted.loss("train"), rtol=1e-6)
    for name, total in run.total("train").items():
        np.testing.assert_allclose(total, uninterrupted.total("train")[name], atol=1e-6)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_a_crash_is_resumed_where_a_callback_of_ones_own_saved(make, blobs, tmp_path):
    """Every three batches, first the books: the ninth is the last before the crash."""
    saved, path = tmp_path / "model.keras", tmp_path / "run.zarr"
    lca = lca_keras.LossChangeAllocation(data=blobs, path=path)

    class Saving(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if lca.tracker.iteration % 3 == 0:
                lca.tracker.checkpoint()
                self.model.save(saved)

    with pytest.raises(RuntimeError, match="out of luck"):
        make["plain"]().fit(*blobs, epochs=4, callbacks=[lca, Saving(), Crash()], **FIT)
    lca = lca_keras.LossChangeAllocation(data=blobs, path=path, resume=True)
    keras.models.load_model(saved).fit(*blobs, callbacks=[lca], **FIT)

    assert lca.run.iteration.tolist() == list(range(14))


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_looking_at_the_run_costs_nothing(make, blobs, tmp_path):
    """Whoever reads it at every batch resumes where the model was saved, and keeps others out."""
    saved, path = tmp_path / "model.keras", tmp_path / "run.zarr"
    lca = lca_keras.LossChangeAllocation(data=blobs, path=path)

    class Look(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            assert lca.run.steps == lca.tracker.iteration

    callbacks = [lca, keras.callbacks.ModelCheckpoint(saved), Look(), Crash()]
    with pytest.raises(RuntimeError, match="out of luck"):
        make["plain"]().fit(*blobs, epochs=4, callbacks=callbacks, **FIT)
    assert lca.tracker._sink._lock.release.alive
    lca = lca_keras.LossChangeAllocation(data=blobs, path=path, resume=True)
    model = keras.models.load_model(saved)
    model.fit(*blobs, epochs=4, initial_epoch=2, callbacks=[lca], **FIT)
    assert lca.run.steps == 16


def test_a_run_in_memory_makes_no_points(make, blobs):
    """Without a file the last segment of an epoch stays open: three steps of three, then two."""
    _, lca = descended(make, keras.optimizers.SGD(0.1), blobs, every=3)

    assert lca.run.iteration.tolist() == [0, 3, 6, 8]
