"""In JAX too, bookkeeping costs next to nothing beside the gradients it keeps books of.

The twin of `test_tracked_step`: only ratios of times taken in turn in one process are compared.
"""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import lca_jax
from lca_core import RIGHT, Adaptive, Fixed

if TYPE_CHECKING:
    from collections.abc import Callable

TRACKED_LIMIT, PAIR_LIMIT = 1.05, 1.02
EXAMPLES = 50_000
FEWEST_ROUNDS, MOST_ROUNDS = 11, 40


def losses(params: Any, batch: Any) -> jax.Array:
    """Return the cross-entropy of the paper's FC network, 784-100-50-10."""
    x, y = batch
    for i in (1, 2):
        x = jax.nn.relu(x @ params[f"fc{i}"]["kernel"] + params[f"fc{i}"]["bias"])
    logits = x @ params["fc3"]["kernel"] + params["fc3"]["bias"]
    return optax.softmax_cross_entropy_with_integer_labels(logits, y)


def parameters() -> Any:
    """Return small weights."""
    rng, widths = np.random.default_rng(0), (784, 100, 50, 10)
    return {
        f"fc{i}": {
            "kernel": jnp.asarray(
                0.05 * rng.standard_normal((widths[i - 1], widths[i])), "float32"
            ),
            "bias": jnp.zeros(widths[i]),
        }
        for i in (1, 2, 3)
    }


def bare_gradient(stacks: Any) -> Callable[[Any], Any]:
    """Return a compiled gradient pass over all examples, as a user would write it."""

    @jax.jit
    def run(params: Any, stacks: Any) -> Any:
        def add(total: Any, batch: Any) -> tuple[Any, None]:
            gradient = jax.grad(lambda p: losses(p, batch).sum() / EXAMPLES)(params)
            return jax.tree.map(jnp.add, total, gradient), None

        total = jax.tree.map(jnp.zeros_like, params)
        for stack in stacks:
            total, _ = jax.lax.scan(add, total, stack)
        return total

    return lambda params: run(params, stacks)


def seconds(function: Callable[[], Any]) -> float:
    """Return how long one call takes, its arrays ready."""
    begin = time.perf_counter()
    jax.block_until_ready(function())
    return time.perf_counter() - begin


def paired(bare: Callable[[], Any], tracked: Callable[[], Any], limit: float) -> float:
    """Return the median ratio of a tracked step to the passes just before and after it."""
    ratios, before = [], seconds(bare)
    while len(ratios) < MOST_ROUNDS:
        took, after = seconds(tracked), seconds(bare)
        ratios.append(2 * took / (before + after))
        before = after
        if len(ratios) >= FEWEST_ROUNDS and statistics.median(ratios) <= limit:
            break
    return statistics.median(ratios)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["tracker", "pair"])
def test_a_tracked_step_costs_its_gradient_pass(benchmark, kind):
    """With all default observers a step takes little more than its one bare gradient pass."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal((EXAMPLES, 784)).astype(np.float32)
    data = (x, rng.integers(10, size=EXAMPLES))
    params = parameters()
    one_gradient = Adaptive(atol=1e9, audit=None)
    tracker = lca_jax.track(losses, params, data, integrator=one_gradient, chunk=10**6)
    oracle = tracker._allocator.oracles["train"]
    bare = bare_gradient(oracle.stacks)
    directions = jax.tree.map(lambda p: 1e-3 * jnp.ones_like(p), params)
    move = jax.jit(lambda params: jax.tree.map(jnp.add, params, directions))
    pair = lca_jax.functional(losses, params, data, integrator=Fixed(RIGHT))
    update = jax.jit(pair.update, donate_argnums=1)
    books = pair.init(params) if kind == "pair" else None

    def step() -> Any:
        nonlocal params, books
        params = move(params)
        if books is None:
            tracker.step(params)
            return tracker._state.evaluations
        record, books = update(params, books)
        return record

    limit = TRACKED_LIMIT if kind == "tracker" else PAIR_LIMIT
    for function in (step, lambda: bare(params)):
        seconds(function)
    ratio = paired(lambda: bare(params), step, limit)
    benchmark.extra_info["ratio"] = ratio
    benchmark.extra_info["examples_per_chunk"] = oracle.batch_size
    benchmark.pedantic(step, rounds=3)

    assert ratio <= limit
