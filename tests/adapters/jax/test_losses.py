"""The loss is the mean that the user means, weights included."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import lca_jax
from lca_core import Redrawn
from lca_core.errors import LossError

PARAMS = {"w": jnp.asarray(np.random.default_rng(5).standard_normal((12, 4)), jnp.float32)}


def logits(params, batch):
    """Return those of a linear model."""
    return batch[0] @ params["w"]


def example_losses(params, batch):
    """Return the cross-entropy of every example."""
    return optax.softmax_cross_entropy_with_integer_labels(logits(params, batch), batch[1])


LOSSES = {
    "per example": example_losses,
    "plain mean": lambda p, b: example_losses(p, b).mean(),
    "several per example": lambda p, b: (logits(p, b) - b[1][:, None]) ** 2,
    "mean of several": lambda p, b: ((logits(p, b) - b[1][:, None]) ** 2).mean(),
}


@pytest.mark.parametrize("case", LOSSES)
def test_loss_and_gradient_are_those_of_one_big_batch(blobs, case):
    """Cut into chunks, the loss is still the user's own over all the data."""

    def whole(params):
        return LOSSES[case](params, tuple(map(jnp.asarray, blobs))).mean()

    loss, gradient = jax.value_and_grad(whole)(PARAMS)
    found = lca_jax.track(LOSSES[case], PARAMS, blobs, batch_size=30)._state.evaluations["train"]

    assert float(found.loss) == pytest.approx(float(loss), rel=1e-6)
    np.testing.assert_allclose(found.gradient["w"], gradient["w"], rtol=1e-4, atol=1e-6)


def test_weights_make_a_weighted_mean(blobs):
    """(losses, weights) is Σ w·l / Σ w over all the data, not over chunks."""
    weights = np.random.default_rng(0).random(101).astype(np.float32)

    def loss_fn(params, batch):
        return example_losses(params, batch), batch[2]

    run = lca_jax.track(loss_fn, PARAMS, (*blobs, weights), batch_size=30).finish()
    losses = np.asarray(example_losses(PARAMS, blobs), np.float64)

    expected = (losses * weights).sum() / weights.sum(dtype=np.float64)
    assert run.loss("train")[0] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("probe", [lambda data: data, lambda data: Redrawn(data, 20)])
@pytest.mark.parametrize("start", ["zeros", "away"])
def test_weights_that_move_with_the_parameters_are_refused(blobs, start, probe):
    """What such weights divide by moves too, and the gradient would not know."""
    params = {"w": jnp.zeros((12, 4)) if start == "zeros" else PARAMS["w"]}

    def loss_fn(params, batch):
        return example_losses(params, batch), (logits(params, batch) ** 2).sum(axis=1)

    with pytest.raises(LossError, match=r"weights .* depend on the parameters"):
        lca_jax.track(loss_fn, params, probe(blobs))

    def steady(params, batch):
        losses, weights = loss_fn(params, batch)
        return losses, 1 + jax.lax.stop_gradient(weights)

    lca_jax.track(steady, params, probe(blobs))


@pytest.mark.parametrize("by", [jnp.mean, jnp.sum])
def test_weights_that_are_divided_by_their_own_mean_are_refused(blobs, by):
    """Inside of a batch they would depend on how the data are cut."""

    def loss_fn(params, batch):
        weights = 1.0 + batch[1]
        return example_losses(params, batch), weights / by(weights)

    with pytest.raises(LossError, match="divided by their sum or mean"):
        lca_jax.track(loss_fn, PARAMS, blobs)


@pytest.mark.parametrize(
    "loss_fn",
    [
        lambda p, b: example_losses(p, b).sum(),
        lambda p, b: jnp.average(example_losses(p, b), weights=1.0 + b[1] ** 2),
        lambda p, b: jax.nn.logsumexp(logits(p, b) @ logits(p, b).T, 1).mean(),
        lambda p, b: (logits(p, b)[:, :1] - b[1]) ** 2,
    ],
    ids=["sum", "hidden weights", "contrastive", "every output with every target"],
)
def test_losses_that_depend_on_the_cut_are_refused(blobs, loss_fn):
    """A sum, a hidden weighted mean or a contrastive loss would make the numbers meaningless."""
    with pytest.raises(LossError, match="not the mean"):
        lca_jax.track(loss_fn, PARAMS, blobs)


@pytest.mark.parametrize(
    ("loss_fn", "words"),
    [
        (lambda p, b: example_losses(p, b)[:7], r"shape \(101, \.\.\.\), got shape \(7,\)"),
        (lambda p, b: b[1], "floating type.*int"),
        (lambda p, b: None, "floating type.*NoneType"),
        (lambda p, b: (example_losses(p, b), 1.0, {}), "floating type.*tuple.*without aux"),
    ],
    ids=["shape", "integers", "nothing", "aux"],
)
def test_other_results_are_refused(blobs, loss_fn, words):
    """The error says what was expected and what came."""
    with pytest.raises(LossError, match=words):
        lca_jax.track(loss_fn, PARAMS, blobs)


