"""What the commands and the conformance suite ask for is there, natively."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from lca_core.datasets import digits
from lca_core.networks import BatchNorm, Dense, Flatten, NetworkSpec
from lca_jax.adapter import ADAPTER

PARAMS = {
    "b": np.array(0.5, np.float32),
    "a": np.array([1.0, 2.0], np.float32),
    "none": np.zeros((0, 3), np.float32),
}


def squares(leaves, batch):
    """Return losses that use a leaf under two names."""
    return (batch["x"] * leaves["b"] - leaves["twin"]) ** 2


@pytest.fixture
def problem():
    """A live problem with a tied, a 0-d and an empty leaf."""
    data = {"x": np.linspace(0, 1, 9, dtype=np.float32)}
    return ADAPTER.problem(squares, PARAMS, data, tied={"twin": "b"}, batch_size=4)


def test_a_problem_is_live(problem):
    """Assigning moves the parameters by donating the old ones; snapshots stay."""
    before, old = problem.capture(), problem.params["a"]
    problem.assign({"a": np.array([3.0, 4.0])})
    after = problem.capture()

    assert old.is_deleted()
    assert problem.layout.names == ("b", "a", "none")
    assert problem.layout.leaves[0].aliases == ("twin",)
    assert np.asarray(before.params["a"]).tolist() == [1.0, 2.0]
    assert np.asarray(after.params["a"]).tolist() == [3.0, 4.0]
    assert np.asarray(after.params["b"]) == np.float32(0.5)


def test_its_loss_is_the_mean(problem):
    """Loss and gradient are those of the formula, with both names of the tied leaf."""
    point = problem.capture()
    found = problem.oracle(point.params, point.buffers)
    x = np.linspace(0, 1, 9)

    assert float(found.loss) == pytest.approx(np.mean((0.5 * x - 0.5) ** 2), rel=1e-6)
    assert list(found.gradient) == ["b", "a", "none"]
    slope = np.mean(2 * (0.5 * x - 0.5) * (x - 1))
    assert float(found.gradient["b"]) == pytest.approx(slope, rel=1e-5)
    assert np.asarray(found.gradient["a"]).tolist() == [0.0, 0.0]


def test_looking_leaves_no_trace(problem):
    """Evaluating changes neither the live arrays nor JAX's settings."""
    before = problem.traces()
    point = problem.capture()
    problem.oracle(point.params, point.buffers)

    assert problem.traces() == before
    problem.assign({"b": np.array(0.25)})
    assert problem.traces() != before


def test_a_networks_buffers_are_spelled_as_its_snapshot_has_them():
    """Leaves and buffers have the names of `spelling`; in batch-stats mode there are none."""
    spec = NetworkSpec("bn", (8, 8, 1), [Flatten(), Dense(4), BatchNorm(), Dense(10)])
    split, spelled = digits().train.first(50), ADAPTER.spelling(spec)
    for mode in ("eval", "batch-stats"):
        network = ADAPTER.network(spec, spec.initial(0), split, mode=mode, batch_size=50)
        point = network.capture()
        buffers = {spelled[name].name for name in spec.buffers} if mode == "eval" else set()

        assert set(point.buffers) == buffers
        assert list(point.params) == [spelled[name].name for name in spec.layout.names]
        assert np.isfinite(float(network.oracle(point.params, point.buffers).loss))


def test_arrays_are_native():
    """Host arrays come over in their own type, float64 as far as the user has it."""
    assert ADAPTER.array(np.ones(2, np.float32)).dtype == np.float32
    assert ADAPTER.array(np.ones(2)).dtype == jax.numpy.ones(2).dtype
    like = ADAPTER.array(np.ones(2, np.float32))
    assert ADAPTER.ops.from_numpy(np.ones(2), like).dtype == np.float32
