"""Tracks the same steps in memory and into a run file, in turn, and prints what writing costs."""

from __future__ import annotations

import json
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

import lca_torch
from benchmarks.ratio import seconds
from lca_core import Adaptive, Dense, default_observers
from lca_core.store import ZarrSink

if TYPE_CHECKING:
    from collections.abc import Callable


def timed(case: dict, path: Path | None) -> float:
    """Return the seconds of all steps; making the tracker and the last write are left out."""
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
        for _ in range(case["steps"]):
            with torch.no_grad():
                torch._foreach_add_(list(model.parameters()), directions, alpha=1e-3)
            tracker.step()

    return seconds(steps)


def clocked(method: Callable[..., Any], spent: list[float]) -> Callable[..., Any]:
    """Return a method that also keeps what every call of it took, in seconds."""

    def call(*arguments: Any) -> Any:
        begin = time.perf_counter()
        done = method(*arguments)
        spent.append(time.perf_counter() - begin)
        return done

    return call


def ratio(case: dict) -> dict[str, float]:
    """Return the median ratio of a run with a file to the runs in memory around it.

    With it, since machines wander by more: the ratio by the time spent in writing alone.
    """
    spent: list[float] = []
    for name in ("append", "checkpoint"):
        setattr(ZarrSink, name, clocked(getattr(ZarrSink, name), spent))
    ratios, by_writes, before = [], [], timed(case, None)
    for _ in range(case["rounds"]):
        folder = Path(tempfile.mkdtemp())
        spent.clear()
        written = timed(case, folder / "run.zarr")
        by_writes.append(written / (written - sum(spent)))
        shutil.rmtree(folder)
        after = timed(case, None)
        ratios.append(2 * written / (before + after))
        before = after
    return {
        "ratio": statistics.median(by_writes),
        "end_to_end": statistics.median(ratios),
        "writes": len(spent) / 2,
        "seconds_a_step": before / case["steps"],
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(ratio(json.loads(sys.argv[1]))))
