"""The networks in JAX: bare gradients, and tracked steps."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import optax

import lca_jax
from benchmarks.ratio import seconds
from benchmarks.work import (
    BLOCKS,
    HEADS,
    TRANSFORMER,
    WIDTH,
    Prepared,
    Work,
    transformer_weights,
)
from lca_core import RIGHT, Adaptive, Fixed
from lca_jax import networks

if TYPE_CHECKING:
    from collections.abc import Callable

cross_entropy = optax.softmax_cross_entropy_with_integer_labels


def _dense(w: Any, name: str, x: jax.Array) -> jax.Array:
    return x @ w[f"{name}/kernel"] + w[f"{name}/bias"]


def _normed(w: Any, name: str, x: jax.Array) -> jax.Array:
    x = x - x.mean(-1, keepdims=True)
    scale = jax.lax.rsqrt((x**2).mean(-1, keepdims=True) + 1e-5)
    return x * scale * w[f"{name}/gamma"] + w[f"{name}/beta"]


def transformer_losses(w: Any, batch: Any, _: Any) -> jax.Array:
    """Return the losses of a small language model at every word, shape (n, LENGTH)."""
    text, following = batch
    x = w["words"][text] + w["places"]
    for i in range(BLOCKS):
        qkv = _dense(w, f"{i}/qkv", _normed(w, f"{i}/norm1", x))
        q, k, v = jnp.moveaxis(qkv.reshape(*x.shape[:2], 3, HEADS, WIDTH // HEADS), 2, 0)
        seen = jax.nn.dot_product_attention(q, k, v, is_causal=True)
        x = x + _dense(w, f"{i}/out", seen.reshape(x.shape))
        up = jax.nn.gelu(_dense(w, f"{i}/up", _normed(w, f"{i}/norm2", x)))
        x = x + _dense(w, f"{i}/down", up)
    return cross_entropy(_dense(w, "head", x), following)


def network(work: Work) -> tuple[Callable[[Any, Any, Any], jax.Array], Any, Any]:
    """Return per-example losses, a function of (params, batch, state), and both trees."""
    if work.network == TRANSFORMER:
        return transformer_losses, jax.tree.map(jnp.asarray, transformer_weights()), {}
    spec = work.spec
    params, state = networks.build(spec, spec.initial(0))

    def losses(params: Any, batch: Any, state: Any) -> jax.Array:
        x, y = batch
        return cross_entropy(networks.apply(spec, params, state, x, behaviour="eval")[0], y)

    return losses, params, state


def bare_gradient(
    losses: Callable[[Any, Any, Any], jax.Array], stacks: Any, state: Any, count: int
) -> Callable[[int, Any], Any]:
    """Return a gradient pass over all examples, as a user would write it who has tried both ways.

    One compiled scan suits dense layers; on a CPU, XLA runs convolutions inside a loop many times
    slower than outside, where a loop over a compiled gradient is the better way.
    """

    def of_chunk(params: Any, batch: Any, state: Any) -> Any:
        return jax.grad(lambda p: losses(p, batch, state).sum() / count)(params)

    @jax.jit
    def scanned(params: Any, stacks: Any, state: Any) -> Any:
        def add(total: Any, batch: Any) -> tuple[Any, None]:
            return jax.tree.map(jnp.add, total, of_chunk(params, batch, state)), None

        total = jax.tree.map(jnp.zeros_like, params)
        for stack in stacks:
            total, _ = jax.lax.scan(add, total, stack)
        return total

    @partial(jax.jit, donate_argnums=0)
    def added(total: Any, params: Any, batch: Any, state: Any) -> Any:
        return jax.tree.map(jnp.add, total, of_chunk(params, batch, state))

    chunks = [
        jax.tree.map(lambda x, i=i: x[i], stack)
        for stack in stacks
        for i in range(len(jax.tree.leaves(stack)[0]))
    ]

    def looped(params: Any) -> Any:
        total = jax.tree.map(jnp.zeros_like, params)
        for chunk in chunks:
            total = added(total, params, chunk, state)
        return total

    ways = (lambda params: scanned(params, stacks, state), looped)
    return lambda which, params: jax.block_until_ready(ways[which](params))


def _faster(bare: Callable[[int, Any], Any], params: Any) -> int:
    """Return which of the two ways takes less time once compiled."""
    for which in (0, 1):
        bare(which, params)
    return int(seconds(lambda: bare(0, params)) > seconds(lambda: bare(1, params)))


class _Moving:
    """Parameters on their way, as a training loop holds them."""

    def __init__(self, params: Any) -> None:
        self.params = params
        directions = jax.tree.map(lambda p: 1e-3 * jnp.ones_like(p), params)
        self._moved = jax.jit(lambda params: jax.tree.map(jnp.add, params, directions))

    def move(self) -> None:
        self.params = jax.block_until_ready(self._moved(self.params))


def _with_bare(
    work: Work, losses: Any, moving: _Moving, state: Any, *, step: Any, oracle: Any
) -> Prepared:
    x, y = work.data()
    count = y.size if work.network == TRANSFORMER else len(x)
    bare = bare_gradient(losses, oracle.stacks, state, count)
    way = _faster(bare, moving.params)
    parameters = sum(leaf.size for leaf in jax.tree.leaves(moving.params))
    return Prepared(
        lambda: bare(way, moving.params), moving.move, step, parameters, oracle.batch_size
    )


def tracked(work: Work) -> Prepared:
    """Return the model with a tracker and the default observers."""
    losses, params, state = network(work)
    moving, one_gradient = _Moving(params), Adaptive(atol=1e9, audit=None)
    tracker = lca_jax.track(
        losses, params, work.data(), state=state, integrator=one_gradient, chunk=10**6
    )

    def step() -> None:
        tracker.step(moving.params, state)
        jax.block_until_ready(tracker._state)

    oracle = tracker._allocator.oracles["train"]
    return _with_bare(work, losses, moving, state, step=step, oracle=oracle)


def functional(work: Work) -> Prepared:
    """Return the model with the pair of functions, in a program of its own."""
    losses, params, state = network(work)
    moving = _Moving(params)
    pair = lca_jax.functional(losses, params, work.data(), state=state, integrator=Fixed(RIGHT))
    update = jax.jit(pair.update, donate_argnums=1)
    books = pair.init(params, state)
    # The books travel with the data, and are donated.
    oracle = jax.tree.map(jnp.copy, books.oracles["train"])

    def step() -> None:
        nonlocal books
        _, books = jax.block_until_ready(update(moving.params, books, state))

    return _with_bare(work, losses, moving, state, step=step, oracle=oracle)


WAYS = {"default": tracked, "functional": functional}
