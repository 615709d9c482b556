"""Measures one tracked step in a process of its own: `python -m benchmarks.step_process CASE`."""

from __future__ import annotations

import importlib
import json
import sys

from benchmarks.ratio import in_turn
from benchmarks.work import Work

if __name__ == "__main__":
    case = json.loads(sys.argv[1])
    backend = importlib.import_module(f"benchmarks.on_{case['backend']}")
    ready = backend.WAYS[case["way"]](Work(case["network"], case["examples"]))
    found = in_turn(ready.bare, ready.step, before=ready.move, budget=case["budget"])
    sys.stdout.write(
        json.dumps({**found._asdict(), "parameters": ready.parameters, "chunk": ready.chunk})
    )
