"""Leaves of every library's pytrees carry the names of their paths."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

import lca_jax
from lca_core.errors import LeafError
from lca_jax.leaves import find_leaves


class Convolutional(nnx.Module):
    """Layers in a list, batch norm and dropout: everything that NNX keeps in variables."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.layers = nnx.List([nnx.Linear(12, 8, rngs=rngs), nnx.Linear(8, 4, rngs=rngs)])
        self.norm = nnx.BatchNorm(8, rngs=rngs)
        self.drop = nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Return logits."""
        return self.layers[1](self.drop(jnp.tanh(self.norm(self.layers[0](x)))))


class Linen(linen.Module):
    """A Linen module with automatic names."""

    @linen.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Return logits."""
        x = linen.BatchNorm(use_running_average=True)(linen.Dense(8)(x))
        return linen.Dense(4)(jnp.tanh(x))


class Tree(eqx.Module):
    """Equinox layers, a scalar, a static field, a function, an absent part."""

    conv: eqx.nn.Conv2d
    embed: eqx.nn.Embedding
    scale: jax.Array
    activation: Any
    missing: None = None
    power: int = eqx.field(static=True, default=2)


def tree() -> Tree:
    """Return one, always with the same weights."""
    keys = jax.random.split(jax.random.key(0))
    conv = eqx.nn.Conv2d(3, 5, 2, key=keys[0])
    return Tree(conv, eqx.nn.Embedding(7, 6, key=keys[1]), jnp.ones(()), jnp.tanh)


def axes(found):
    """Return leaf name -> unit axis."""
    return {leaf.name: leaf.unit_axis for leaf in found.layout.leaves}


def test_nested_dicts_and_lists():
    """Names are the keys with slashes between; kernels count units along their last axis."""
    params = {"mlp": [{"b": np.ones(3), "w": np.ones((2, 3))}], "temperature": np.ones(())}
    found = find_leaves(params)

    assert axes(found) == {"mlp/0/b": 0, "mlp/0/w": 1, "temperature": None}
    assert found.layout.labels("layer") == ("mlp/0", "temperature")
    assert {leaf.dtype for leaf in found.layout.leaves} == {"float32"}


def test_numbers_and_strings_as_keys_are_one_name():
    """Checkpoints turn number keys into strings; the leaf's name stays."""
    numbers = find_leaves({"layers": {0: {"w": jnp.ones(2)}}})
    strings = find_leaves({"layers": {"0": {"w": jnp.ones(2)}}})

    assert numbers.layout == strings.layout


def test_haiku_style_dicts():
    """Keys that hold slashes themselves are layers; embeddings count their rows."""
    found = find_leaves(
        {"mlp/~/linear_0": {"w": jnp.ones((2, 3))}, "embed": {"embeddings": jnp.ones((7, 2))}}
    )

    assert axes(found) == {"embed/embeddings": 0, "mlp/~/linear_0/w": 1}
    assert found.layout.labels("layer") == ("embed", "mlp/~/linear_0")


def test_a_bare_array_is_called_params():
    """A pytree that is one array has a leaf all the same."""
    assert axes(find_leaves(jnp.ones((2, 3)))) == {"params": 1}


def test_linen_variables():
    """Linen's own names, below "params" where the whole collection is passed."""
    variables = Linen().init(jax.random.key(0), jnp.ones((1, 12)))
    found = find_leaves(variables["params"], variables["batch_stats"])

    assert axes(found)["Dense_0/kernel"] == 1
    assert found.layout.names[0] == "BatchNorm_0/bias"
    buffers = found.capture(variables["params"], variables["batch_stats"]).buffers
    assert list(buffers) == ["BatchNorm_0/mean", "BatchNorm_0/var"]
    whole = find_leaves(variables, leaves=lambda name: name.startswith("params/"))
    assert whole.layout.names[0] == "params/BatchNorm_0/bias"


def test_nnx_state_and_a_whole_module():
    """NNX variables are called by where they are, without ".value"; keys and counts are buffers."""
    model = Convolutional(nnx.Rngs(0))
    params, rest = nnx.split(model, nnx.Param, ...)[1:]
    names = ("layers/0/bias", "layers/0/kernel", "layers/1/bias", "layers/1/kernel")
    found = find_leaves(params, rest)

    assert found.layout.names == (*names, "norm/bias", "norm/scale")
    assert list(found.capture(params, rest).buffers) == [
        "drop/rngs/count",
        "drop/rngs/key",
        "norm/mean",
        "norm/var",
    ]
    assert find_leaves(nnx.to_pure_dict(params)).layout.names == found.layout.names
    assert set(found.layout.names) < set(find_leaves(model).layout.names)


