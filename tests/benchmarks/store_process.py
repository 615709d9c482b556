"""Tracks the same steps in memory and into a run file, in turn, and prints what writing costs."""

from __future__ import annotations

import json
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

import torch
from torch import nn

import lca_torch
from benchmarks.ratio import seconds
from lca_core import Adaptive, Dense, default_observers

STEPS = 128
"""Two chunks of the default length."""


def timed(case: dict, path: Path | None) -> float:
    """Return the seconds of all steps and of `finish`; making the tracker is left out."""
    torch.manual_seed(0)
    features, examples = case["features"], case["examples"]
    x, y = torch.randn(examples, features), torch.randint(10, (examples,))
    model = nn.Sequential(
        nn.Linear(features, 100), nn.ReLU(), nn.Linear(100, 50), nn.ReLU(), nn.Linear(50, 10)
    )
    loss_fn, directions = nn.CrossEntropyLoss(), [torch.randn_like(p) for p in model.parameters()]
    layout = lca_torch.track(model, loss_fn, (x[:2], y[:2])).layout
    observers = [*default_observers(layout), *([Dense()] if case["dense"] else [])]
    integrator = Adaptive(atol=1e9, audit=None)
    options = {"integrator": integrator, "observers": observers, "path": path}
    tracker = lca_torch.track(model, loss_fn, (x, y), **options)

    def steps() -> None:
        for _ in range(STEPS):
            with torch.no_grad():
                torch._foreach_add_(list(model.parameters()), directions, alpha=1e-3)
            tracker.step()
        tracker.finish()

    return seconds(steps)


def ratio(case: dict) -> dict[str, float]:
    """Return the median ratio of a run with a file to the runs in memory around it."""
    ratios, before = [], timed(case, None)
    for _ in range(case["rounds"]):
        folder = Path(tempfile.mkdtemp())
        written = timed(case, folder / "run.zarr")
        shutil.rmtree(folder)
        after = timed(case, None)
        ratios.append(2 * written / (before + after))
        before = after
    return {
        "ratio": statistics.median(ratios),
        "low": min(ratios),
        "high": max(ratios),
        "seconds_a_step": before / STEPS,
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(ratio(json.loads(sys.argv[1]))))
