"""A partition of the data in JAX: every group a measure, in one pass over all examples."""

import logging
from collections import Counter
from contextlib import contextmanager

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lca_jax
from lca_core import SIMPSON, Fixed, Partition
from lca_core.errors import DataError, LossError
from lca_jax.data import checksum


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
    begun, update = lca.init(iterates[0]), jax.jit(lca.update)
    books = begun
    for t, params in enumerate(iterates[1:3]):
        record, books = update(params, books)
        for measure in run.measures:
            np.testing.assert_allclose(record[measure]["loss"], run.loss(measure)[t + 1], rtol=1e-6)
            values = run.allocation(measure, by="leaf").values[t]
            np.testing.assert_allclose(record[measure]["allocation"], values, atol=1e-6)
    assert update._cache_size() == 1
    assert jax.tree.structure(begun) == jax.tree.structure(books)  # as a scan wants it


def test_what_cannot_be_picked_is_refused(perceptron, iterates, blobs):
    """Lists of batches and too few labels are errors that say what to pass."""
    with pytest.raises(DataError, match="pass arrays, not a list of batches"):
        lca_jax.track(perceptron, iterates[0], Partition([blobs], by=blobs[1]))
    with pytest.raises(DataError, match="101 examples, 100 labels"):
        lca_jax.track(perceptron, iterates[0], Partition(blobs, by=blobs[1][1:]))


@pytest.mark.parametrize("order", ["mixed", "sorted"])
@pytest.mark.parametrize("rare", [False, True])
def test_weights_that_are_equal_inside_every_part_are_refused(
    perceptron, iterates, blobs, order, rare
):
    """Inside a class a weighted mean is a plain one; across classes it is seen."""
    places = np.arange(101) if order == "mixed" else np.argsort(blobs[1])
    x, y = (part[places] for part in blobs)
    if rare:  # two examples of one class among many of another
        here = np.concatenate([np.flatnonzero(y == 0)[:1].repeat(5000), np.flatnonzero(y == 1)[:2]])
        x, y = x[here], y[here]

    def loss_fn(params, batch):
        weights = jnp.array([0.5, 1.0, 2.0, 1.5])[batch[1]]
        return jnp.average(perceptron(params, batch), weights=weights)

    with pytest.raises(LossError, match="weighs them"):
        lca_jax.track(loss_fn, iterates[0], Partition((x, y), by=y))


@contextmanager
def compiling():
    """Give the names of the programs that are compiled."""
    names, logger, handler = [], logging.getLogger("jax"), logging.Handler()

    def emit(record):
        words = record.getMessage().split()
        names.extend(words[1:2] if words[0] == "Compiling" else [])

    handler.emit = emit
    logger.addHandler(handler)
    with jax.log_compiles(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(logger, "propagate", False)
        yield names
    logger.removeHandler(handler)


def test_a_partition_is_checked_as_cheaply_as_one_measure(perceptron, iterates):
    """The check compiles as much for ten groups, or two measures, as for one."""
    rng = np.random.default_rng(0)
    data = rng.standard_normal((1000, 12)).astype(np.float32), np.arange(1000) % 4
    groups = np.arange(1000) % 10
    forms = (data, {"train": data, "val": data}, Partition(data, by=groups, name="group"))
    found = []
    for one in forms:
        with compiling() as names:
            lca_jax.track(lambda p, b: perceptron(p, b).mean(), iterates[0], one)
        found.append(names.count("jit(_losses)"))
    assert found[0] == found[1] == found[2]
    assert 0 < found[0] <= 5


@pytest.mark.parametrize("batch_size", [pytest.param(None, marks=pytest.mark.slow), 4])
def test_groups_of_one_form_share_their_programs(perceptron, iterates, followed, batch_size):
    """Ten groups of as many examples trace and compile what two do; each has its own data."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((110, 12)).astype(np.float32), rng.integers(4, size=110)
    calls = []

    def loss_fn(params, batch):
        calls.append(len(batch[1]))
        return perceptron(params, batch)

    def compiled(groups):
        n = 11 * groups
        data = Partition((x[:n], y[:n]), by=np.arange(n) % groups, name="group")
        calls.clear()
        with compiling() as names:
            run = followed(loss_fn, iterates[:3], data, batch_size=batch_size)
        return (len(calls), Counter(names)), run

    compiled(2)  # what every process compiles once
    (two, _), (ten, run) = compiled(2), compiled(10)
    assert ten == two
    for group in range(10):
        own, name = (x[group::10], y[group::10]), f"train/group={group}"
        truth = float(jnp.mean(perceptron(iterates[2], own)))
        assert run.loss(name)[-1] == pytest.approx(truth, rel=1e-5)
        assert run.config["data"][name] == {"examples": 11, "crc32": f"{checksum(own):08x}"}


def test_a_single_part_has_nothing_beside_it(perceptron, iterates, blobs, followed):
    """A partition into one group is the data as they are."""

    def mean(params, batch):
        return perceptron(params, batch).mean()

    run = followed(mean, iterates[:2], Partition(blobs, lambda data: [0] * len(data[1])))
    whole = followed(mean, iterates[:2], blobs)
    assert run.loss("train") == pytest.approx(whole.loss("train"))