def test_nnx_training_is_followed(blobs):
    """An NNX model with dropout and batch norm closes its books; its state is a term of them."""
    model = Convolutional(nnx.Rngs(0))
    x, y = map(jnp.asarray, blobs)
    graph = nnx.graphdef(model)

    def loss_fn(params, batch, rest):
        net = nnx.merge(graph, params, rest)
        logits = nnx.view(net, deterministic=True, use_running_average=True)(batch[0])
        return jax.nn.logsumexp(logits, -1) - logits[jnp.arange(len(batch[1])), batch[1]]

    def now():
        return nnx.state(model, nnx.Param), nnx.state(model, nnx.Not(nnx.Param))

    params, rest = now()
    with lca_jax.track(loss_fn, params, (x, y), state=rest) as tracker:
        for _ in range(2):
            model.norm(model.layers[0](x))  # moves the averages
            model.layers[1].kernel[...] = model.layers[1].kernel[...] * 0.9
            tracker.step(*now())
    run = tracker.run
    closed = run.allocation("train").values.sum(1) + run.buffers("train") + run.gap("train")

    np.testing.assert_allclose(closed, np.diff(run.loss("train")), rtol=1e-9)
    assert np.all(run.buffers("train") != 0.0)
    assert np.all(run.status("train") == 0)


@pytest.mark.parametrize("whole", [True, False], ids=["whole module", "filtered"])
def test_equinox_modules(whole):
    """Functions, static fields and None are no leaves; a "weight" has its outputs first."""
    module = tree()
    params = module if whole else eqx.filter(module, eqx.is_inexact_array)
    found = find_leaves(params)

    assert axes(found) == {"conv/weight": 0, "conv/bias": 0, "embed/weight": 0, "scale": None}
    assert found.layout.labels("unit")[:5] == tuple(f"conv[{i}]" for i in range(5))


@pytest.mark.parametrize("whole", [True, False], ids=["whole module", "filtered"])
def test_equinox_training_is_followed(blobs, whole):
    """The loss function gets the module back as it was given, functions and all."""
    model = eqx.nn.MLP(12, 4, 8, 1, activation=jnp.tanh, key=jax.random.key(0))
    params, static = (model, None) if whole else eqx.partition(model, eqx.is_inexact_array)

    def loss_fn(params, batch):
        logits = jax.vmap(eqx.combine(params, static) if static else params)(batch[0])
        return jax.nn.logsumexp(logits, -1) - logits[jnp.arange(len(batch[1])), batch[1]]

    with lca_jax.track(loss_fn, params, blobs) as tracker:
        for _ in range(2):
            params = jax.tree.map(lambda p: 0.9 * p if eqx.is_inexact_array(p) else p, params)
            tracker.step(params)

    assert np.all(tracker.run.status("train") == 0)
    assert np.abs(tracker.run.allocation("train").values).min() > 0.0


def test_what_is_not_followed_moves_as_state(blobs):
    """With leaves=..., the others' motion is a term of the ledger, not an allocation."""
    params = {"w": jnp.ones(12), "frozen": jnp.ones(()), "steps": jnp.asarray(3), "none": None}

    def loss_fn(params, batch):
        return (batch[0] @ params["w"] * params["frozen"] - params["steps"]) ** 2

    def loss(params):
        return float(loss_fn(params, blobs).mean())

    tracker = lca_jax.track(loss_fn, params, blobs, leaves=lambda name: name != "frozen")
    moved = {**params, "frozen": jnp.asarray(1.5), "steps": jnp.asarray(4)}
    tracker.step(moved)
    both = {**moved, "w": 0.9 * params["w"]}
    tracker.step(both)
    run = tracker.finish()

    assert run.layout.names == ("w",)
    assert run.buffers("train")[0] == pytest.approx(loss(moved) - loss(params), rel=1e-5)
    assert run.allocation("train").values[0].tolist() == [0.0]
    assert run.allocation("train").values[1, 0] == pytest.approx(loss(both) - loss(moved), rel=1e-4)


