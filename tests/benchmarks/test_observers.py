"""What observers add, and what is seen of bookkeeping on small data sets; only reported."""

from __future__ import annotations

import pytest

from benchmarks.steps import measured_step

OBSERVED = ["default", "Tallies", "Oscillation", "Sizes", "Distribution", "Watch", "all"]
CASES = [
    *(("torch", 10_000, way) for way in OBSERVED),
    ("torch", 10_000, "by hand"),
    *(("torch", 20_000, way) for way in ("default", "all")),
    *((backend, 10_000, "default") for backend in ("keras", "jax")),
]


@pytest.mark.slow
@pytest.mark.bench
@pytest.mark.parametrize(("backend", "examples", "way"), CASES)
def test_it_stays_a_fraction_of_a_gradient(benchmark, noted, backend, examples, way):
    """Even at 10,000 examples, 25 ms a gradient, nobody waits twice as long for all observers."""
    case = {"way": way, "examples": examples, "asked": 1.05 if way == "default" else 1.10}
    assert measured_step(benchmark, noted, backend, "fc", **case) < 2.0
