"""One tracked step against one bare gradient pass, measured and noted."""

from __future__ import annotations

from typing import Any

from benchmarks.processes import found_by

WHAT = "tracked step / bare gradient pass"
ASKED = 1.02
"""On a CPU; other work on the machine adds to it, so tests fail later."""


def measured_step(
    benchmark: Any, noted: Any, backend: str, network: str, asked: float = ASKED, **case: Any
) -> float:
    """Measure in a process, note the median ratio, and return that of the fastest calls.

    Args:
        benchmark: the fixture.
        noted: the fixture.
        backend: torch, keras or jax.
        network: one of `work.EXAMPLES`.
        asked: the ratio that would be good.
        case: `examples`, by default the network's own; `way`, observers or form; `budget`.
    """
    case = {"way": "default", "examples": 0, "budget": 8.0, **case}
    named = {"backend": backend, "network": network, **case}
    found = benchmark.pedantic(found_by, ("step_process",), named, rounds=1)
    where = f"{backend} {network} {case['way']} {case['examples'] or ''}".strip()
    noted(WHAT, where, asked=asked, **found)
    return found["best"]
