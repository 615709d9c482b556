"""Every layer of the numpy reference: its way back, against differences and against PyTorch."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lca_core.errors import LeafError, UnsupportedError
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
from lca_core.reference import forward

CASES = {
    "dense": ((5,), [Dense(3)]),
    "dense without bias": ((5,), [Dense(3, bias=False)]),
    "dense on positions": ((4, 5), [Dense(3)]),
    "convolution": ((6, 5, 2), [Conv2D(3)]),
    "stride 2, even": ((6, 6, 2), [Conv2D(3, 3, stride=2)]),
    "stride 2, odd": ((7, 5, 2), [Conv2D(3, 3, stride=2)]),
    "stride 2, size 1": ((7, 6, 2), [Conv2D(3, 1, stride=2)]),
    "stride 3, size 5": ((7, 8, 1), [Conv2D(2, 5, stride=3)]),
    "size 1, no bias": ((3, 3, 2), [Conv2D(3, 1, bias=False)]),
    "valid": ((6, 7, 2), [Conv2D(2, 3, padding="valid")]),
    "valid, stride 2": ((8, 7, 1), [Conv2D(2, 3, stride=2, padding="valid")]),
    "kernel larger than the image": ((2, 2, 1), [Conv2D(2, 5)]),
    "batch norm of vectors": ((4,), [BatchNorm()]),
    "batch norm of images": ((3, 2, 2), [BatchNorm(momentum=0.7, epsilon=0.1)]),
    "layer norm": ((5,), [LayerNorm()]),
    "layer norm on positions": ((3, 4), [LayerNorm(epsilon=0.1)]),
    "pool": ((4, 6, 2), [MaxPool(2)]),
    "pool, rest left out": ((5, 7, 1), [MaxPool(3)]),
    "average of images": ((3, 4, 2), [GlobalAveragePool()]),
    "average of positions": ((4, 3), [GlobalAveragePool()]),
    "flatten": ((2, 3, 2), [Flatten(), Dense(2)]),
    "block": ((4, 4, 2), [Residual([Conv2D(2), BatchNorm(), Activation("tanh")])]),
    "block with shortcut": ((5, 5, 2), [Residual([Conv2D(3, 3, 2)], [Conv2D(3, 1, 2)])]),
    "blocks in a block": ((4,), [Residual([Dense(4), Residual([Dense(4)])], [Dense(4)])]),
    **{name: ((6,), [Activation(name)]) for name in ("relu", "tanh", "sigmoid", "gelu")},
}
MODES = ["train", "eval", "batch-stats"]


def weights_of(spec, seed=1):
    """Return random float64 weights, no two alike; variances are positive."""
    rng = np.random.default_rng(seed)
    weights = {name: rng.standard_normal(one.shape) for name, one in spec.weights.items()}
    return {k: np.exp(v) if k.endswith("variance") else v for k, v in weights.items()}


def check_against_differences(spec, x, mode):
    """Compare every slope of sum(c · output) with its central difference."""
    weights, rng = weights_of(spec), np.random.default_rng(7)
    through = forward(spec, weights, x, mode=mode, rng=np.random.default_rng(3))
    c = rng.standard_normal(through.output.shape)
    downstream, gradient = through.backward(c)
    assert through.output.shape == (len(x), *spec.output)
    assert sorted(gradient) == sorted(spec.layout.names)

    def value(at, inputs):
        return (c * forward(spec, at, inputs, mode=mode, rng=np.random.default_rng(3)).output).sum()

    def slopes(array, at):
        found, h = np.empty(array.shape), 1e-5
        for place in np.ndindex(array.shape):
            shift = np.zeros(array.shape)
            shift[place] = h
            found[place] = (at(array + shift) - at(array - shift)) / (2 * h)
        return found

    close = {"rtol": 1e-6, "atol": 1e-7}
    truth = slopes(x, lambda inputs: value(weights, inputs))
    np.testing.assert_allclose(downstream, truth, **close)
    for name, own in gradient.items():
        truth = slopes(weights[name], lambda w, name=name: value(weights | {name: w}, x))
        np.testing.assert_allclose(own, truth, **close, err_msg=name)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("inputs", "layers"), CASES.values(), ids=CASES)
def test_gradients_are_the_slopes(inputs, layers, mode):
    """The gradient in inputs and weights is the central difference, in every mode."""
    spec = NetworkSpec("one", inputs, layers)
    check_against_differences(spec, np.random.default_rng(0).standard_normal((3, *inputs)), mode)


@pytest.mark.parametrize("name", ["convolution", "pool", "layer norm", "batch norm of images"])
def test_one_example_is_enough(name):
    """A single example has its gradient too."""
    inputs, layers = CASES[name]
    spec = NetworkSpec("one", inputs, layers)
    check_against_differences(spec, np.random.default_rng(0).standard_normal((1, *inputs)), "train")


@given(
    rows=st.integers(1, 6),
    columns=st.integers(1, 6),
    size=st.sampled_from([1, 2, 3, 5]),
    stride=st.integers(1, 3),
    padding=st.sampled_from(["same", "valid"]),
)
def test_convolutions_of_every_shape_are_pytorchs(rows, columns, size, stride, padding):
    """Output and gradients are those of `torch.nn.functional.conv2d` on the padded image."""
    torch = pytest.importorskip("torch")
    if padding == "valid" and min(rows, columns) < size:
        return
    layer = Conv2D(3, size, stride, padding)
    spec = NetworkSpec("one", (rows, columns, 2), [layer])
    rng, weights = np.random.default_rng(0), weights_of(spec)
    x = rng.standard_normal((2, rows, columns, 2))
    through = forward(spec, weights, x)
    upstream = rng.standard_normal(through.output.shape)
    downstream, gradient = through.backward(upstream)

    leaves = [torch.tensor(a, requires_grad=True) for a in (x, *weights.values())]
    image, kernel, bias = leaves
    (top, bottom), (left, right) = layer.pads((rows, columns, 2))
    padded = torch.nn.functional.pad(image.permute(0, 3, 1, 2), (left, right, top, bottom))
    y = torch.nn.functional.conv2d(padded, kernel.permute(3, 2, 0, 1), bias, stride)
    y = y.permute(0, 2, 3, 1)
    truth = torch.autograd.grad(y, leaves, torch.tensor(upstream))

    np.testing.assert_allclose(through.output, y.detach(), rtol=1e-12, atol=1e-12)
    for found, wanted in zip((downstream, *gradient.values()), truth, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-11, atol=1e-12)


def pytorchs(function, upstream, *arrays):
    """Return a function's value and gradients, by PyTorch in float64."""
    torch = pytest.importorskip("torch")
    leaves = [torch.tensor(array, requires_grad=True) for array in arrays]
    y = function(torch, *leaves)
    gradients = torch.autograd.grad(y, leaves, torch.tensor(upstream))
    return y.detach().numpy(), [g.numpy() for g in gradients]


