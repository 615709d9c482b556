"""A small perceptron, data and iterates for the JAX tests."""

from __future__ import annotations

import os
from collections import OrderedDict
from typing import Any

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# The tests compile much and compute little.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

import jax
import jax.numpy as jnp
import numpy as np
import pytest


@pytest.fixture(autouse=True, scope="session")
def compiled_once(tmp_path_factory):
    """Keep compiled programs for the session: most tests compile the same ones."""
    settings = {
        "jax_compilation_cache_dir": str(tmp_path_factory.mktemp("programs")),
        "jax_persistent_cache_min_compile_time_secs": 0.0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }
    before = {name: getattr(jax.config, name) for name in settings}
    for name, value in settings.items():
        jax.config.update(name, value)
    yield
    for name, value in before.items():
        jax.config.update(name, value)


@pytest.fixture
def blobs() -> tuple[np.ndarray, np.ndarray]:
    """101 examples of 12 features in 4 classes: a prime number, so every cut is ragged."""
    rng = np.random.default_rng(3)
    labels = rng.integers(4, size=101)
    centres = rng.standard_normal((4, 12))
    return (centres[labels] + 0.7 * rng.standard_normal((101, 12))).astype(np.float32), labels


@pytest.fixture
def perceptron():
    """Per-example cross-entropy of a 12-8-4 tanh network."""

    def losses(params, batch):
        x, y = batch
        fc1, fc2 = params["fc1"], params["fc2"]
        hidden = jnp.tanh(x @ fc1["weight"].T + fc1["bias"])
        logits = hidden @ fc2["weight"].T + fc2["bias"]
        return jax.nn.logsumexp(logits, -1) - jnp.take_along_axis(logits, y[:, None], 1)[:, 0]

    return losses


@pytest.fixture
def iterates() -> list[Any]:
    """Five sets of float32 parameters of the network, as training could have left them.

    Weights come before biases, (out, in), as in the numpy reference.
    """
    rng = np.random.default_rng(7)

    def layer(outputs, inputs):
        return OrderedDict(weight=np.zeros((outputs, inputs)), bias=np.zeros(outputs))

    def moved(params, by):
        return jax.tree.map(
            lambda leaf: (leaf + by * rng.standard_normal(leaf.shape)).astype(np.float32), params
        )

    found = [moved(OrderedDict(fc1=layer(8, 12), fc2=layer(4, 8)), 0.5)]
    for _ in range(4):
        found.append(moved(found[-1], 0.1))
    return found


@pytest.fixture
def followed():
    """Return a function that tracks iterates and returns the run."""
    import lca_jax

    def follow(loss_fn, iterates, data, **options):
        live = [jax.tree.map(jnp.asarray, params) for params in iterates]
        with lca_jax.track(loss_fn, live[0], data, **options) as tracker:
            for params in live[1:]:
                tracker.step(params)
        return tracker.run

    return follow
