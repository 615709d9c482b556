"""One tracked step against one bare gradient pass, measured and noted."""

from __future__ import annotations

import math
from typing import Any

from benchmarks.processes import found_by

WHAT = "tracked step / bare gradient pass"
ASKED = 1.02
"""On a CPU. Tests fail later, by the lower quartile: other work on the machine only ever adds."""

ATTEMPTS = 3


def measured_step(
    benchmark: Any,
    noted: Any,
    backend: str,
    network: str,
    *,
    asked: float = ASKED,
    limit: float = math.inf,
    **case: Any,
) -> float:
    """Measure in a process, note the median ratio, and return the lower quartile.

    Args:
        benchmark: the fixture.
        noted: the fixture.
        backend: torch, keras or jax.
        network: one of `work.EXAMPLES`.
        asked: the ratio that would be good.
        limit: measured again, a few times, where it is not kept.
        case: `examples`, by default the network's own; `way`, observers or form; `budget`.
    """
    case = {"way": "default", "examples": 0, "budget": 8.0, **case}
    named = {"backend": backend, "network": network, **case}

    def measure() -> dict[str, Any]:
        for _ in range(ATTEMPTS):
            found = found_by("step_process", **named)
            if found["low"] <= limit:
                break
        return found

    found = benchmark.pedantic(measure, rounds=1)
    where = f"{backend} {network} {case['way']} {case['examples'] or ''}".strip()
    noted(WHAT, where, asked=asked, **found)
    low: float = found["low"]
    return low
