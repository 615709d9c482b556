"""The numpy reference's oracles: means over all examples, their slopes, and what is refused."""

import numpy as np
import pytest

from lca_core.errors import DataError, LeafError, LossError, NetworkError, RuleError
from lca_core.networks import (
    Activation,
    BatchNorm,
    Dense,
    Dropout,
    Embedding,
    GlobalAveragePool,
    LayerNorm,
    NetworkSpec,
    fc,
    lenet,
    resnet,
)
from lca_core.reference import NetworkOracle, NumpyOps, Perceptron
from lca_core.reference.complex_step import ComplexStep

IMAGE = (6, 6, 1)
RNG = np.random.default_rng(11)
IMAGES, LABELS = RNG.standard_normal((7, *IMAGE)), np.array([0, 1, 2, 2, 1, 0, 2])
SPECS = {
    "lenet": lenet(IMAGE, 3),
    "resnet": resnet(IMAGE, 3, widths=(2, 4), blocks=1),
}


def at(spec, seed=0):
    """Return params and buffers near the initial ones, all of them different."""
    rng = np.random.default_rng(seed)
    weights = {k: v + 0.1 * rng.random(v.shape) for k, v in spec.initial(seed).items()}
    params = {name: weights[name] for name in spec.layout.names}
    return params, {name: weights[name] for name in spec.buffers}


@pytest.mark.parametrize("mode", ["eval", "batch-stats"])
@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_gradients_are_the_slopes_of_the_loss(spec, mode):
    """Along random directions of every leaf the gradient is the central difference."""
    oracle = NetworkOracle(spec, IMAGES, LABELS, mode, batch_size=3)
    params, buffers = at(spec)
    gradient = oracle(params, buffers).gradient
    assert list(gradient) == list(spec.layout.names)
    h, rng = 1e-6, np.random.default_rng(5)
    for name, leaf in params.items():
        direction = rng.standard_normal(leaf.shape)
        ends = [
            float(oracle(params | {name: leaf + sign * h * direction}, buffers).loss)
            for sign in (1, -1)
        ]
        slope = (ends[0] - ends[1]) / (2 * h)
        assert (gradient[name] * direction).sum() == pytest.approx(slope, rel=1e-5, abs=1e-8)


