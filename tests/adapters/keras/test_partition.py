"""A partition of the data in Keras: every group a measure, in one pass over all examples."""

import keras
import numpy as np
import pytest

import lca_keras
import lca_keras.data as module
from lca_core import SIMPSON, Fixed, Partition
from lca_core.errors import DataError, LossError, RuleError
from lca_keras.batches import checksum, hosted
from lca_keras.checking import Checks


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


def weighs(labels, outputs):
    """Return a mean with class weights that nobody can see from outside."""
    each = keras.losses.sparse_categorical_crossentropy(labels, outputs, from_logits=True)
    weights = 1.0 + keras.ops.cast(keras.ops.reshape(labels, (-1,)), "float32")
    return keras.ops.sum(each * weights) / keras.ops.sum(weights)


@pytest.mark.parametrize("batch_size", [None, 20])
@pytest.mark.parametrize("rare", [False, True])
def test_weights_that_are_equal_inside_every_part_are_refused(make, blobs, batch_size, rare):
    """Inside a class a weighted mean is a plain one; across classes it is seen."""
    x, y = blobs
    if rare:  # two examples of one class among many of another
        here = np.concatenate([np.flatnonzero(y == 0)[:1].repeat(900), np.flatnonzero(y == 1)[:2]])
        x, y = x[here], y[here]
    model = make["plain"]()
    with pytest.raises(LossError, match=r"not the mean of .*Use a plain mean\.$"):
        lca_keras.track(model, Partition((x, y), by=y), loss=weighs, batch_size=batch_size)


@pytest.fixture
def looks(monkeypatch):
    """Return a function that tracks, and says how often every check calls the loss in Python."""
    calls, found, real = [], [], Checks.refuse

    def loss(labels, outputs):
        calls.append(outputs.shape)
        return keras.losses.sparse_categorical_crossentropy(labels, outputs, from_logits=True)

    def counted(*args):
        before = len(calls)
        real(*args)
        found.append(len(calls) - before)

    monkeypatch.setattr(Checks, "refuse", counted)

    def track(model, data, **options):
        found.clear()
        lca_keras.track(model, data, loss=loss, **options)
        return tuple(found)

    return track


def test_a_partition_is_checked_as_cheaply_as_one_measure(make, blobs, looks):
    """Ten groups are looked at together, and two measures by one program where one is compiled."""
    x, y = (np.tile(part, (5, *[1] * (part.ndim - 1))) for part in blobs)
    model, options = make["plain"](), {"batch_size": 20}
    (once,) = looks(model, (x, y), **options)
    (groups,) = looks(model, Partition((x, y), by=np.arange(505) % 10), **options)
    both = looks(model, {"train": (x, y), "val": (x, y)}, **options)
    assert groups == once
    assert both == ((once, once) if keras.backend.backend() == "torch" else (once, 0))
    assert once <= (23 if keras.backend.backend() == "torch" else 4)
    assert looks(model, (x, y)) == ()


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="PyTorch runs without programs")
@pytest.mark.parametrize("room", [2.0**30, 100.0], ids=["resident", "streamed"])
def test_groups_of_one_form_share_their_programs(make, monkeypatch, room):
    """Ten groups of as many examples trace the loss as often as two, and each has its own data."""
    monkeypatch.setattr(module, "_room", lambda: room)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((110, 12)).astype("float32"), rng.integers(4, size=110)
    calls = []

    def loss(labels, outputs):
        calls.append(outputs.shape)
        return keras.losses.sparse_categorical_crossentropy(labels, outputs, from_logits=True)

    def traced(model, groups):
        n = 11 * groups
        data = Partition((x[:n], y[:n]), by=np.arange(n) % groups, name="group")
        calls.clear()
        run = trained(model, data, (x, y), loss=loss, batch_size=4)
        return len(calls), run

    model = make["plain"]()
    (two, _), (ten, run) = traced(make["plain"](), 2), traced(model, 10)
    assert 0 < ten == two
    for group in range(10):
        own, name = (x[group::10], y[group::10]), f"train/group={group}"
        truth = float(model.evaluate(*own, verbose=0))
        assert run.loss(name)[-1] == pytest.approx(truth, rel=1e-5)
        expected = {"examples": 11, "crc32": f"{checksum(hosted(own)):08x}"}
        assert run.config["data"][name] == expected
