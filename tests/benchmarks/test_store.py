"""What a run file costs over the same record in memory; only reported, disks differ."""

from __future__ import annotations

import pytest

from benchmarks.processes import found_by

CASES = {
    "FC, 10,000 × 784": {"examples": 10_000, "features": 784, "dense": False, "rounds": 3},
    "FC, 1,500 × 64": {"examples": 1_500, "features": 64, "dense": False, "rounds": 7},
    "FC, 10,000 × 784, every parameter": {
        "examples": 10_000, "features": 784, "dense": True, "rounds": 1
    },
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.bench
@pytest.mark.parametrize("name", CASES)
def test_writing_hides_behind_the_gradients(benchmark, noted, name):
    """A run file is nothing that one would wait for."""
    found = benchmark.pedantic(found_by, ("store_process",), CASES[name], rounds=1)
    noted("with path= / in memory", f"torch {name}", **found)
    assert found["ratio"] < 2.0
