"""Snapshots belong to the tracker, and nothing is compiled again after the first step."""

from __future__ import annotations

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lca_jax
from lca_core import SIMPSON, Adaptive, Fixed
from lca_core.errors import LeafError

DATA = np.linspace(-1, 1, 11, dtype=np.float32)


def loss_fn(params, x):
    """Fit a line."""
    return (params["w"] * x + params["b"] - 2.0 * x) ** 2


@pytest.mark.parametrize("integrator", [Adaptive(), Fixed(SIMPSON)], ids=["adaptive", "fixed"])
def test_donated_parameters_do_not_reach_into_snapshots(integrator):
    """A train step that donates its parameters gives the run of one that does not."""

    def run(*, donate):
        @jax.jit
        def copied(params):
            return jax.tree.map(lambda p: p * 0.5, params)

        train = jax.jit(copied, donate_argnums=0) if donate else copied
        params = {"w": jnp.full((64,), 1.0), "b": jnp.ones(())}

        def loss(params, x):
            return loss_fn({"w": params["w"].sum(), "b": params["b"]}, x)

        tracker = lca_jax.track(loss, params, DATA, integrator=integrator)
        for _ in range(4):
            before = params
            params = train(params)
            assert before["w"].is_deleted() == donate
            tracker.step(params)
        return tracker.finish()

    kept, donated = run(donate=False), run(donate=True)

    for name, values in kept.rows.items():
        np.testing.assert_array_equal(donated.rows[name], values, err_msg=name)


def test_the_last_step_may_be_donated_before_its_segment_closes():
    """With every=2, training that goes on unseen neither breaks the end nor moves its loss."""
    train = jax.jit(lambda p: jax.tree.map(lambda x: 0.5 * x, p), donate_argnums=0)
    params = {"w": jnp.ones(()), "b": jnp.zeros(())}
    with lca_jax.track(loss_fn, params, DATA, every=2) as tracker:
        for _ in range(3):
            params = train(params)
            tracker.step(params)
        seen = params
        train(params)
        assert seen["w"].is_deleted()

    assert tracker.run.iteration.tolist() == [0, 2, 3]
    exact = np.mean((np.array([[1.0], [0.25], [0.125]]) - 2.0) ** 2 * DATA**2, axis=1)
    np.testing.assert_allclose(tracker.run.loss("train"), exact, rtol=1e-6)


def test_the_users_arrays_stay_as_they_are():
    """Tracking neither deletes nor moves what it is given."""
    params = {"w": jnp.ones(()), "b": jnp.zeros(())}
    tracker = lca_jax.track(loss_fn, params, DATA)
    tracker.step(params)
    held = tracker._state.snapshot.params["w"]
    params["w"].delete()

    assert float(held) == 1.0
    assert not params["b"].is_deleted()


def test_parameters_that_were_donated_are_missed_by_name():
    """A step with what went into the training step says so, and leaves the record alone."""
    params = {"w": jnp.ones(()), "b": jnp.zeros(())}
    tracker = lca_jax.track(loss_fn, params, DATA)
    moved = jax.jit(lambda p: jax.tree.map(lambda x: x + 1, p), donate_argnums=0)(params)
    with pytest.raises(LeafError, match=r"donated, and are gone: \['b', 'w'\]"):
        tracker.step(params)
    tracker.step(moved)
    assert tracker.finish().steps == 1


def test_a_step_inside_of_a_compiled_function_names_the_way_out():
    """Parameters have no values there; `functional` is for that."""
    params = {"w": jnp.ones(()), "b": jnp.zeros(())}
    tracker = lca_jax.track(loss_fn, params, DATA)

    @jax.jit
    def train(params):
        tracker.step(params)
        return params

    with pytest.raises(LeafError, match=r"inside of a compiled function.*functional"):
        train(params)


def test_nothing_is_compiled_after_the_first_step():
    """The loss is traced in the first step for the last time, audits and refinements included."""
    traces = []

    def counted(params, x):
        traces.append(1)
        return loss_fn(params, x) ** 2

    params = {"w": jnp.ones(()), "b": jnp.ones(())}
    tracker = lca_jax.track(counted, params, DATA, integrator=Adaptive(audit=1))
    train = jax.jit(lambda p: jax.tree.map(lambda x: 0.9 * x, p))
    params = train(params)
    tracker.step(params)
    seen = len(traces)
    for _ in range(6):
        params = train(params)
        tracker.step(params)
    run = tracker.finish()

    assert len(traces) == seen
    assert run.evaluations("train").min() >= 2


def test_nothing_warns_about_float64():
    """Without x64 no step asks for a type that JAX would then take away."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tracker = lca_jax.track(loss_fn, {"w": jnp.ones(()), "b": jnp.ones(())}, DATA)
        tracker.step({"w": jnp.zeros(()), "b": jnp.ones(())})
        tracker.step({"w": jnp.zeros(()), "b": jnp.ones(())})
        run = tracker.finish()

    assert run.steps == 2
    assert jnp.ones(1, float).dtype == jnp.float32
