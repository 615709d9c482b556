"""A tracked step costs its gradient pass on every backend, whatever the network."""

from __future__ import annotations

import pytest

from benchmarks.steps import measured_step
from benchmarks.work import EXAMPLES

LIMIT = 1.05
NETWORKS = [name for name in EXAMPLES if name != "fc"]
CASES = [(backend, network) for backend in ("torch", "keras", "jax") for network in NETWORKS]


@pytest.mark.slow
@pytest.mark.bench
@pytest.mark.parametrize(("backend", "network"), CASES)
def test_a_tracked_step_costs_its_gradient_pass(benchmark, noted, backend, network):
    """Nothing is tuned to the network that the others are measured on."""
    assert measured_step(benchmark, noted, backend, network, limit=LIMIT) <= LIMIT
