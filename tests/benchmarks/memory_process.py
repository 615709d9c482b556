"""Trains a network of 20 million parameters, tracked or not, and prints the peak of memory."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from torch import nn

import lca_torch
from lca_core import Adaptive

WIDTH, EXAMPLES = 3_200, 64
"""Leaves of 41 MB, which the allocator gives back when they are freed, and small activations."""


def peak() -> int:
    """Return the most bytes that this process has held so far."""
    # `ru_maxrss` of a process would count what its parent held when it was started.
    status = Path("/proc/self/status").read_text().splitlines()
    (kib,) = [int(line.split()[1]) for line in status if line.startswith("VmHWM")]
    return 1024 * kib


def train(steps: int, *, tracked: bool) -> int:
    """Train by SGD with momentum, and return the bytes of the parameters."""
    model = nn.Sequential(
        nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 10)
    )
    optimizer = torch.optim.SGD(model.parameters(), 1e-3, 0.9)
    loss_fn, x, y = nn.CrossEntropyLoss(), torch.randn(EXAMPLES, WIDTH), torch.zeros(EXAMPLES)
    labels = y.long()
    integrator = Adaptive(audit=2)
    options = {"integrator": integrator, "chunk": 8}
    tracker = lca_torch.track(model, loss_fn, (x, labels), **options) if tracked else None
    for _ in range(steps):
        loss_fn(model(x), labels).backward()
        optimizer.step()
        optimizer.zero_grad()
        if tracker is not None:
            tracker.step()
    return sum(p.numel() * p.element_size() for p in model.parameters())


if __name__ == "__main__":
    case = json.loads(sys.argv[1])
    parameters = train(case["steps"], tracked=case["tracked"])
    sys.stdout.write(json.dumps({"parameters": parameters, "peak": peak()}))
