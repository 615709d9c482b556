"""Sharded leaves and data on four devices, run by `test_precision`."""

from __future__ import annotations

import itertools
from contextlib import nullcontext

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import lca_jax
from lca_core import TRAPEZOID, Counts, Fixed, Totals, UnitSums, Watch
from lca_core.observers import EXTRA_OBSERVERS

EXTRA = [observer() for observer in EXTRA_OBSERVERS.values()]

rng = np.random.default_rng(0)
x, y = rng.standard_normal((2, 104, 12)).astype(np.float32)
y = y[:, 0]
first = {
    "w": 0.3 * rng.standard_normal((12, 8)).astype(np.float32),
    "b": np.ones(8, np.float32),
    "c": np.ones(3, np.float32),
}


def loss_fn(params, batch):
    """Return a loss of every example; hidden units may be spread over the devices."""
    x, y = batch
    hidden = jnp.tanh(x @ params["w"] + params["b"])
    return (hidden**2).sum(-1) - y * hidden.mean(-1) + (params["c"] ** 2).sum()


def follow(params, data):
    """Return the run, the last snapshot, and the data on the devices."""
    tracker = lca_jax.track(
        loss_fn,
        params,
        data,
        batch_size=40,
        integrator=Fixed(TRAPEZOID),
        observers=[Totals(), Counts(), UnitSums(), *EXTRA, Watch([("w", (11, 7)), ("b", (1,))])],
    )
    for _ in range(2):
        params = jax.tree.map(lambda leaf: 0.9 * leaf, params)
        tracker.step(params)
    stacks = tracker._allocator.oracles["train"].stacks
    return tracker.finish(), tracker._state.snapshot.params, stacks


def put(mesh, *spec):
    """Return a function that places an array."""
    return lambda array: jax.device_put(array, NamedSharding(mesh, PartitionSpec(*spec)))


def main() -> None:
    """Compare every placement with one device."""
    truth = follow(jax.tree.map(jnp.asarray, first), (x, y))[0]
    kinds = [(AxisType.Auto, False), (AxisType.Explicit, False), (AxisType.Explicit, True)]
    placements = [((None, "d"), None), ((), "d")]
    for (kind, entered), (spec, rows) in itertools.product(kinds, placements):
        mesh = jax.make_mesh((4,), ("d",), axis_types=(kind,))
        with jax.set_mesh(mesh) if entered else nullcontext():
            params = {
                **{k: put(mesh)(v) for k, v in first.items()},
                "w": put(mesh, *spec)(first["w"]),
            }
            data = tuple(put(mesh, rows)(array) for array in (x, y)) if rows else (x, y)
            run, snapshot, stacks = follow(params, data)
            for name, values in truth.rows.items():
                np.testing.assert_allclose(run.rows[name], values, atol=2e-6, err_msg=name)
            np.testing.assert_array_equal(
                run.distribution("train").counts, truth.distribution("train").counts
            )
            for name, values in truth.total("train").items():
                np.testing.assert_allclose(run.total("train")[name], values, atol=2e-6)
            assert snapshot["w"].sharding.is_equivalent_to(params["w"].sharding, 2)
            assert all(len(leaf.sharding.device_set) == 4 for leaf in jax.tree.leaves(stacks))
            assert sum(stack[1].size for stack in stacks) == 104
    print("agrees")  # noqa: T201


if __name__ == "__main__":
    main()
