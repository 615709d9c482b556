"""Every layer computes what its docstring says, in train and in eval."""

from __future__ import annotations

import math

import jax
import numpy as np
import pytest

from lca_core.errors import UnsupportedError
from lca_core.networks import (
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
)
from lca_jax.networks import apply, build, spelling

RNG = np.random.default_rng(2)
IMAGES = RNG.standard_normal((3, 7, 6, 2)).astype(np.float32)
ROWS = RNG.standard_normal((3, 5)).astype(np.float32)


def forward(spec, x, behaviour="eval", seed=0, key=None):
    """Return canonical weights, outputs, and state behind them."""
    weights = {k: v + 0.1 * RNG.random(v.shape) for k, v in spec.initial(seed).items()}
    weights = {k: v.astype(np.float32) for k, v in weights.items()}
    params, state = build(spec, weights)
    y, after = apply(spec, params, state, x, behaviour=behaviour, key=key)
    return weights, np.asarray(y), after


def convolved(layer, x, kernel):
    """Cross-correlate by four loops, in float64."""
    (top, below), (left, right) = layer.pads(x.shape[1:])
    x = np.pad(x.astype(np.float64), ((0, 0), (top, below), (left, right), (0, 0)))
    height, width, _ = layer.output(tuple(np.subtract(x.shape[1:], (top + below, left + right, 0))))
    y = np.zeros((len(x), height, width, layer.filters))
    for i in range(height):
        for j in range(width):
            a, b = i * layer.stride, j * layer.stride
            window = x[:, a : a + layer.size, b : b + layer.size]
            y[:, i, j] = np.tensordot(window, kernel, 3)
    return y


@pytest.mark.parametrize(
    "layer",
    [
        Conv2D(4, 3),
        Conv2D(4, 3, stride=2),
        Conv2D(4, 2, stride=2, bias=False),
        Conv2D(4, 5, padding="valid"),
    ],
)
def test_convolution(layer):
    """Zeros are padded where the docstring says, also for odd sizes and strides."""
    w, y, _ = forward(NetworkSpec("one", (7, 6, 2), [layer]), IMAGES)
    expected = convolved(layer, IMAGES, w["conv1.kernel"]) + w.get("conv1.bias", 0.0)

    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)


def test_dense_and_flatten():
    """Channels run fastest; y = x W + b."""
    w, y, _ = forward(NetworkSpec("one", (7, 6, 2), [Flatten(), Dense(5)]), IMAGES)

    expected = IMAGES.reshape(3, -1) @ w["fc1.kernel"] + w["fc1.bias"]
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)


def test_pooling():
    """The largest of every square, incomplete ones left out; the mean of every channel."""
    _, y, _ = forward(NetworkSpec("one", (7, 6, 2), [MaxPool(2)]), IMAGES)
    _, mean, _ = forward(NetworkSpec("one", (7, 6, 2), [GlobalAveragePool()]), IMAGES)

    np.testing.assert_array_equal(y, IMAGES[:, :6].reshape(3, 3, 2, 3, 2, 2).max((2, 4)))
    np.testing.assert_allclose(mean, IMAGES.mean((1, 2)), rtol=1e-5, atol=1e-6)


def test_activations():
    """The four functions, gelu with the exact normal distribution."""
    functions = {
        "relu": lambda x: np.maximum(x, 0.0),
        "tanh": np.tanh,
        "sigmoid": lambda x: 1.0 / (1.0 + np.exp(-x)),
        "gelu": lambda x: x * 0.5 * (1.0 + np.vectorize(math.erf)(x / math.sqrt(2.0))),
    }
    for name, function in functions.items():
        _, y, _ = forward(NetworkSpec("one", (5,), [Activation(name)]), ROWS)
        np.testing.assert_allclose(y, function(ROWS.astype(np.float64)), atol=1e-6, err_msg=name)


def test_batch_norm():
    """Moving averages in eval, the batch's own otherwise; only training moves the averages."""
    spec = NetworkSpec("one", (7, 6, 2), [BatchNorm(momentum=0.8, epsilon=0.01)])
    x = IMAGES.astype(np.float64)
    mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
    for behaviour in ("eval", "batch-stats", "train"):
        w, y, after = forward(spec, IMAGES, behaviour)
        used = (w["bn1.mean"], w["bn1.variance"]) if behaviour == "eval" else (mean, variance)
        expected = (x - used[0]) / np.sqrt(used[1] + 0.01) * w["bn1.gamma"] + w["bn1.beta"]
        moved = 0.2 if behaviour == "train" else 0.0
        for name, own in (("mean", mean), ("variance", variance)):
            follows = (1 - moved) * w[f"bn1.{name}"] + moved * own
            np.testing.assert_allclose(after["bn1"][name], follows, rtol=1e-5)

        np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5, err_msg=behaviour)


