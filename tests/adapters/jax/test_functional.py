"""The pair of pure functions goes into the user's own compiled step, and keeps the same books."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import lca_jax
from lca_core import SIMPSON, Adaptive, Fixed
from lca_core.errors import DataError, RuleError


def trained(losses, params, data, step):
    """Return the tracker's run of a training."""
    with lca_jax.track(losses, params, data, integrator=Fixed(SIMPSON)) as tracker:
        for _ in range(4):
            params = step(params)
            tracker.step(params)
    return tracker.run


def test_a_whole_training_in_one_scan(perceptron, iterates, blobs):
    """Train step and books in one `lax.scan` give the tracker's numbers."""
    params = jax.tree.map(jnp.asarray, iterates[0])
    x, y = map(jnp.asarray, blobs)

    def train(params):
        gradient = jax.grad(lambda p: perceptron(p, (x, y)).mean())(params)
        return jax.tree.map(lambda p, g: p - 0.3 * g, params, gradient)

    lca = lca_jax.functional(perceptron, params, blobs)

    @jax.jit
    def whole(params, books):
        def step(carry, _):
            params, books = carry
            params = train(params)
            record, books = lca.update(params, books)
            return (params, books), record

        return jax.lax.scan(step, (params, books), length=4)

    (_, books), record = whole(params, lca.init(params))
    run = trained(perceptron, params, blobs, jax.jit(train))
    found = record["train"]

    np.testing.assert_allclose(found["loss"], run.loss("train")[1:], rtol=1e-6)
    np.testing.assert_allclose(found["allocation"], run.rows["allocation"][:, 0], atol=1e-6)
    np.testing.assert_allclose(found["gap"], run.gap("train"), atol=1e-6)
    assert np.abs(found["helped"] - run.rows["helped"][:, 0].astype(int)).max() <= 1
    assert int(books.core.index) == 4
    for name, (total, rounding) in books.total("train").items():
        exact = np.asarray(total, np.float64) + np.asarray(rounding)
        np.testing.assert_allclose(exact, run.total("train")[name], atol=1e-6)


def test_a_step_that_donates_everything(blobs):
    """Parameters, optimizer state and books may all be donated; the data survive."""
    params = {"w": jnp.zeros(12), "b": jnp.zeros(())}

    def losses(params, batch):
        return (batch[0] @ params["w"] + params["b"] - batch[1]) ** 2

    data = tuple(map(jnp.asarray, blobs))
    optimizer = optax.adam(0.1)
    lca = lca_jax.functional(losses, params, data)
    traces = []

    def step(params, updates, books):
        traces.append(1)
        gradient = jax.grad(lambda p: losses(p, data).mean())(params)
        change, updates = optimizer.update(gradient, updates)
        params = optax.apply_updates(params, change)
        record, books = lca.update(params, books)
        return params, updates, books, record

    donating = jax.jit(step, donate_argnums=(0, 1, 2))
    updates, books = optimizer.init(params), lca.init(params)
    losses_seen, fall = [float(books.core.evaluations["train"].loss)], 0.0
    for _ in range(5):
        params, updates, books, record = donating(params, updates, books)
        losses_seen.append(float(record["train"]["loss"]))
        fall += float(np.asarray(record["train"]["allocation"]).sum())

    assert traces == [1]
    assert fall == pytest.approx(losses_seen[-1] - losses_seen[0], rel=1e-5)
    assert losses_seen[-1] == pytest.approx(float(losses(params, data).mean()), rel=1e-6)


def test_data_that_were_donated_are_missed_with_the_remedy():
    """The books of one `init` take the data with them: the next says so, and what to do."""
    x = jnp.arange(6.0)
    lca = lca_jax.functional(lambda params, x: (x - params["m"]) ** 2, {"m": jnp.zeros(())}, x)
    step = jax.jit(lambda params, books: lca.update(params, books)[1], donate_argnums=1)
    kept = lca.init({"m": jnp.zeros(())})
    step({"m": jnp.ones(())}, lca.init({"m": jnp.zeros(())}))
    del kept

    with pytest.raises(DataError, match="donated with the books of an earlier init"):
        lca.init({"m": jnp.zeros(())})
    assert x.sum() == 15.0


def test_state_has_its_own_term():
    """With a state that moves, allocation + buffers + gap is the change of the loss."""
    x = np.linspace(0, 1, 7, dtype=np.float32)

    def losses(params, x, state):
        return (params["w"] * x - state["shift"]) ** 2

    def at(w, shift):
        return {"w": jnp.asarray(w)}, {"shift": jnp.asarray(shift)}

    lca = lca_jax.functional(losses, at(1.0, 0.0)[0], x, state=at(1.0, 0.0)[1])
    books = lca.init(*at(1.0, 0.0))
    params, state = at(0.5, 0.25)
    record, books = jax.jit(lca.update)(params, books, state)

    def mean(w, shift):
        return np.mean((w * x.astype(np.float64) - shift) ** 2)

    one = record["train"]
    assert float(one["buffers"]) == pytest.approx(mean(1.0, 0.25) - mean(1.0, 0.0), rel=1e-6)
    expected = mean(0.5, 0.25) - mean(1.0, 0.25)
    assert float(one["allocation"][0]) == pytest.approx(expected, rel=1e-6)


def test_swapped_arguments_are_said():
    """The books come second, and nothing else does."""
    lca = lca_jax.functional(lambda p, x: p * x, jnp.ones(()), np.ones(3))
    books = lca.init(jnp.ones(()))
    with pytest.raises(TypeError, match=r"second argument, got ArrayImpl"):
        lca.update(books, jnp.ones(()))


def test_an_integrator_that_decides_is_refused():
    """Adaptive refinement needs the host; the error says what to pass."""
    lca = lca_jax.functional(lambda p, x: p * x, jnp.ones(()), np.ones(3), integrator=Adaptive())
    books = lca.init(jnp.ones(()))
    with pytest.raises(RuleError, match=r"Fixed\(rule\)"):
        lca.update(jnp.ones(()), books)