def test_the_loss_is_the_perceptrons():
    """A dense network has the loss and the gradient of the hand-written perceptron."""
    spec = fc(IMAGE, 3, hidden=(5,))
    params, _ = at(spec)
    found = NetworkOracle(spec, IMAGES, LABELS)(params, {})
    perceptron = Perceptron(IMAGES.reshape(7, -1), LABELS, (36, 5, 3), "relu")
    own = {k.replace("kernel", "weight"): leaf.T for k, leaf in params.items()}
    truth = perceptron(own, {})

    assert float(found.loss) == pytest.approx(float(truth.loss), rel=1e-14)
    for name, leaf in found.gradient.items():
        wanted = truth.gradient[name.replace("kernel", "weight")]
        np.testing.assert_allclose(leaf.T, wanted, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("batch_size", [1, 2, 3, 5, 6, 7, 100])
def test_every_example_counts_once(batch_size):
    """In "eval" mode loss and gradient do not depend on the chunks."""
    spec = SPECS["resnet"]
    whole = NetworkOracle(spec, IMAGES, LABELS)(*at(spec))
    cut = NetworkOracle(spec, IMAGES, LABELS, batch_size=batch_size)(*at(spec))

    assert float(cut.loss) == pytest.approx(float(whole.loss), rel=1e-13)
    for name, leaf in whole.gradient.items():
        np.testing.assert_allclose(cut.gradient[name], leaf, rtol=1e-10, atol=1e-14)


def test_statistics_are_those_of_the_chunks():
    """In "batch-stats" mode the loss is the mean over even chunks, weighed by their examples."""
    spec = SPECS["resnet"]
    params, _ = at(spec)
    cut = NetworkOracle(spec, IMAGES, LABELS, "batch-stats", batch_size=4)(params, {})
    parts = [
        float(NetworkOracle(spec, IMAGES[part], LABELS[part], "batch-stats")(params, {}).loss)
        for part in (slice(0, 3), slice(3, 7))
    ]

    assert float(cut.loss) == pytest.approx((3 * parts[0] + 4 * parts[1]) / 7, rel=1e-13)
    assert parts[0] != pytest.approx(parts[1], rel=1e-3)


def test_dropout_is_off():
    """The loss is that of the network without dropout, and the same at every call."""
    params, _ = at(SPECS["lenet"])
    without = NetworkOracle(lenet(IMAGE, 3, dropout=False), IMAGES, LABELS)(params, {})
    oracle = NetworkOracle(SPECS["lenet"], IMAGES, LABELS)

    assert float(oracle(params, {}).loss) == float(without.loss)
    assert float(oracle(params, {}).loss) == float(without.loss)


def test_sequences_have_their_gradient():
    """A network of tables on integers is measured like any other."""
    layers = [Embedding(9, 4), LayerNorm(), Dense(4), Activation("gelu"), GlobalAveragePool()]
    spec = NetworkSpec("words", (5,), [*layers, Dropout(0.5), Dense(3)])
    words = np.random.default_rng(0).integers(9, size=(7, 5))
    params, _ = at(spec)
    oracle = NetworkOracle(spec, words, LABELS)
    gradient, h = oracle(params, {}).gradient["embed1.table"], 1e-6
    shift = np.zeros((9, 4))
    shift[words[2, 3], 1] = h
    ends = [
        float(oracle(params | {"embed1.table": params["embed1.table"] + side}, {}).loss)
        for side in (shift, -shift)
    ]

    assert gradient[words[2, 3], 1] == pytest.approx((ends[0] - ends[1]) / (2 * h), rel=1e-6)


@pytest.mark.parametrize(
    ("inputs", "labels", "says"),
    [
        (IMAGES[:0], LABELS[:0], "from 1 up"),
        (IMAGES, LABELS[:3], r"labels.*\(7, 6, 6, 1\) and \(3,\)"),
        (IMAGES[:, :4], LABELS, r"\(n, 6, 6, 1\).*\(7, 4, 6, 1\)"),
        (IMAGES, LABELS + 1, "0 to 2.*got 1 to 3"),
        (IMAGES, LABELS - 1, "got -1"),
    ],
)
def test_data_that_do_not_fit_are_refused(inputs, labels, says):
    """The error says what shape or class was expected, and what came."""
    with pytest.raises(DataError, match=says):
        NetworkOracle(SPECS["lenet"], inputs, labels)


def test_networks_without_logits_are_refused():
    """A network that ends in an image has no cross-entropy; a mode that is none has no meaning."""
    with pytest.raises(NetworkError, match="one logit a class"):
        NetworkOracle(NetworkSpec("image", IMAGE, [BatchNorm()]), IMAGES, LABELS)
    with pytest.raises(RuleError, match=r"'eval', 'batch-stats'.*'train'"):
        NetworkOracle(SPECS["lenet"], IMAGES, LABELS, "train")


def test_buffers_are_asked_for_where_they_matter():
    """Without moving averages the "eval" mode is refused by name; "batch-stats" needs none."""
    params, _ = at(SPECS["resnet"])
    with pytest.raises(LeafError, match=r"bn1\.mean"):
        NetworkOracle(SPECS["resnet"], IMAGES, LABELS)(params, {})
    assert NetworkOracle(SPECS["resnet"], IMAGES, LABELS, "batch-stats")(params, {}).loss > 0


class TestComplexStep:
    def test_gradients_of_polynomials_are_exact(self):
        """Product, sum and power, of leaves of every shape, to the last digit or two."""
        ops, rng = NumpyOps(), np.random.default_rng(0)
        c, d = rng.random((5, 2, 3)), rng.random(5)
        theta = {"w": rng.random((2, 3)), "s": np.array(0.3), "e": np.zeros((0, 2))}

        def loss(leaves, batch):
            inner = ops.sum(batch["c"] * leaves["w"], keep=0) + ops.sum(leaves["e"])
            return inner * inner * leaves["s"] - batch["d"] * leaves["s"]

        found = ComplexStep(loss, {"c": c, "d": d}, batch_size=2)(theta, {})
        inner = (c * theta["w"]).sum((1, 2))
        truth = {
            "w": (2 * inner[:, None, None] * c).mean(0) * theta["s"],
            "s": (inner**2 - d).mean(),
            "e": np.zeros((0, 2)),
        }
        assert float(found.loss) == pytest.approx((inner**2 * 0.3 - d * 0.3).mean(), rel=1e-14)
        for name, wanted in truth.items():
            np.testing.assert_allclose(found.gradient[name], wanted, rtol=1e-13)

    def test_tied_leaves_have_the_gradient_of_both_uses(self):
        """An alias is the leaf itself: a·b with b = a has slope 2a."""
        oracle = ComplexStep(
            lambda leaves, batch: batch["x"] * leaves["a"] * leaves["b"],
            {"x": np.array([1.0, 3.0])},
            {"b": "a"},
        )
        found = oracle({"a": np.array(5.0)}, {})
        assert list(found.gradient) == ["a"]
        assert float(found.gradient["a"]) == 2 * 5.0 * 2.0

    def test_losses_of_the_wrong_shape_are_refused(self):
        """A loss that is a mean already, or of no example, is named with its shape."""
        oracle = ComplexStep(lambda leaves, batch: leaves["a"], {"x": np.ones(3)})
        with pytest.raises(LossError, match=r"\(3,\).*got shape \(\)"):
            oracle({"a": np.array(1.0)}, {})

    @pytest.mark.parametrize("data", [{}, {"x": np.ones(0)}, {"x": np.ones(2), "y": np.ones(3)}])
    def test_data_of_no_number_of_examples_are_refused(self, data):
        """No array, no example, or arrays of different lengths."""
        with pytest.raises(DataError, match="from 1 up"):
            ComplexStep(lambda leaves, batch: batch["x"], data)

    def test_sums_let_complex_numbers_through(self):
        """NumpyOps.sum keeps both parts, in double precision."""
        values = np.array([1 + 2j, 3 - 1j], np.complex64)
        assert NumpyOps().sum(values) == 4 + 1j
        assert NumpyOps().sum(values).dtype == np.complex128
