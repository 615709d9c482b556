"""A tracked float64 network, run with x64 on by `test_precision`."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

import lca_jax
from lca_core import Adaptive
from lca_core.reference import Perceptron
from lca_core.reference import track as track_numpy

rng = np.random.default_rng(0)
x, y = rng.standard_normal((53, 6)), rng.integers(3, size=53)
problem = Perceptron(x, y, (6, 5, 3), "tanh")
points = [problem.initial(0)]
for _ in range(3):
    points.append({k: v + 0.1 * rng.standard_normal(v.shape) for k, v in points[-1].items()})


def loss_fn(params, batch):
    """Return the cross-entropy of every example."""
    x, y = batch
    hidden = jnp.tanh(x @ params["fc1.weight"].T + params["fc1.bias"])
    logits = hidden @ params["fc2.weight"].T + params["fc2.bias"]
    return jax.nn.logsumexp(logits, -1) - jnp.take_along_axis(logits, y[:, None], 1)[:, 0]


def main() -> None:
    """Compare with numpy."""
    integrator = Adaptive(rtol=1e-6, atol=0.0)
    with track_numpy({"train": problem}, points[0], problem.layout, integrator=integrator) as truth:
        for point in points[1:]:
            truth.step(point)
    params = jax.tree.map(jnp.asarray, points[0])
    with lca_jax.track(loss_fn, params, (x, y), integrator=integrator, batch_size=27) as tracker:
        for point in points[1:]:
            tracker.step(jax.tree.map(jnp.asarray, point))

    expected, run = truth.run, tracker.run
    np.testing.assert_allclose(run.loss("train"), expected.loss("train"), rtol=1e-12)
    np.testing.assert_array_equal(run.rows["evaluations"], expected.rows["evaluations"])
    for name, values in expected.total("train").items():
        np.testing.assert_allclose(run.total("train")[name], values, atol=1e-12)
    assert {leaf.dtype for leaf in run.layout.leaves} == {"float64"}
    print("agrees")  # noqa: T201


if __name__ == "__main__":
    main()
