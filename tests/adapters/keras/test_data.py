"""Data of every form are the same examples; what cannot be trusted is refused."""

from __future__ import annotations

import importlib
import math

import keras
import numpy as np
import pytest
from keras import layers

import lca_keras
from lca_core.errors import DataError, RuleError
from lca_keras import data as module


class Pieces(keras.utils.PyDataset):
    """Batches of 30 out of arrays, counted as they are read."""

    def __init__(self, x, y, *, noise: bool = False) -> None:
        super().__init__()
        self.arrays, self.noise = (x, y), noise

    def __len__(self) -> int:
        return math.ceil(len(self.arrays[1]) / 30)

    def __getitem__(self, i):
        x, y = (array[30 * i : 30 * i + 30] for array in self.arrays)
        return (x + np.random.rand() if self.noise else x), y


def first_loss(model, data, **options) -> float:
    """Return the loss where the model stands."""
    return lca_keras.track(model, data, **options).finish().loss("train")[0]


def batches(x, y):
    """Return a list of batches of 30."""
    return [(x[i : i + 30], y[i : i + 30]) for i in range(0, len(y), 30)]


@pytest.mark.parametrize("form", [Pieces, batches], ids=["PyDataset", "list"])
@pytest.mark.parametrize("kept", [True, False], ids=["resident", "streamed"])
def test_batches_are_the_arrays_that_they_hold(plain, blobs, form, kept, monkeypatch):
    """Read once and kept, or read at every pass: loss and allocation are those of the arrays."""
    x, y = blobs
    whole = lca_keras.track(plain, blobs)
    if not kept:
        monkeypatch.setattr(module, "_room", lambda: 100.0)
    cut = lca_keras.track(plain, form(x, y), batch_size=20)
    plain.train_on_batch(x, y)
    for tracker in (whole, cut):
        tracker.step()
    runs = [whole.finish(), cut.finish()]

    assert isinstance(cut._allocator.oracles["train"].source, module.Resident) == kept
    np.testing.assert_allclose(*(run.loss("train") for run in runs), rtol=1e-6)
    np.testing.assert_allclose(
        *(run.allocation("train", by="leaf").values for run in runs), atol=1e-6
    )


def test_inputs_and_targets_may_be_nested(blobs):
    """Dicts of arrays go to a model of several inputs; batches of them are joined."""
    x, y = blobs
    first, second = keras.Input((5,), name="b"), keras.Input((7,), name="a")
    joined = layers.Concatenate()([first, second])
    model = keras.Model({"b": first, "a": second}, layers.Dense(4)(joined))
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    parts = {"b": x[:, :5], "a": x[:, 5:]}
    pieces = [
        ({k: v[i : i + 40] for k, v in parts.items()}, y[i : i + 40]) for i in range(0, 101, 40)
    ]
    whole = model.evaluate(parts, y, batch_size=101, verbose=0)

    assert first_loss(model, (parts, y)) == pytest.approx(whole, rel=1e-6)
    assert first_loss(model, pieces, batch_size=17) == pytest.approx(whole, rel=1e-6)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("batch_size", value) for value in (0, -3, 2.5, "8")),
        *(("memory", value) for value in (0, -1, float("inf"), float("nan"), "1 GB")),
    ],
)
def test_chunks_hold_an_example_at_least(plain, blobs, name, value):
    """Zero is not the default, halves are no examples, and nothing fits into no memory."""
    with pytest.raises(RuleError, match=f"{name} must be a number of .* from 1 up, got {value!r}"):
        lca_keras.track(plain, blobs, **{name: value})


def test_numpy_counts_examples_too(plain, blobs, tmp_path):
    """A batch size that NumPy made goes into the run file as a number."""
    path = tmp_path / "run.zarr"
    run = lca_keras.track(plain, blobs, batch_size=np.int64(40), path=path).finish()
    assert run.config["batch_size"] == {"train": 40}


def test_several_measures_have_a_ledger_each(plain, blobs):
    """A dict names the measures."""
    x, y = blobs
    tracker = lca_keras.track(plain, {"train": (x[:80], y[:80]), "val": (x[80:], y[80:])})
    plain.train_on_batch(x, y)
    tracker.step()
    run = tracker.finish()

    for name, part in (("train", slice(80)), ("val", slice(80, None))):
        whole = plain.evaluate(x[part], y[part], batch_size=101, verbose=0)
        assert run.loss(name)[1] == pytest.approx(whole, rel=1e-6)