def test_a_state_that_changes_its_type_is_refused(blobs):
    """Zeros of integers, say, that a moving average makes fractions of, which would be cut off."""
    params = {"w": jnp.ones(12)}

    def loss_fn(params, batch, state):
        return (batch[0] @ params["w"] - state["mean"]) ** 2

    tracker = lca_jax.track(loss_fn, params, blobs, state={"mean": jnp.asarray(0)})
    with pytest.raises(LeafError, match=r"'mean' was of type int32 .* float32.*track\(\)"):
        tracker.step(params, {"mean": jnp.asarray(2.75)})
    tracker.step(params, {"mean": np.asarray(2)})  # what NumPy holds is what JAX makes of it
    assert tracker.finish().steps == 1


def test_an_undefined_number_is_the_same_number(blobs):
    """A NaN that is no array may be another object at every step."""
    params = {"w": jnp.ones(12), "none": float("nan")}
    tracker = lca_jax.track(lambda p, b: (b[0] @ p["w"]) ** 2, params, blobs)
    tracker.step({"w": jnp.zeros(12), "none": float("nan")})
    assert tracker.finish().steps == 1


def test_nothing_to_follow_is_an_error():
    """A pytree without floating arrays, or with all of them left out, is refused."""
    with pytest.raises(LeafError, match="no array of floating type"):
        find_leaves({"steps": jnp.asarray(3), "rate": 0.1})
    with pytest.raises(LeafError, match="no array of floating type"):
        find_leaves({"w": jnp.ones(3)}, leaves=lambda name: False)
    with pytest.raises(LeafError, match="no array of floating type"):
        find_leaves({})


def test_complex_leaves_are_refused_by_name():
    """The error names the leaf, its type and the way out."""
    with pytest.raises(LeafError, match=r"'fft/w'.*complex64.*leaves="):
        find_leaves({"fft": {"w": jnp.ones(3, jnp.complex64)}})


def test_names_that_collide_are_refused():
    """Two paths with one name would mix their numbers."""
    with pytest.raises(LeafError, match=r"a/b"):
        find_leaves({"a/b": jnp.ones(2), "a": {"b": jnp.ones(2)}})
    ones = jnp.ones(2)
    with pytest.raises(LeafError, match=r"more than one \['a/b'\]"):
        find_leaves({"w": ones}, {"a/b": ones, "a": {"b": ones}})
    with pytest.raises(LeafError, match=r"more than one \['params:i'\]"):
        find_leaves({"w": ones, "i": jnp.arange(2)}, {"params:i": ones})


@pytest.mark.parametrize("given", [{"leaves": ["w"]}, {"unit_axis": {"w": 0}}], ids=str)
def test_what_chooses_leaves_is_a_function(given):
    """A list or a dict of names says what it should be."""
    with pytest.raises(LeafError, match="must be a function of a leaf's name, got"):
        find_leaves({"w": jnp.ones(3)}, **given)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda p: {"w": p["w"]}, r"missing \['b'\], new \[\]"),
        (lambda p: {**p, "c": p["b"]}, r"missing \[\], new \['c'\]"),
        (lambda p: {"w": p["w"], "b": (p["b"],)}, r"missing \['b'\], new \['b/0'\]"),
        (lambda p: {"w": p["w"][:3], "b": p["b"]}, r"'w'.*\(12,\).*\(3,\)"),
        (lambda p: {**p, "rate": 0.2}, r"'params/rate'.*0\.1 to 0\.2.*jnp\.asarray"),
        (lambda p: {**p, "b": p["b"].astype("bfloat16")}, "'b' was of type float32.*of bfloat16"),
    ],
    ids=["missing", "new", "moved", "shape", "number", "type"],
)
def test_a_changed_pytree_is_refused_and_the_record_kept(blobs, change, words):
    """The error names what changed; steps already recorded stay, and tracking can go on."""
    params = {"w": jnp.ones(12), "b": jnp.zeros(()), "rate": 0.1}

    def loss_fn(params, batch):
        return (batch[0] @ params["w"] + params["b"]) ** 2

    tracker = lca_jax.track(loss_fn, params, blobs)
    tracker.step({**params, "b": jnp.ones(())})
    changed = change(params)
    if "rate" not in changed:
        changed["rate"] = 0.1
    with pytest.raises(LeafError, match=words):
        tracker.step(changed)
    tracker.step(params)

    assert tracker.finish().steps == 2
