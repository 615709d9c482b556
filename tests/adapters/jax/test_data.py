"""Every example counts once, in whatever form the data come."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lca_jax
from lca_core.errors import DataError, RuleError
from lca_jax.data import checksum, measures, read


def loss_fn(params, batch):
    """Fit with squares; batches are tuples or dicts."""
    x, y = (batch["x"], batch["y"]) if isinstance(batch, dict) else batch
    return (x @ params["w"] - y) ** 2


PARAMS = {"w": jnp.linspace(-1, 1, 12)}


def mean(x, y):
    """Return the loss in float64."""
    w = np.asarray(PARAMS["w"], np.float64)
    return np.mean((x.astype(np.float64) @ w - y) ** 2)


def in_batches(x, y):
    """Cut into three batches, the last one smaller."""
    return [(x[i : i + 40], y[i : i + 40]) for i in range(0, 101, 40)]


FORMS = {
    "tuple": lambda x, y: (x, y),
    "list": lambda x, y: [x, y],
    "dict": lambda x, y: {"x": x, "y": y},
    "on the device": lambda x, y: (jnp.asarray(x), jnp.asarray(y)),
    "batches": in_batches,
    "batches of dicts": lambda x, y: [{"x": a, "y": b} for a, b in in_batches(x, y)],
}


@pytest.mark.parametrize("form", FORMS)
def test_all_forms_are_one_data_set(blobs, form):
    """Tuples, lists, dicts, device arrays and batches hold the same examples, each once."""
    examples = read(FORMS[form](*blobs), PARAMS)
    stacks = examples.stacks(30)
    sizes = [jax.tree.leaves(stack)[0].shape[:2] for stack in stacks]

    assert examples.examples == 101
    assert sorted(sizes) == [(1, 26), (3, 25)]
    columns = zip(*map(jax.tree.leaves, stacks), strict=True)
    x, y = (np.concatenate([part.reshape(-1, *part.shape[2:]) for part in c]) for c in columns)
    rows = np.concatenate([x, y[:, None]], 1)
    expected = np.concatenate([blobs[0], blobs[1][:, None]], 1)
    np.testing.assert_array_equal(rows[np.lexsort(rows.T)], expected[np.lexsort(expected.T)])


def test_batches_of_different_lengths_are_scanned_apart():
    """Padded sequences of different lengths, which cannot be joined, all count."""
    rng = np.random.default_rng(0)
    batches = [
        rng.standard_normal((n, length)).astype(np.float32) for n, length in ((5, 3), (4, 7))
    ]

    def losses(params, batch):
        return params["w"] * (batch["x"] ** 2).sum(1)

    data = [{"x": batch} for batch in batches]
    tracker = lca_jax.track(losses, {"w": jnp.ones(())}, data, batch_size=2)
    exact = np.concatenate([(b.astype(np.float64) ** 2).sum(1) for b in batches]).mean()

    assert tracker.finish().loss("train")[0] == pytest.approx(exact, rel=1e-6)


def test_several_measures(blobs):
    """Named data sets are measures of one run; a dict of arrays is one data set."""
    x, y = blobs
    data = {"train": (x[:60], y[:60]), "val": {"x": x[60:], "y": y[60:]}}
    run = lca_jax.track(loss_fn, PARAMS, data).finish()

    assert run.measures == ("train", "val")
    assert run.loss("train")[0] == pytest.approx(mean(x[:60], y[:60]), rel=1e-6)
    assert run.loss("val")[0] == pytest.approx(mean(x[60:], y[60:]), rel=1e-6)
    assert run.config["data"]["val"]["examples"] == 41
    assert list(measures({"x": x, "y": y})) == ["train"]


def test_the_fingerprint_sees_every_value(blobs):
    """One changed value anywhere changes it; the type of container does not."""
    changed = blobs[0].copy()
    changed[100, 11] += 1e-3

    assert checksum((changed, blobs[1])) != checksum(blobs)
    assert checksum([jnp.asarray(blobs[0])]) == checksum((blobs[0],))
    assert read(in_batches(*blobs)[:1], PARAMS).crc32 == checksum((blobs[0][:40], blobs[1][:40]))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ((np.ones((0, 12)), np.ones(0)), "empty"),
        ([], "empty"),
        ((), "empty"),
        ({}, "names no measure"),
        ((np.ones((3, 12)), np.ones(2)), r"same number of examples, got \[2, 3\]"),
        ((np.ones((3, 12)), 1.0), "float among them"),
        ((np.ones((3, 12)), np.float32(1.0)), "float32 among them"),
        (iter([(np.ones((3, 12)), np.ones(3))]), "again and again"),
        ((np.ones((3, 12)), jax.random.split(jax.random.key(0), 3)), "key_data"),
        ({"x": np.ones(3), "y": [1.0, 2.0]}, "float among them"),
        ({"train": np.ones(3), "val": []}, "empty"),
        ({"train": (np.ones(3),), "val": None}, "empty: a NoneType without arrays"),
        ((np.ones((3, 12)), np.array(["a", "b", "a"])), "numbers that JAX knows.*<U1"),
        ((np.ones((3, 12), ">f4"), np.ones(3)), "numbers that JAX knows.*>f4"),
        ({"x": np.ones(3), "y": [(np.ones(3),)]}, r"'x': array, 'y': \[tuple.*data={'train': {"),
    ],
    ids=[
        *("rows", "batch", "array", "measure", "lengths", "number", "0-d", "iterator", "keys"),
        *("list", "no list", "nothing", "words", "bytes", "either"),
    ],
)
def test_bad_data_are_refused(data, words):
    """The error says what was expected and what came."""
    with pytest.raises(DataError, match=words):
        lca_jax.track(loss_fn, PARAMS, data)


def test_the_batch_size_follows_the_memory(blobs):
    """Less memory, smaller chunks; each costs what its activations weigh, twice."""

    def size(memory):
        tracker = lca_jax.track(loss_fn, PARAMS, blobs, memory=memory)
        return tracker.finish().config["batch_size"]["train"]

    # Backward needs x (12 floats) and the residual (1 float): 52 bytes an example, twice.
    assert size(1040) == 10
    assert size(104) == 1
    assert size(None) == 101


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("batch_size", value) for value in (0, -3, 2.5, "8")),
        *(("memory", value) for value in (0, -1, float("inf"), float("nan"), "1 GB")),
    ],
)
def test_chunks_hold_an_example_at_least(blobs, name, value):
    """Zero is not the default, halves are no examples, and nothing fits into no memory."""
    with pytest.raises(RuleError, match=f"{name} must be a number of .* from 1 up, got {value!r}"):
        lca_jax.track(loss_fn, PARAMS, blobs, **{name: value})


def test_numpy_counts_examples_too(blobs, tmp_path):
    """A batch size that NumPy made goes into the run file as a number."""
    path = tmp_path / "run.zarr"
    run = lca_jax.track(loss_fn, PARAMS, blobs, batch_size=np.int64(40), path=path).finish()
    assert run.config["batch_size"] == {"train": 40}


def test_data_are_arguments_not_constants(blobs):
    """The compiled program of a step does not hold the data: their size leaves it alone."""
    evaluate = lca_jax.track(loss_fn, PARAMS, blobs)._allocator.oracles["train"]
    traced = jax.make_jaxpr(lambda oracle, params: oracle(params, {}))(evaluate, PARAMS)

    assert all(np.size(constant) < 101 for constant in traced.consts)
    assert any(leaf.shape == (1, 101, 12) for leaf in jax.tree.leaves(evaluate))


def convolved(params, batch):
    """Fit a smoothed row with squares."""
    x, y = batch
    smooth = jax.vmap(lambda row: jnp.convolve(row, params["w"][:3], mode="same"))(x)
    return (smooth @ params["w"] - y) ** 2


@pytest.mark.parametrize(
    ("loss", "batch_size", "looped"),
    [(convolved, 101, False), (convolved, 13, False), (convolved, 11, True), (loss_fn, 13, True)],
)
def test_few_chunks_with_convolutions_are_written_out(blobs, loss, batch_size, looped):
    """On a CPU a loop makes convolutions slow, and costs nothing else anything."""
    oracle = lca_jax.track(loss, PARAMS, blobs, batch_size=batch_size)._allocator.oracles["train"]
    with jax.enable_x64(True):
        program = jax.jit(lambda oracle, params: oracle(params, {})).lower(oracle, PARAMS).compile()
        found = oracle(PARAMS, {})

    assert (" while(" in program.as_text()) == looped
    x, y = blobs
    exact, gradient = jax.value_and_grad(lambda p: loss(p, (x, y)).mean())(PARAMS)
    assert float(found.loss) == pytest.approx(float(exact), rel=1e-5)
    for name, leaf in gradient.items():
        np.testing.assert_allclose(found.gradient[name], leaf, rtol=1e-4, atol=1e-6)


def test_a_part_of_a_batch_may_be_none(blobs):
    """As a mask that some data sets have and others have not."""
    data = {"x": blobs[0], "y": blobs[1], "mask": None}
    tracker = lca_jax.track(lambda p, b: loss_fn(p, (b["x"], b["y"])), PARAMS, data)
    truth = lca_jax.track(loss_fn, PARAMS, blobs)
    assert tracker.last("train") == truth.last("train")


@pytest.mark.parametrize("nest", [tuple, list, lambda parts: dict(enumerate(parts))])
def test_arrays_beside_nested_arrays_are_one_batch(nest):
    """A dict of an array and a tuple, a list or a dict of arrays names no measures."""
    x = np.arange(5.0, dtype=np.float32)
    data = {"x": x, "t": nest([x + 1.0, x + 2.0])}
    run = lca_jax.track(
        lambda p, b: p["w"] * b["x"] * b["t"][0], {"w": jnp.ones(())}, data
    ).finish()

    assert run.measures == ("train",)
    assert run.loss("train")[0] == pytest.approx(8.0)


def test_a_batch_under_a_name_may_be_of_any_form():
    """What may be measures as well is one batch under the name of a measure."""
    x = np.arange(5.0, dtype=np.float32)
    data = {"train": {"x": x, "t": [(x + 1.0,)]}}
    run = lca_jax.track(
        lambda p, b: p["w"] * b["x"] * b["t"][0][0], {"w": jnp.ones(())}, data
    ).finish()

    assert run.loss("train")[0] == pytest.approx(8.0)


def test_lists_of_batches_are_measures(blobs):
    """A dict of lists of batches names measures, also where one is arrays in a list."""
    batches = in_batches(*blobs)
    data = {"train": batches, "val": batches[:1], "test": list(blobs)}
    run = lca_jax.track(loss_fn, PARAMS, data).finish()

    assert run.measures == ("train", "val", "test")
    for name, end in (("train", 101), ("val", 40), ("test", 101)):
        assert run.loss(name)[0] == pytest.approx(mean(*(a[:end] for a in blobs)), rel=1e-6)