def batch_norm(torch, x, gamma, beta):
    """Normalise the rows by their own statistics."""
    rows = x.reshape(-1, x.shape[-1])
    norm = torch.nn.functional.batch_norm
    return norm(rows, None, None, gamma, beta, training=True, eps=0.01).reshape(x.shape)


PYTORCHS = {
    "batch norm": ((3, 2, 4), BatchNorm(epsilon=0.01), batch_norm),
    "layer norm": (
        (3, 4),
        LayerNorm(1e-3),
        lambda torch, x, *w: torch.nn.functional.layer_norm(x, (4,), *w, 1e-3),
    ),
    "pool": (
        (5, 4, 2),
        MaxPool(2),
        lambda torch, x: torch.nn.functional.max_pool2d(x.permute(0, 3, 1, 2), 2).permute(
            0, 2, 3, 1
        ),
    ),
    "relu": ((7,), Activation("relu"), lambda torch, x: torch.relu(x)),
    "tanh": ((7,), Activation("tanh"), lambda torch, x: torch.tanh(x)),
    "sigmoid": ((7,), Activation("sigmoid"), lambda torch, x: torch.sigmoid(x)),
    "gelu": ((7,), Activation("gelu"), lambda torch, x: torch.nn.functional.gelu(x)),
}


@pytest.mark.parametrize(("inputs", "layer", "function"), PYTORCHS.values(), ids=PYTORCHS)
def test_layers_are_pytorchs(inputs, layer, function):
    """Values and gradients are those of PyTorch's own layers, ties and zeros included."""
    rng = np.random.default_rng(2)
    spec = NetworkSpec("one", inputs, [layer])
    weights = weights_of(spec)
    x = rng.integers(-2, 3, (6, *inputs)).astype(float)  # many ties, many zeros
    through = forward(spec, weights, x, mode="batch-stats")
    upstream = rng.standard_normal(through.output.shape)
    downstream, gradient = through.backward(upstream)
    trained = [weights[name] for name in spec.layout.names]
    value, truth = pytorchs(function, upstream, x, *trained)

    np.testing.assert_allclose(through.output, value, rtol=1e-12, atol=1e-13)
    for found, wanted in zip((downstream, *gradient.values()), truth, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-12)


