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
