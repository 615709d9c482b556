"""Networks as data: names, counts, initial weights, and what does not fit together."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lca_core.errors import NetworkError
from lca_core.networks import (
    NETWORKS,
    Activation,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GlobalAveragePool,
    LayerNorm,
    MaxPool,
    NetworkSpec,
    Residual,
    allcnn,
    fc,
    lenet,
    resnet,
    resnet20,
)


@pytest.mark.parametrize(
    ("spec", "parameters", "tensors"),
    [
        (fc(), 84_060, 6),
        (lenet(), 808_970, 8),
        (allcnn(), 1_371_658, 30),
        (resnet20(), 273_066, 82),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_the_papers_networks_have_the_papers_parameters(spec, parameters, tensors):
    """Numbers of parameters and of parameter tensors are those of the paper."""
    assert spec.parameters == parameters
    assert len(spec.layout.leaves) == tensors
    assert spec.output == (10,)


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_by_name_take_any_image(name):
    """Every named network is built for the digits, with another number of classes."""
    spec = NETWORKS[name]((8, 8, 1), 7)
    assert spec.inputs == (8, 8, 1)
    assert spec.output == (7,)


@pytest.mark.parametrize("make", [lenet, allcnn])
def test_dropout_can_be_left_out(make):
    """Without its dropout layers a network has the same leaves."""
    assert make(dropout=False).layout == make().layout
    assert not [one for one in make(dropout=False).layers if isinstance(one, Dropout)]
    assert len([one for one in make().layers if isinstance(one, Dropout)]) == 2


def test_names_are_numbered_by_kind():
    """Layers count by kind, inside a block from 1 again."""
    spec = resnet((8, 8, 1), widths=(4, 8), blocks=1)
    assert spec.layout.names == (
        "conv1.kernel", "conv1.bias", "bn1.gamma", "bn1.beta",
        "block1.conv1.kernel", "block1.conv1.bias", "block1.bn1.gamma", "block1.bn1.beta",
        "block1.conv2.kernel", "block1.conv2.bias", "block1.bn2.gamma", "block1.bn2.beta",
        "block2.conv1.kernel", "block2.conv1.bias", "block2.bn1.gamma", "block2.bn1.beta",
        "block2.conv2.kernel", "block2.conv2.bias", "block2.bn2.gamma", "block2.bn2.beta",
        "block2.shortcut.conv1.kernel", "block2.shortcut.conv1.bias",
        "fc1.kernel", "fc1.bias",
    )  # fmt: skip
    assert spec.buffers[:2] == ("bn1.mean", "bn1.variance")
    assert "block2.bn2.variance" in spec.buffers
    assert len(spec.buffers) == 10


def test_leaves_know_their_layer_and_their_units():
    """Units of kernels are the outputs, of tables the rows; layers own kernel and bias."""
    spec = NetworkSpec("mixed", (5,), [Embedding(7, 3), LayerNorm(), Dense(4), GlobalAveragePool()])
    assert [(leaf.name, leaf.layer, leaf.units) for leaf in spec.layout.leaves] == [
        ("embed1.table", "embed1", 7), ("norm1.gamma", "norm1", 3), ("norm1.beta", "norm1", 3),
        ("fc1.kernel", "fc1", 4), ("fc1.bias", "fc1", 4),
    ]  # fmt: skip
    conv = NetworkSpec("c", (4, 4, 2), [Conv2D(6)]).layout.leaves[0]
    assert (conv.shape, conv.unit_axis, conv.units) == ((3, 3, 2, 6), 3, 6)


@given(st.integers(1, 12), st.integers(1, 5), st.integers(1, 4))
def test_same_padding_covers_the_image(n, size, stride):
    """Output has ceil(n / stride) pixels; zeros behind are as many as before, or one more."""
    layer = Conv2D(1, size, stride)
    rows = layer.output((n, n, 1))[0]
    (before, behind), _ = layer.pads((n, n, 1))

    assert rows == math.ceil(n / stride)
    assert behind - before in (0, 1)
    assert (rows - 1) * stride + size <= n + before + behind
    if before + behind:
        assert (rows - 1) * stride + size == n + before + behind


@pytest.mark.parametrize(
    ("inputs", "layers", "says"),
    [
        ((4, 4, 1), [Dense(3)], "Flatten"),
        ((4,), [Conv2D(3)], "Conv2D.*height"),
        ((4,), [MaxPool(2)], "MaxPool"),
        ((4,), [GlobalAveragePool()], "average"),
        ((4, 4), [Embedding(3, 2)], "Embedding"),
        ((2, 2, 1), [Conv2D(3, 3, padding="valid")], "does not fit"),
        ((2, 2, 1), [MaxPool(3)], "side 3.*does not fit"),
        ((4,), [Residual([Dense(3)])], "shortcut"),
        ((4, 4, 2), [Residual([Conv2D(2, 3, 2)], [Conv2D(2, 1)])], r"\(2, 2, 2\) and \(4, 4, 2\)"),
    ],
)
def test_layers_that_do_not_fit_are_refused(inputs, layers, says):
    """The error names the layer, the shapes and the remedy, when the network is made."""
    with pytest.raises(NetworkError, match=says):
        NetworkSpec("wrong", inputs, layers)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Dense(0), "units of Dense.*from 1 up, got 0"),
        (lambda: Conv2D(0), "filters"),
        (lambda: Conv2D(3, 0), "size"),
        (lambda: Conv2D(3, 3, 0), "stride"),
        (lambda: Conv2D(3, padding="full"), r"padding.*\['same', 'valid'\], got 'full'"),
        (lambda: BatchNorm(momentum=1.5), "momentum.*1.5"),
        (lambda: BatchNorm(epsilon=0.0), "epsilon"),
        (lambda: LayerNorm(-1.0), "epsilon"),
        (lambda: Embedding(0, 2), "rows"),
        (lambda: Embedding(2, 0), "features"),
        (lambda: Activation("swish"), "relu.*swish"),
        (lambda: Dropout(1.0), "rate of Dropout.*below 1, got 1.0"),
        (lambda: Dropout(-0.1), "rate"),
        (lambda: MaxPool(0), "size"),
    ],
)
def test_settings_out_of_range_are_refused(make, says):
    """A layer says which setting is wrong, what it must be and what it got."""
    with pytest.raises(NetworkError, match=says):
        make()


def test_initial_weights_are_he_normal():
    """Kernels have variance 2 / fan-in, tables 1 / features; biases are zero, gammas one."""
    layers = [Conv2D(64, 3), BatchNorm(), Flatten(), Dense(300)]
    weights = NetworkSpec("wide", (6, 6, 20), layers).initial(0)
    table = NetworkSpec("table", (3,), [Embedding(3000, 25)]).initial(0)["embed1.table"]

    for values, variance in (
        (weights["conv1.kernel"], 2 / 180),
        (weights["fc1.kernel"], 2 / 2304),
        (table, 1 / 25),
    ):
        standard_error = math.sqrt(2 / values.size) * variance
        assert abs(values.var() - variance) < 4 * standard_error
        assert abs(values.mean()) < 4 * math.sqrt(variance / values.size)
    ones = {"bn1.gamma", "bn1.variance"}
    for name in {"conv1.bias", "bn1.beta", "bn1.mean", "fc1.bias"} | ones:
        assert (weights[name] == float(name in ones)).all()
    assert {values.dtype for values in weights.values()} == {np.dtype("float32")}


def test_initial_weights_depend_on_the_seed_alone():
    """The same seed gives the same weights, another seed others."""
    first, again, other = (fc((8, 8, 1)).initial(seed) for seed in (3, 3, 4))
    assert list(first) == [
        "fc1.kernel",
        "fc1.bias",
        "fc2.kernel",
        "fc2.bias",
        "fc3.kernel",
        "fc3.bias",
    ]
    for name, values in first.items():
        np.testing.assert_array_equal(values, again[name])
    assert (first["fc1.kernel"] != other["fc1.kernel"]).all()


def test_layers_are_values():
    """Two specs of the same layers are equal, whatever sequence they were given in."""
    assert fc() == fc()
    assert NetworkSpec("a", [4], [Dense(2)]) == NetworkSpec("a", (4,), (Dense(2),))
    assert fc() != fc(hidden=(100,))
