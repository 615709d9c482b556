"""Four times the work takes four times the time: in examples, in steps, in parameters."""

from __future__ import annotations

import pytest

from benchmarks.processes import found_by

LIMIT = 1.25
"""Of t(4n) / 4 t(n); other work on the machine, and a cache that no longer fits, take some."""


@pytest.mark.slow
@pytest.mark.bench
@pytest.mark.parametrize("of", ["examples", "steps", "parameters"])
def test_it_is_linear(benchmark, noted, of):
    """Nothing grows faster than the work."""
    case = {"of": of}
    found = benchmark.pedantic(found_by, ("scaling_process",), case, rounds=1)
    for name, grown in zip(("t(4n) / 4 t(n)", "t(16n) / 4 t(4n)"), found["grown"], strict=True):
        noted(name, f"torch, n {of}", grown, LIMIT)
    assert max(found["grown"]) <= LIMIT
