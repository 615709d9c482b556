"""Bookkeeping costs next to nothing beside the gradients it keeps books of.

The paper's FC network on 50,000 examples: bookkeeping is a fixed cost a step, so it shows on
smaller data sets. Those, and other networks, are in `test_matrix` and `test_observers`.
"""

from __future__ import annotations

import pytest

from benchmarks.steps import measured_step

CASES = [
    ("torch", "default", 1.05),
    ("torch", "all", 1.10),
    ("keras", "default", 1.05),
    ("jax", "default", 1.05),
    ("jax", "functional", 1.05),
]


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize(("backend", "way", "limit"), CASES)
def test_a_tracked_step_costs_its_gradient_pass(benchmark, noted, backend, way, limit):
    """Whatever it observes, a step takes little more than its one bare gradient pass."""
    assert measured_step(benchmark, noted, backend, "fc", limit=limit, way=way) <= limit
