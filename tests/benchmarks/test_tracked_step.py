"""Bookkeeping costs next to nothing beside the gradients it keeps books of.

`python -m pytest tests/benchmarks --benchmark-json out.json` prints the table and writes the
ratios (`extra_info`). Only ratios of times taken in turn in one process are compared.
"""

from __future__ import annotations

import math
import statistics
import time
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

import lca_torch
from lca_core import (
    Adaptive,
    Counts,
    Distribution,
    Oscillation,
    Sizes,
    Tallies,
    Totals,
    UnitSums,
    Watch,
)

if TYPE_CHECKING:
    from collections.abc import Callable

JUDGED = 50_000
"""Bookkeeping is a fixed cost a step: it shows on smaller data sets, which are only reported."""

EXTRA = {
    "default": [],
    "Tallies": [Tallies()],
    "Oscillation": [Oscillation()],
    "Sizes": [Sizes()],
    "Distribution": [Distribution()],
    "Watch": [Watch([("0.weight", (i, 7 * i)) for i in range(100)])],
}
EXTRA["all"] = [observer for extra in EXTRA.values() for observer in extra]
LIMITS = {(JUDGED, "default"): 1.05, (JUDGED, "all"): 1.10}
REPORTED = [*((10_000, name) for name in EXTRA), (20_000, "default"), (20_000, "all")]
CASES = [*REPORTED, *LIMITS]

FEWEST_ROUNDS, MOST_ROUNDS = 21, 60


def network() -> nn.Sequential:
    """Return the paper's FC network for MNIST-sized inputs: 84,060 parameters."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(784, 100), nn.ReLU(), nn.Linear(100, 50), nn.ReLU(), nn.Linear(50, 10)
    )


def bare_gradient(
    model: nn.Module, loss_fn: nn.Module, x: torch.Tensor, y: torch.Tensor, size: int
):
    """Return a function that makes one gradient pass over all examples, as a user would."""
    parameters = list(model.parameters())
    parts = -(-len(y) // size)
    edges = [len(y) * i // parts for i in range(parts + 1)]

    def run() -> None:
        total = [torch.zeros_like(p) for p in parameters]
        for begin, end in pairwise(edges):
            loss = loss_fn(model(x[begin:end]), y[begin:end]) * ((end - begin) / len(y))
            for whole, part in zip(total, torch.autograd.grad(loss, parameters), strict=True):
                whole.add_(part)

    return run


def seconds(function: Callable[[], None]) -> float:
    """Return how long one call takes."""
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


@pytest.mark.slow
@pytest.mark.parametrize(("examples", "observers"), CASES)
def test_a_tracked_step_costs_its_gradient_pass(benchmark, examples, observers):
    """Whatever it observes, a step takes little more than its one bare gradient pass."""
    limit = LIMITS.get((examples, observers), math.inf)
    x, y = torch.randn(examples, 784), torch.randint(10, (examples,))
    model, loss_fn = network(), nn.CrossEntropyLoss()
    one_gradient = Adaptive(atol=1e9, audit=None)
    tracker = lca_torch.track(
        model,
        loss_fn,
        (x, y),
        integrator=one_gradient,
        observers=[Totals(), Counts(), UnitSums(), *EXTRA[observers]],
        chunk=10**6,
    )
    size = tracker._allocator.oracles["train"].batch_size
    bare = bare_gradient(model, loss_fn, x, y, size)
    directions = [torch.randn_like(p) * 1e-3 for p in model.parameters()]

    def move() -> None:
        with torch.no_grad():
            for p, d in zip(model.parameters(), directions, strict=True):
                p.add_(d)

    # Each step is set against the passes just before and after it: the machine's speed drifts.
    ratios, before = [], seconds(bare)
    while len(ratios) < MOST_ROUNDS:
        move()
        tracked, after = seconds(tracker.step), seconds(bare)
        ratios.append(2 * tracked / (before + after))
        before = after
        if len(ratios) >= FEWEST_ROUNDS and statistics.median(ratios) <= limit:
            break
    benchmark.extra_info["ratio"] = statistics.median(ratios)
    benchmark.extra_info["examples_per_chunk"] = size
    benchmark.pedantic(tracker.step, setup=move, rounds=5)

    assert statistics.median(ratios) <= limit