def test_tables_collect_the_gradients_of_their_rows():
    """A row that occurs twice has both gradients, one that does not occur has none."""
    spec = NetworkSpec("one", (3,), [Embedding(4, 2)])
    weights = weights_of(spec)
    x = np.array([[1, 1, 3], [0, 1, 3]])
    through = forward(spec, weights, x)
    upstream = np.arange(12.0).reshape(2, 3, 2)
    _, gradient = through.backward(upstream)

    np.testing.assert_array_equal(through.output[0, 2], weights["embed1.table"][3])
    wanted = np.array([upstream[1, 0], upstream[0, 0] + upstream[0, 1] + upstream[1, 1],
                       [0.0, 0.0], upstream[0, 2] + upstream[1, 2]])  # fmt: skip
    np.testing.assert_array_equal(gradient["embed1.table"], wanted)


def test_ties_go_to_the_first_of_a_square():
    """Of equal values in a square the first one, row by row, gets the whole gradient."""
    spec = NetworkSpec("one", (2, 2, 1), [MaxPool(2)])
    x = np.array([[0.0, 5.0], [5.0, 5.0]]).reshape(1, 2, 2, 1)
    downstream, _ = forward(spec, {}, x).backward(np.ones((1, 1, 1, 1)))

    np.testing.assert_array_equal(downstream.ravel(), [0, 1, 0, 0])


def test_relu_is_flat_at_zero():
    """The slope of relu at 0 is 0."""
    spec = NetworkSpec("one", (3,), [Activation("relu")])
    downstream, _ = forward(spec, {}, np.array([[-1.0, 0.0, 2.0]])).backward(np.ones((1, 3)))

    np.testing.assert_array_equal(downstream, [[0, 0, 1]])


@pytest.mark.parametrize("name", ["sigmoid", "gelu", "tanh", "relu"])
def test_large_numbers_do_not_overflow(name):
    """Values and slopes far out are the limits, without a warning."""
    spec = NetworkSpec("one", (2,), [Activation(name)])
    through = forward(spec, {}, np.array([[-1e4, 1e4]]))
    downstream, _ = through.backward(np.ones((1, 2)))
    low, high = {"sigmoid": (0, 1), "tanh": (-1, 1)}.get(name, (0, 1e4))

    np.testing.assert_allclose(through.output, [[low, high]], atol=1e-12)
    np.testing.assert_allclose(downstream, [[0, float(name in ("gelu", "relu"))]], atol=1e-12)


def test_moving_averages_move_in_training_alone():
    """In "train" mode they are momentum · old + (1 - momentum) · batch, with var over n."""
    spec = NetworkSpec("one", (2, 2, 3), [BatchNorm(momentum=0.75)])
    weights = weights_of(spec)
    x = np.random.default_rng(0).standard_normal((5, 2, 2, 3))
    kept = {name: values.copy() for name, values in weights.items()}
    moved = forward(spec, weights, x, mode="train").moved

    mean = np.array([x[..., c].mean() for c in range(3)])
    variance = np.array([((x[..., c] - mean[c]) ** 2).sum() / 20 for c in range(3)])
    assert sorted(moved) == ["bn1.mean", "bn1.variance"]
    np.testing.assert_allclose(moved["bn1.mean"], 0.75 * kept["bn1.mean"] + 0.25 * mean)
    np.testing.assert_allclose(moved["bn1.variance"], 0.75 * kept["bn1.variance"] + 0.25 * variance)
    for mode in ("eval", "batch-stats"):
        assert forward(spec, weights, x, mode=mode).moved == {}
    for name, values in weights.items():
        np.testing.assert_array_equal(values, kept[name])


