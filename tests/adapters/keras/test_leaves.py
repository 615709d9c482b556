"""Names, units and which variables are followed."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import lca_keras
from lca_core.errors import LeafError, UnsupportedError
from lca_keras.names import stable_names


class Encoder(keras.Model):
    """A subclassed model with a model inside."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = keras.Sequential([layers.Dense(3), layers.Dense(2, name="last")])
        self.out = layers.Dense(2)

    def call(self, x):
        return self.out(self.inner(x))


def nested() -> keras.Model:
    """Return a subclassed model, built."""
    model = Encoder()
    model(np.zeros((1, 4), "float32"))
    return model


def functional() -> keras.Model:
    """Return a model with a layer used twice and two submodels alike."""
    inputs = keras.Input((4,))
    shared = layers.Dense(4)
    x = shared(shared(inputs))
    branches = [
        keras.Sequential([keras.Input((4,)), layers.Dense(2, name="head")]) for _ in range(2)
    ]
    return keras.Model(inputs, layers.Add()([branch(x) for branch in branches]))


@pytest.mark.parametrize("build", [nested, functional])
def test_a_second_model_in_the_process_has_the_same_names(build):
    """Whatever was built in between, and each name once."""
    first = list(stable_names(build()).values())
    layers.Dense(1)
    second = list(stable_names(build()).values())

    assert first == second
    assert len(set(first)) == len(first)


def test_shared_layers_are_one_leaf():
    """A layer that is called twice has its variables once."""
    names = list(stable_names(functional()).values())
    assert names[:2] == ["dense/kernel", "dense/bias"]
    assert len(names) == 6


def test_units_are_outputs_channels_and_rows():
    """The axis of every kind of kernel, and none where no single axis counts."""
    model = keras.Sequential(
        [
            keras.Input((6,), dtype="int32"),
            layers.Embedding(9, 8),
            layers.Reshape((6, 8, 1)),
            layers.Conv2D(5, 3, padding="same"),
            layers.DepthwiseConv2D(3),
            layers.Conv2DTranspose(7, 2),
            layers.BatchNormalization(),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2),
        ]
    )
    model.compile(loss="mse")
    data = (np.zeros((2, 6), "int32"), np.zeros((2, 2), "float32"))
    layout = lca_keras.track(model, data)._allocator.layout
    units = {leaf.name: leaf.units for leaf in layout.leaves}

    assert units["embedding/embeddings"] == 9
    assert units["conv2d/kernel"] == units["conv2d/bias"] == 5
    assert units["depthwise_conv2d/kernel"] == 1
    assert units["conv2d_transpose/kernel"] == units["conv2d_transpose/bias"] == 7
    assert units["batch_normalization/gamma"] == 7
    assert units["dense/kernel"] == 2
    assert next(leaf for leaf in layout.leaves if leaf.name == "dense/bias").layer == "dense"


def test_frozen_layers_are_followed_on_request(plain, blobs):
    """By default they are not, and one that becomes trainable later is an error."""
    plain.layers[0].trainable = False
    tracker = lca_keras.track(plain, blobs)
    assert tracker._allocator.layout.names == ("dense_1/kernel", "dense_1/bias")
    everything = lca_keras.track(plain, blobs, leaves=lambda name: True)
    plain.layers[0].trainable = True
    with pytest.raises(LeafError, match="became trainable"):
        tracker.step()
    everything.step()

    assert tracker.finish().steps == 0
    assert len(everything.finish().total("train")) == 4


def test_a_change_of_a_frozen_layer_is_a_buffers_share(plain, blobs):
    """What the loss depends on besides the leaves has its own term of the ledger."""
    plain.layers[0].trainable = False
    tracker = lca_keras.track(plain, blobs)
    plain.layers[0].kernel.assign(plain.layers[0].kernel * 0.5)
    tracker.step()
    run = tracker.finish()

    assert run.buffers("train")[0] == pytest.approx(np.diff(run.loss("train"))[0])
    assert np.all(run.allocation("train").values == 0.0)


def test_half_precision_is_followed_in_float32(blobs):
    """Snapshots of bfloat16 variables are float32, and the noise floor knows the type."""
    model = keras.Sequential([keras.Input((12,)), layers.Dense(4, dtype="bfloat16")])
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    tracker = lca_keras.track(model, blobs)
    oracle = tracker._allocator.oracles["train"]

    kernel = tracker._state.snapshot.params["dense/kernel"]
    assert "float32" in str(kernel.dtype)
    assert oracle.eps == 2.0**-7


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="strings are TensorFlow's")
def test_a_model_that_reads_text_is_built():
    """The lookup inside of a `TextVectorization` never says so."""
    texts = np.array(["a b", "c d a", "b", "c c"], dtype=object)
    words = layers.TextVectorization(output_sequence_length=4)
    words.adapt(texts)
    text = keras.Input((), dtype="string")
    found = layers.GlobalAveragePooling1D()(layers.Embedding(12, 4)(words(text)))
    model = keras.Model(text, layers.Dense(3)(found))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss)
    data = (keras.ops.convert_to_tensor(texts, "string"), np.array([0, 1, 2, 1]))
    lca = lca_keras.LossChangeAllocation(data=data)
    model.fit(*data, verbose=0, callbacks=[lca])
    assert lca.run.loss("train")[-1] == pytest.approx(model.evaluate(*data, verbose=0), rel=1e-6)


def test_models_without_variables_to_follow_are_refused(plain, blobs):
    """Not built yet, or all frozen."""
    with pytest.raises(LeafError, match="not built"):
        lca_keras.track(keras.Sequential([layers.Dense(2)]), blobs)
    plain.trainable = False
    with pytest.raises(LeafError, match="no variable to follow"):
        lca_keras.track(plain, blobs)


def test_stateful_layers_are_refused():
    """What they keep goes from one batch to the next."""
    layers = [keras.Input(batch_shape=(10, 5, 3)), keras.layers.LSTM(4, stateful=True)]
    model = keras.Sequential(layers)
    model.compile(loss="mse")
    with pytest.raises(UnsupportedError, match=r"\['lstm.*'\] are stateful.*stateful=False"):
        lca_keras.track(model, (np.ones((10, 5, 3)), np.ones((10, 4))))


def test_modules_of_pytorch_are_refused():
    """They use their own parameters, wherever the model is to stand."""
    if keras.backend.backend() != "torch":
        pytest.skip("only PyTorch's backend has them")
    from torch import nn

    wrapped = keras.layers.TorchModuleWrapper(nn.Linear(6, 2), name="wrapped")
    model = keras.Sequential([keras.Input((6,)), wrapped])
    model.compile(loss="mse")
    with pytest.raises(UnsupportedError, match=r"\['wrapped'\] are modules of PyTorch"):
        lca_keras.track(model, (np.ones((10, 6), "float32"), np.ones((10, 2), "float32")))


def test_a_model_is_a_model(blobs):
    """Anything else is said to be none."""
    with pytest.raises(LeafError, match=r"must be a keras\.Model, got str"):
        lca_keras.track("model", blobs)
