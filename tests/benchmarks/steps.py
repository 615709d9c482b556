"""One tracked step against one bare gradient pass, measured and noted."""

from __future__ import annotations

import math
from typing import Any

from benchmarks.processes import found_by

WHAT = "tracked step / bare gradient pass"


def measured_step(
    benchmark: Any, noted: Any, backend: str, network: str, limit: float = math.inf, **case: Any
) -> float:
    """Measure in a process, note, and return the ratio.

    Args:
        benchmark: the fixture.
        noted: the fixture.
        backend: torch, keras or jax.
        network: one of `work.EXAMPLES`.
        limit: what the test asks for.
        case: `examples`, by default the network's own; `way`, observers or form; `budget`.
    """
    case = {"way": "default", "examples": 0, "budget": 12.0, **case}
    named = {"backend": backend, "network": network, **case}
    found = benchmark.pedantic(found_by, ("step_process",), named, rounds=1)
    where = f"{backend} {network} {case['way']} {case['examples'] or ''}".strip()
    noted(WHAT, where, limit=limit, **found)
    return found["ratio"]
