"""A tracked step costs its gradient pass on every backend, whatever the network."""

from __future__ import annotations

import pytest
from benchmarks.steps import measured_step
from benchmarks.work import EXAMPLES

LIMIT = 1.05


@pytest.mark.slow
@pytest.mark.bench
@pytest.mark.parametrize("network", [name for name in EXAMPLES if name != "fc"])
@pytest.mark.parametrize("backend", ["torch", "keras", "jax"])
def test_a_tracked_step_costs_its_gradient_pass(benchmark, noted, backend, network):
    """Nothing is tuned to the network that the others are measured on."""
    assert measured_step(benchmark, noted, backend, network, LIMIT) <= LIMIT
