"""The loss is the mean that the user means, weights included."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import lca_jax
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


@pytest.mark.parametrize(
    "loss_fn",
    [
        lambda p, b: example_losses(p, b).sum(),
        lambda p, b: jnp.average(example_losses(p, b), weights=1.0 + b[1] ** 2),
        lambda p, b: jax.nn.logsumexp(logits(p, b) @ logits(p, b).T, 1).mean(),
    ],
    ids=["sum", "hidden weights", "contrastive"],
)
def test_losses_that_depend_on_the_cut_are_refused(blobs, loss_fn):
    """A sum, a hidden weighted mean or a contrastive loss would make the numbers meaningless."""
    with pytest.raises(LossError, match="not the mean"):
        lca_jax.track(loss_fn, PARAMS, blobs)


@pytest.mark.parametrize(
    ("loss_fn", "words"),
    [
        (lambda p, b: example_losses(p, b)[:7], r"shape \(64, \.\.\.\), got shape \(7,\)"),
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
