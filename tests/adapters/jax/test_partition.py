"""A partition of the data in JAX: every group a measure, in one pass over all examples."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lca_jax
from lca_core import SIMPSON, Fixed, Partition
from lca_core.errors import DataError


def weighted(perceptron):
    """Return the perceptron's losses, weighted by class."""

    def losses(params, batch):
        return perceptron(params, batch), 0.5 + batch[1]

    return losses


def test_the_whole_is_the_data_undivided(perceptron, iterates, blobs, followed):
    """With weights of examples: loss, allocation and totals are the plain ones."""
    loss_fn = weighted(perceptron)
    options = {"integrator": Fixed(SIMPSON)}
    split = followed(loss_fn, iterates, {"train": Partition(blobs, by=blobs[1])}, **options)
    undivided = followed(loss_fn, iterates, blobs, **options)
    assert split.measures == ("train", *(f"train/class={c}" for c in range(4)))
    np.testing.assert_allclose(split.loss("train"), undivided.loss("train"), rtol=1e-7)
    for name, total in undivided.total("train").items():
        np.testing.assert_allclose(split.total("train")[name], total, rtol=1e-4, atol=1e-6)
    weights = 0.5 + blobs[1]
    for c in range(4):
        share = weights[blobs[1] == c].sum() / weights.sum()
        assert split.parts("train")[f"train/class={c}"] == pytest.approx(share, rel=1e-12)


def test_parts_are_the_losses_of_their_examples(perceptron, iterates, blobs, followed):
    """A group's loss is the mean over its own examples, by whatever function labels them."""
    x, y = blobs
    run = followed(perceptron, iterates, Partition(blobs, lambda data: data[1] % 2, "odd"))
    for odd in (0, 1):
        own = x[y % 2 == odd], y[y % 2 == odd]
        truth = float(jnp.mean(perceptron(iterates[-1], own)))
        assert run.loss(f"train/odd={odd}")[-1] == pytest.approx(truth, rel=1e-5)


def test_a_compiled_step_knows_the_whole(perceptron, iterates, blobs, followed):
    """The pure pair, jitted, records parts and whole as the tracker does."""
    data = Partition(blobs, by=blobs[1] // 2, name="half")
    run = followed(perceptron, iterates[:3], data, integrator=Fixed(SIMPSON))
    lca = lca_jax.functional(perceptron, iterates[0], data)
    books, update = lca.init(iterates[0]), jax.jit(lca.update)
    for t, params in enumerate(iterates[1:3]):
        record, books = update(params, books)
        for measure in run.measures:
            np.testing.assert_allclose(record[measure]["loss"], run.loss(measure)[t + 1], rtol=1e-6)
            values = run.allocation(measure, by="leaf").values[t]
            np.testing.assert_allclose(record[measure]["allocation"], values, atol=1e-6)


def test_what_cannot_be_picked_is_refused(perceptron, iterates, blobs):
    """Lists of batches and too few labels are errors that say what to pass."""
    with pytest.raises(DataError, match="pass arrays, not a list of batches"):
        lca_jax.track(perceptron, iterates[0], Partition([blobs], by=blobs[1]))
    with pytest.raises(DataError, match="101 examples, 100 labels"):
        lca_jax.track(perceptron, iterates[0], Partition(blobs, by=blobs[1][1:]))
