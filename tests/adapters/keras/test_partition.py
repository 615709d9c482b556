"""A partition of the data in Keras: every group a measure, in one pass over all examples."""

import numpy as np
import pytest

import lca_keras
from lca_core import SIMPSON, Fixed, Partition
from lca_core.errors import DataError, RuleError


def trained(model, data, blobs, **options):
    """Return the run of four steps."""
    with lca_keras.track(model, data, integrator=Fixed(SIMPSON), **options) as tracker:
        for _ in range(4):
            model.train_on_batch(*blobs)
            tracker.step()
    return tracker.run


def test_the_whole_is_the_data_undivided(make, blobs):
    """With weights of examples: loss, allocation and totals are the plain ones."""
    data = (*blobs, (0.5 + blobs[1]).astype("float32"))
    split = trained(make["plain"](), Partition(data, by=blobs[1]), blobs)
    undivided = trained(make["plain"](), data, blobs)
    assert split.measures == ("train", *(f"train/class={c}" for c in range(4)))
    np.testing.assert_allclose(split.loss("train"), undivided.loss("train"), rtol=1e-6)
    for name, total in undivided.total("train").items():
        np.testing.assert_allclose(split.total("train")[name], total, rtol=1e-3, atol=1e-5)
    shares = {f"train/class={c}": np.mean(blobs[1] == c) for c in range(4)}
    assert split.parts("train") == pytest.approx(shares)


def test_fit_knows_partitions(make, blobs):
    """The callback takes one as its data; a class's loss is what `evaluate` says of it."""
    model, (x, y) = make["plain"](), blobs
    callback = lca_keras.LossChangeAllocation(data={"train": blobs, "odd": Partition(blobs, y % 2)})
    model.fit(x, y, epochs=1, batch_size=50, verbose=0, callbacks=[callback])
    assert callback.run.measures == ("train", "odd", "odd/class=0", "odd/class=1")
    truth = float(model.evaluate(x[y % 2 == 1], y[y % 2 == 1], verbose=0))
    assert callback.run.loss("odd/class=1")[-1] == pytest.approx(truth, rel=1e-5)


def test_what_cannot_be_picked_is_refused(make, blobs):
    """Batches, too few labels and batch statistics are errors that say what to pass."""
    model = make["noisy"]()
    with pytest.raises(DataError, match=r"pass arrays \(x, y\), got list"):
        lca_keras.track(model, Partition([blobs], by=blobs[1]))
    with pytest.raises(DataError, match="101 examples, 100 labels"):
        lca_keras.track(model, Partition(blobs, by=blobs[1][1:]))
    with pytest.raises(RuleError, match="needs mode='eval'"):
        lca_keras.track(model, Partition(blobs, by=blobs[1]), mode="batch-stats")
