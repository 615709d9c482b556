"""Trains a network of 20 million parameters, tracked or not, and prints the peak of memory."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from torch import nn

import lca_torch
from lca_core import Adaptive, Counts

WIDTH, EXAMPLES = 3_200, 16
"""Leaves of 41 MB, which the allocator gives back when they are freed, and small activations."""


def status(field: str) -> int:
    """Return bytes that this process holds: VmRSS now, VmHWM at most so far."""
    # `ru_maxrss` of a process would count what its parent held when it was started.
    lines = Path("/proc/self/status").read_text().splitlines()
    (kib,) = [int(line.split()[1]) for line in lines if line.startswith(field)]
    return 1024 * kib


def train(
    steps: int, *, tracked: bool = True, totals: bool = True, audit: int | None = None
) -> dict[str, int]:
    """Train by SGD with momentum; return bytes: of the parameters, held behind it, at the peak.

    Args:
        steps: of the optimizer.
        tracked: whether a tracker is there.
        totals: whether it keeps the default observers, or counts alone.
        audit: 1 to refine every step, None to refine none.
    """
    model = nn.Sequential(
        nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 10)
    )
    optimizer = torch.optim.SGD(model.parameters(), 1e-3, 0.9)
    loss_fn, x, y = nn.CrossEntropyLoss(), torch.randn(EXAMPLES, WIDTH), torch.zeros(EXAMPLES)
    labels = y.long()
    options = {"integrator": Adaptive(atol=1e9, audit=audit), "chunk": 8}
    options |= {} if totals else {"observers": (Counts(),)}
    tracker = lca_torch.track(model, loss_fn, (x, labels), **options) if tracked else None
    for _ in range(steps):
        loss_fn(model(x), labels).backward()
        optimizer.step()
        optimizer.zero_grad()
        if tracker is not None:
            tracker.step()
    return {
        "parameters": sum(p.numel() * p.element_size() for p in model.parameters()),
        "held": status("VmRSS"),
        "peak": status("VmHWM"),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(train(**json.loads(sys.argv[1]))))