@pytest.mark.parametrize("order", ["mixed", "sorted"])
@pytest.mark.parametrize("start", ["zeros", "small"])
def test_hidden_weights_are_seen_wherever_training_starts(blobs, order, start):
    """Where all losses are equal, or a class fills the beginning, a weighted mean cannot hide."""
    x, y = blobs
    if order == "sorted":
        x, y = x[np.argsort(y)], np.sort(y)
    params = {"w": jnp.zeros((12, 4)) if start == "zeros" else 1e-6 * PARAMS["w"]}

    def loss_fn(params, batch):
        weights = jnp.array([1.0, 2.0, 5.0, 1.0])[batch[1]]
        return jnp.average(example_losses(params, batch), weights=weights)

    data = (np.tile(x, (9, 1)), np.tile(y, 9)) if order == "mixed" else (x, y)
    with pytest.raises(LossError, match="not the mean"):
        lca_jax.track(loss_fn, params, data)


@pytest.mark.parametrize("padded", [0, 1, 2])
def test_a_mean_over_what_is_not_padding_is_refused_wherever_padding_is(padded):
    """Of batches of several lengths any may be the one that is filled up."""
    rng, batches = np.random.default_rng(0), []
    for i, length in enumerate((3, 4, 5)):
        mask = np.ones((8, length), np.float32)
        mask[4:, 1:] = i != padded
        batches.append((rng.standard_normal((8, length, 12)).astype(np.float32), mask))

    def loss_fn(params, batch):
        x, mask = batch
        return (((x @ params["w"])[..., 0] - 1) ** 2 * mask).sum() / mask.sum()

    with pytest.raises(LossError, match="not the mean"):
        lca_jax.track(loss_fn, PARAMS, batches)


@pytest.mark.parametrize("aux", ["dict", "logits"])
@pytest.mark.parametrize("scalar", [False, True])
def test_a_second_output_is_not_taken_as_weights(blobs, aux, scalar):
    """A loss with has_aux is refused, and the error names the remedy."""

    def loss_fn(params, batch):
        losses = example_losses(params, batch)
        other = logits(params, batch)
        return losses.mean() if scalar else losses, {"logits": other} if aux == "dict" else other

    with pytest.raises(LossError, match="has_aux"):
        lca_jax.track(loss_fn, PARAMS, blobs)


@pytest.mark.parametrize("batch_size", [4, 30])
def test_weights_of_examples_weigh_all_losses_of_each(blobs, batch_size):
    """Weights (n,) of losses (n, T) go with the examples, also where a chunk has T of them."""
    weights = np.random.default_rng(0).random(101).astype(np.float32)

    def loss_fn(params, batch):
        return (logits(params, batch) - 1.0) ** 2, batch[2]

    run = lca_jax.track(loss_fn, PARAMS, (*blobs, weights), batch_size=batch_size).finish()
    losses = (blobs[0].astype("f8") @ np.asarray(PARAMS["w"], "f8") - 1.0) ** 2

    expected = (losses * weights[:, None]).sum() / (4 * weights.sum(dtype="f8"))
    assert run.loss("train")[0] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("loss_fn", "data", "words"),
    [
        (
            lambda params, x, y: (x @ params["w"] - y) ** 2,
            (12, "f4"),
            r"loss_fn\(params, \*batch\)",
        ),
        (lambda params, batch: batch[0] @ params["w"], (11, "f4"), r"float32 \(30, 11\)"),
    ],
)
def test_a_loss_that_fails_on_the_data_says_what_was_passed(loss_fn, data, words):
    """The error names the measure, shapes and types, and keeps what JAX or Python said."""
    features, kind = data
    batch = (np.ones((30, features), kind), np.ones(30, kind))
    params = {"w": jnp.zeros(12)}
    with pytest.raises(TypeError) as jaxs:
        loss_fn(params, batch)
    with pytest.raises(LossError, match=words) as found:
        lca_jax.track(loss_fn, params, {"mine": batch})

    assert "'mine'" in str(found.value)
    assert type(found.value.__cause__) is type(jaxs.value)
    assert str(found.value.__cause__).rstrip(".") in str(found.value)


def test_a_loss_that_has_no_gradient_says_so_at_once(blobs):
    """What JAX cannot differentiate is the loss's own, and is named with what was passed."""

    def loss_fn(params, batch):
        steps = jax.lax.while_loop(lambda s: s[0] < 3, lambda s: (s[0] + 1, s[1] * 0.5), (0, 8.0))
        scale = jax.lax.while_loop(lambda s: s.sum() > 1, lambda s: 0.5 * s, params["w"])
        return example_losses({"w": scale}, batch) * steps[1]

    with pytest.raises(LossError, match=r"'train' cannot be evaluated .*[Rr]everse-mode"):
        lca_jax.track(loss_fn, PARAMS, blobs)


def test_a_dict_of_dicts_is_said_to_name_measures(blobs):
    """A batch that is a dict of dicts was read as measures, and what to pass instead works."""
    x, y = blobs

    def loss_fn(params, batch):
        return example_losses(params, (batch["in"]["x"], batch["out"]["y"]))

    batch = {"in": {"x": x}, "out": {"y": y}}
    with pytest.raises(LossError, match=r"names measures: .* data=\{'train': \{\.\.\.\}\}"):
        lca_jax.track(loss_fn, PARAMS, batch)

    run = lca_jax.track(loss_fn, PARAMS, {"train": batch}).finish()
    assert run.loss("train")[0] == pytest.approx(float(example_losses(PARAMS, blobs).mean()), 1e-5)
