"""What a run file costs over the same record in memory."""

from __future__ import annotations

import pytest

from benchmarks.processes import found_by

LARGE = {"examples": 10_000, "features": 784, "steps": 300, "rounds": 1}
CASES = {
    "FC, 10,000 × 784": {**LARGE, "dense": False},
    "FC, 1,500 × 64": {
        "examples": 1_500, "features": 64, "steps": 4_000, "dense": False, "rounds": 1
    },
    "FC, 10,000 × 784, every parameter": {**LARGE, "dense": True},
}  # fmt: skip
"""Some 12 s and more: a write or two after those at the start."""

ASKED = 1.02


@pytest.mark.slow
@pytest.mark.bench
@pytest.mark.parametrize("name", CASES)
def test_writing_hides_behind_the_gradients(benchmark, noted, name):
    """A run file is nothing that one would wait for."""
    found = benchmark.pedantic(found_by, ("store_process",), CASES[name], rounds=1)
    noted("time / time without writes", f"torch {name}", asked=ASKED, **found)
    assert found["ratio"] <= (1.25 if CASES[name]["dense"] else ASKED)