def test_layer_norm_and_embedding():
    """Rows of the table, each normalised over its features."""
    tokens = np.array([[0, 3, 1], [2, 2, 0]])
    w, y, _ = forward(NetworkSpec("one", (3,), [Embedding(4, 6), LayerNorm()]), tokens)
    rows = w["embed1.table"][tokens].astype(np.float64)
    normed = (rows - rows.mean(-1, keepdims=True)) / np.sqrt(rows.var(-1, keepdims=True) + 1e-5)

    np.testing.assert_allclose(y, normed * w["norm1.gamma"] + w["norm1.beta"], rtol=1e-4, atol=1e-5)


def test_residual_blocks_with_state_inside():
    """Blocks are body(x) + shortcut(x); averages inside of both are moved at their own places."""
    body, shortcut = [Conv2D(3, 3, 2), BatchNorm()], [Conv2D(3, 1, 2), BatchNorm()]
    block = NetworkSpec("block", (7, 6, 2), [Residual(body, shortcut)])
    w, y, after = forward(block, IMAGES, "train")

    def normed(layer, scope):
        x = convolved(layer, IMAGES, w[f"{scope}conv1.kernel"]) + w[f"{scope}conv1.bias"]
        mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
        scaled = (x - mean) / np.sqrt(variance + 1e-3)
        return scaled * w[f"{scope}bn1.gamma"] + w[f"{scope}bn1.beta"], mean

    (left, mean), (right, other) = (
        normed(body[0], "block1."),
        normed(shortcut[0], "block1.shortcut."),
    )
    np.testing.assert_allclose(y, left + right, rtol=1e-3, atol=1e-4)
    moved = after["block1"]["bn1"]["mean"], after["block1"]["shortcut"]["bn1"]["mean"]
    before = w["block1.bn1.mean"], w["block1.shortcut.bn1.mean"]
    for now, was, own in zip(moved, before, (mean, other), strict=True):
        np.testing.assert_allclose(now, 0.9 * was + 0.1 * own, rtol=1e-4, atol=1e-6)
    _, plain, _ = forward(NetworkSpec("id", (5,), [Residual([Activation("tanh")])]), ROWS)
    np.testing.assert_allclose(plain, ROWS + np.tanh(ROWS), rtol=1e-6)


def test_dropout():
    """A share of the inputs is zeroed in training alone, the rest scaled; layers draw apart."""
    spec = NetworkSpec("drop", (1000,), [Dropout(0.25), Dropout(0.5)])
    ones = np.ones((4, 1000), np.float32)
    _, dropped, _ = forward(spec, ones, "train", key=jax.random.key(1))
    _, again, _ = forward(spec, ones, "train", key=jax.random.key(1))
    _, other, _ = forward(spec, ones, "train", key=jax.random.key(2))
    _, kept, _ = forward(spec, ones)

    assert set(np.unique(dropped).round(5)) == {0.0, np.float32(1 / 0.75 / 0.5).round(5)}
    assert np.mean(dropped == 0.0) == pytest.approx(1 - 0.75 * 0.5, abs=0.03)
    np.testing.assert_array_equal(again, dropped)
    assert not np.array_equal(other, dropped)
    np.testing.assert_array_equal(kept, ones)


def test_names_are_the_specs_own():
    """Names are the spec's with slashes, arrays are not transposed, the order is the network's."""
    spec = NetworkSpec("n", (7, 6, 2), [Residual([Conv2D(2), BatchNorm()]), Flatten(), Dense(3)])
    names = [one.name for one in spelling(spec).values()]
    params, _ = build(spec, spec.initial(0))
    found = [
        "/".join(str(key.key) for key in path)
        for path, _ in jax.tree_util.tree_flatten_with_path(params)[0]
    ]

    assert found == [name for name in names if name.rpartition("/")[2] not in ("mean", "variance")]
    assert all(one.axes == tuple(range(len(one.axes))) for one in spelling(spec).values())


def test_an_unknown_layer_is_refused():
    """A layer that this backend does not know is named."""
    strange = NetworkSpec("s", (5,), [Dense(2)])
    object.__setattr__(strange.placed[0], "layer", object())
    with pytest.raises(UnsupportedError, match=r"object \('fc1'\)"):
        apply(strange, {"fc1": {}}, {}, ROWS, behaviour="eval")