def test_data_that_change_between_readings_are_refused(plain, blobs):
    """Random augmentation shows in the second reading, and the streams stay where they were."""
    before = np.random.get_state()[1].copy()
    with pytest.raises(DataError, match="Two readings"):
        lca_keras.track(plain, Pieces(*blobs, noise=True))
    assert np.array_equal(before, np.random.get_state()[1])


def test_data_that_change_later_are_noticed(plain, blobs, monkeypatch):
    """Streamed data are checksummed at every pass; what is recorded stays."""
    monkeypatch.setattr(module, "_room", lambda: 100.0)
    x, y = blobs[0].copy(), blobs[1]
    tracker = lca_keras.track(plain, Pieces(x, y))
    plain.train_on_batch(x, y)
    tracker.step()
    x[0, 0] += 1.0
    plain.train_on_batch(x, y)
    with pytest.raises(DataError, match="between two passes"):
        tracker.step()
    x[0, 0] = blobs[0][0, 0]

    assert tracker.finish().steps == 1


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ((np.zeros((0, 12)), np.zeros(0)), "empty"),
        ([], "empty"),
        ((np.zeros((3, 12)), np.zeros(2)), "same number"),
        (iter([]), "again and again"),
        (np.float32(3.0), "again and again"),
        (np.zeros((3, 12)), "again and again"),
        ((np.zeros(3),) * 4, "4 parts"),
        (([[0.0] * 12] * 3, [0, 1, 2]), "got float among them.*np.asarray"),
        ((np.zeros((3, 12)), [0, 1, 2]), "got int among them"),
        ([(np.zeros(12), 0)], "a data set in batches"),
        ({}, "names no measure"),
    ],
)
def test_unusable_data_are_refused(plain, data, message):
    """The message says what is wrong and what to pass instead."""
    with pytest.raises(DataError, match=message):
        lca_keras.track(plain, data)


def _sparse(dense):
    """Return a sparse array of the framework that Keras runs on."""
    if keras.backend.backend() == "tensorflow":
        return importlib.import_module("tensorflow").sparse.from_dense(dense)
    if keras.backend.backend() == "jax":
        return importlib.import_module("jax.experimental.sparse").BCOO.fromdense(dense)
    return importlib.import_module("torch").tensor(dense).to_sparse()


@pytest.mark.parametrize("known", [True, False])
def test_loaders_that_drop_examples_are_refused(plain, blobs, known):
    """Every example counts; nothing is dropped where the batches come out even."""

    class Loader(Pieces):
        drop_last, batch_size = True, 30

        @property
        def dataset(self):
            return self.arrays[1] if known else None

    with pytest.raises(DataError, match=r"drops the last( 11 of 101)? examples.*drop_last=True"):
        lca_keras.track(plain, Loader(*blobs))
    if known:
        even = tuple(array[:90] for array in blobs)
        assert lca_keras.track(plain, Loader(*even)).finish().steps == 0


def test_sparse_arrays_are_refused(plain, blobs):
    """What is sparse is said to be so, and not printed."""
    with pytest.raises(DataError, match="a dense array for a sparse one"):
        lca_keras.track(plain, (_sparse(blobs[0]), blobs[1]))


def test_class_weights_need_bare_targets(plain, blobs):
    """As in Keras, they do not go together with weights of examples."""
    x, y = blobs
    with pytest.raises(DataError, match="class_weight"):
        lca_keras.track(plain, (x, y, np.ones(len(y))), class_weight={0: 2.0})


def test_inputs_in_a_dict_keep_their_places_where_data_are_read_between_programs():
    """Names that are not in the order of the alphabet: JAX would swap them on their way in."""
    rng = np.random.default_rng(0)

    def batch(examples, length):
        x = {name: rng.standard_normal((examples, length, 3), np.float32) for name in ("b", "a")}
        return x, rng.integers(3, size=examples)

    batches = [batch(20, 5), batch(12, 7)]  # lengths differ: nothing can be joined
    inputs = {name: keras.Input((None, 3), name=name) for name in ("b", "a")}
    means = [keras.layers.GlobalAveragePooling1D()(one) for one in inputs.values()]
    outputs = keras.layers.Dense(3)(keras.layers.Concatenate()(means))
    model = keras.Model(inputs, outputs)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer="sgd", loss=loss)
    tracker = lca_keras.track(model, batches)
    summed = [len(y) * loss(y, keras.ops.convert_to_numpy(model(x))) for x, y in batches]
    assert tracker.last()["loss"] == pytest.approx(float(sum(summed)) / 32, rel=1e-6)
