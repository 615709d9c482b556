"""Times tracked work at three sizes, each four times the one before, and prints the ratios."""

from __future__ import annotations

import json
import statistics
import sys
from typing import TYPE_CHECKING

import torch
from torch import nn

import lca_torch
from benchmarks.ratio import seconds
from lca_core import Adaptive

if TYPE_CHECKING:
    from collections.abc import Callable

SIZES = {
    "examples": [(4_000, 512, 4), (16_000, 512, 4), (64_000, 512, 4)],
    "steps": [(4_000, 512, 4), (4_000, 512, 16), (4_000, 512, 64)],
    "parameters": [(4_000, 256, 4), (4_000, 512, 4), (4_000, 1_024, 4)],
}
"""What grows -> three of (examples, width, steps); parameters grow as the square of the width."""
ROUNDS = 5


def work(examples: int, width: int, steps: int) -> Callable[[], None]:
    """Return tracked steps of a network of three layers of one width."""
    model = nn.Sequential(
        nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(),
        nn.Linear(width, width),
    )  # fmt: skip
    data = torch.randn(examples, width), torch.randint(width, (examples,))
    integrator = Adaptive(atol=1e9, audit=None)
    tracker = lca_torch.track(
        model, nn.CrossEntropyLoss(), data, integrator=integrator, chunk=10**6
    )
    directions = [torch.randn_like(p) for p in model.parameters()]

    def run() -> None:
        for _ in range(steps):
            with torch.no_grad():
                torch._foreach_add_(list(model.parameters()), directions, alpha=1e-4)
            tracker.step()

    return run


if __name__ == "__main__":
    case = json.loads(sys.argv[1])
    works = [work(*size) for size in SIZES[case["of"]]]
    for one in works:
        one()
    times = [[seconds(one) for one in works] for _ in range(ROUNDS)]
    grown = [statistics.median(t[i + 1] / t[i] / 4 for t in times) for i in (0, 1)]
    sys.stdout.write(json.dumps({"grown": grown, "seconds": times[-1]}))
