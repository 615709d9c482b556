"""A plan in a JAX loop."""

import jax.numpy as jnp
import numpy as np

import lca_jax

X = np.random.default_rng(0).standard_normal((200, 4)).astype(np.float32)
Y = X @ np.arange(4.0, dtype=np.float32)


def loss_fn(params, batch):
    """Return squared errors."""
    x, y = batch
    return (x @ params["w"] - y) ** 2


def walked(*, plans):
    """Return the run of three steps, and the plan."""
    plan = None
    with lca_jax.track(loss_fn, {"w": jnp.zeros(4)}, (X, Y)) as tracker:
        for t in range(3):
            tracker.step({"w": 0.1 * (t + 1) * jnp.arange(4.0)})
            if plans and t == 1:
                plan = tracker.plan(training_seconds=0.001)
    return tracker.run, plan


def test_the_record_is_bit_for_bit_the_same():
    """A plan amid the steps measures all examples and a probe, and changes no row."""
    (run, plan), (other, _) = walked(plans=True), walked(plans=False)
    assert {"all", "probe"} <= {row.kind for row in plan.rows}
    assert all(row.factor > 1.0 for row in plan.rows)
    for name, rows in other.rows.items():
        np.testing.assert_array_equal(run.rows[name], rows, err_msg=name)