def test_batch_norm_uses_moving_averages_when_told():
    """In "eval" mode the output is the affine map of the moving averages, by example."""
    spec = NetworkSpec("one", (3,), [BatchNorm(epsilon=0.5)])
    w = {k.partition(".")[2]: v for k, v in weights_of(spec).items()}
    x = np.random.default_rng(0).standard_normal((4, 3))
    truth = w["gamma"] * (x - w["mean"]) / np.sqrt(w["variance"] + 0.5) + w["beta"]

    np.testing.assert_allclose(forward(spec, weights_of(spec), x).output, truth, rtol=1e-13)


def test_averages_inside_blocks_move_under_their_full_names():
    """Body and shortcut of a block hand over what moved in them."""
    spec = NetworkSpec("one", (3,), [Residual([Dense(3), BatchNorm()], [BatchNorm()])])
    moved = forward(spec, weights_of(spec), np.eye(4, 3), mode="train").moved

    assert sorted(moved) == sorted(spec.buffers)


def test_dropout_keeps_the_mean():
    """In training a share of the inputs is zero and the others grow by 1 / (1 - rate)."""
    spec = NetworkSpec("one", (10_000,), [Dropout(0.25)])
    through = forward(spec, {}, np.ones((1, 10_000)), mode="train", rng=np.random.default_rng(0))
    kept = through.output != 0

    assert abs(kept.mean() - 0.75) < 4 * math.sqrt(0.25 * 0.75 / 10_000)
    np.testing.assert_allclose(through.output[kept], 1 / 0.75)
    downstream, _ = through.backward(np.ones((1, 10_000)))
    np.testing.assert_array_equal(downstream, through.output)


@pytest.mark.parametrize("mode", ["eval", "batch-stats"])
def test_dropout_is_off_outside_of_training(mode):
    """Nothing happens, and nothing is drawn."""
    spec = NetworkSpec("one", (6,), [Dropout(0.5)])
    rng, x = np.random.default_rng(0), np.arange(12.0).reshape(2, 6)

    np.testing.assert_array_equal(forward(spec, {}, x, mode=mode, rng=rng).output, x)
    assert rng.random() == np.random.default_rng(0).random()


def test_the_same_stream_drops_the_same():
    """Dropout depends on the generator alone; layers draw one after the other."""
    spec = NetworkSpec("one", (50,), [Dropout(0.5), Dropout(0.5)])
    once, again = (
        forward(spec, {}, np.ones((1, 50)), mode="train", rng=np.random.default_rng(4)).output
        for _ in range(2)
    )

    np.testing.assert_array_equal(once, again)
    assert abs((once != 0).mean() - 0.25) < 0.25


def test_missing_weights_are_named():
    """Without its bias a layer is refused, not computed without it."""
    spec = NetworkSpec("one", (2,), [Dense(3), BatchNorm()])
    weights = weights_of(spec)
    del weights["fc1.bias"], weights["bn1.mean"]
    with pytest.raises(LeafError, match=r"fc1\.bias.*bn1\.mean.*'eval'"):
        forward(spec, weights, np.ones((1, 2)))
    with pytest.raises(LeafError, match=r"\['fc1\.bias'\]"):
        forward(spec, weights, np.ones((1, 2)), mode="batch-stats")


def test_unknown_layers_are_named():
    """A layer without a formula is an error that tells its place."""

    class Other:
        kind = "swirl"

        def output(self, inputs):
            return inputs

        def weights(self, inputs):
            return ()

    spec = NetworkSpec("one", (2,), [Other()])
    with pytest.raises(UnsupportedError, match="swirl1"):
        forward(spec, {}, np.ones((1, 2)))
