"""Measure what redrawn probes know and cost; prints the tables of docs/sampling.md.

    python docs/measure_sampling.py               # errors and coverage, two minutes
    python docs/measure_sampling.py --cost        # time, relative to training; needs PyTorch

Errors: the paper's network on the bundled digits (1,500 examples), SGD with momentum 0.9, learning
rate 0.01, batch 100, 200 steps, in float64. Every example's share of every leaf's allocation is
computed once, by forward differentiation and the trapezoid rule; then a probe is a draw of rows, as
`Redrawn` draws them, and the truth is the mean of all. (That a run finds on its samples what such
rows say is tested.) Cost: 784-100-50-10 on made-up data, batch 250, one thread.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from lca_core import FixedProbe, Redrawn
from lca_core.datasets import digits
from lca_core.probes import lots
from lca_core.reference import Perceptron

if TYPE_CHECKING:
    from collections.abc import Iterator

WIDTHS = (64, 100, 50, 10)
BATCH, RATE, MOMENTUM = 100, 0.01, 0.9
PROBES = [(50, 2, False), (50, 5, False), (50, 5, True), (250, 2, False), (250, 5, False),
          (250, 5, True)]  # fmt: skip
"""Examples a step, subsamples, stratified by class."""

Leaves = dict[str, np.ndarray]


def problem(x: np.ndarray, y: np.ndarray) -> Perceptron:
    """Return the loss over some examples."""
    return Perceptron(x, y, WIDTHS, "relu")


def iterates(x: np.ndarray, y: np.ndarray, steps: int) -> list[Leaves]:
    """Return θ_0, θ_1, ... of the training."""
    rng = np.random.default_rng(0)
    points = [problem(x, y).initial(0)]
    velocity = {name: np.zeros_like(leaf) for name, leaf in points[0].items()}
    for _ in range(steps):
        batch = rng.choice(len(y), BATCH, replace=False)
        gradient = problem(x[batch], y[batch])(points[-1], {}).gradient
        velocity = {k: MOMENTUM * v + np.asarray(gradient[k]) for k, v in velocity.items()}
        points.append({k: leaf - RATE * velocity[k] for k, leaf in points[-1].items()})
    return points


def slopes(points: Leaves, along: Leaves, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return every example's gradient · along of every leaf, shape (examples, leaves)."""
    layers = range(1, len(WIDTHS))
    inputs, alive = [x], []
    for i in layers:
        z = inputs[-1] @ points[f"fc{i}.weight"].T + points[f"fc{i}.bias"]
        alive.append(z > 0 if i < layers[-1] else np.ones_like(z))
        inputs.append(z * alive[-1])
    odds = np.exp(inputs[-1] - inputs[-1].max(axis=1, keepdims=True))
    upstream = odds / odds.sum(axis=1, keepdims=True) - np.eye(WIDTHS[-1])[y]
    columns = {}
    for i in layers:
        tangents = {
            f"fc{i}.weight": inputs[i - 1] @ along[f"fc{i}.weight"].T,
            f"fc{i}.bias": np.broadcast_to(along[f"fc{i}.bias"], inputs[i].shape),
        }
        for name, first in tangents.items():
            tangent = first * alive[i - 1]
            for later in range(i + 1, layers[-1] + 1):
                tangent = tangent @ points[f"fc{later}.weight"].T * alive[later - 1]
            columns[name] = (upstream * tangent).sum(axis=1)
    return np.stack([columns[name] for name in points], axis=1)


def shares(points: list[Leaves], x: np.ndarray, y: np.ndarray) -> Iterator[np.ndarray]:
    """Yield every step's allocation by example and leaf; their mean is the exact one."""
    for start, end in itertools.pairwise(points):
        along = {name: end[name] - leaf for name, leaf in start.items()}
        yield 0.5 * (slopes(start, along, x, y) + slopes(end, along, x, y))


def accuracy(steps: int, repetitions: int) -> None:
    """Print relative standard errors and coverage of every kind of probe."""
    data = digits().train
    x, y = data.inputs.reshape(len(data.labels), -1).astype(float), data.labels
    layout = problem(x, y).layout
    by_step = np.array(list(shares(iterates(x, y, steps), x, y)))
    groups = np.eye(len(layout.leaves))
    groups = np.concatenate([groups, layout.group(groups, "layer")], axis=1)
    truth = by_step.mean(axis=1).sum(axis=0) @ groups
    kernels = np.array([name.endswith("weight") for name in layout.names])
    leaves, layers = slice(len(kernels)), slice(len(kernels), None)
    _print_row("probe", *layout.labels("layer"), "kernels", "biases", "covered", "fewest")
    _print_row(*["---"] * 8)
    for n, subsamples, stratified in PROBES:
        relative, within = [], []
        for seed in range(repetitions):
            probe = Redrawn(y, n, subsamples=subsamples, seed=seed, by=y if stratified else None)
            drawing = lots(probe, len(y))
            parts = np.array([one[drawing.at(t)].mean(axis=1) for t, one in enumerate(by_step)])
            parts = parts @ groups  # (steps, subsamples, groups)
            squares = parts.var(axis=1, ddof=1).sum(axis=0) / subsamples * (1 - n / len(y))
            error = np.sqrt(squares)
            relative.append(error / np.abs(truth))
            within.append(np.abs(parts.mean(axis=1).sum(axis=0) - truth) <= 1.96 * error)
        mean, covered = np.mean(relative, axis=0), np.mean(within, axis=0)
        kind = f"{n} in {subsamples}{', by class' if stratified else ''}"
        _print_row(kind, *(f"{100 * one:.1f} %" for one in mean[layers]),
                   _range(mean[leaves][kernels]), _range(mean[leaves][~kernels]),
                   f"{100 * covered.mean():.1f} %", f"{100 * covered.min():.1f} %")  # fmt: skip


def cost() -> None:
    """Print time a step relative to training alone, medians of alternating repetitions."""
    import torch
    from torch import nn

    import lca_torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    n, batch, steps = 20_000, 250, 30
    x = torch.randn(n, 784)
    y = (x[:, :10] + torch.randn(n, 10)).argmax(dim=1)
    loss_fn = nn.CrossEntropyLoss()

    def seconds(probe: Any, every: int) -> float:
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Linear(784, 100), nn.ReLU(), nn.Linear(100, 50), nn.ReLU(), nn.Linear(50, 10)
        )
        optimizer = torch.optim.SGD(model.parameters(), 0.01, 0.9)
        tracker = lca_torch.track(model, loss_fn, probe, every=every) if probe else None
        for t in range(steps + 8):
            if t == 8:
                begin = time.perf_counter()
            places = torch.randint(n, (batch,))
            loss_fn(model(x[places]), y[places]).backward()
            optimizer.step()
            optimizer.zero_grad()
            if tracker:
                tracker.step()
        return time.perf_counter() - begin

    redrawn = partial(Redrawn, (x, y))
    rows: dict[str, tuple[Any, int]] = {"training alone": (None, 1)}
    for size in (50, 100, 250):
        for every in (1, 4, 10):
            rows[f"{size} examples, every={every}"] = (redrawn(size), every)
    rows["250 examples in 2, every=1"] = (redrawn(250, subsamples=2), 1)
    rows["250 examples, fixed"] = (FixedProbe((x, y), 250), 1)
    taken: dict[str, list[float]] = {name: [] for name in rows}
    for _ in range(5):
        for name, (probe, every) in rows.items():
            taken[name].append(seconds(probe, every))
    alone = taken["training alone"]
    _print_row("probe", "time / training")
    _print_row("---", "---")
    for name, found in taken.items():
        ratios = [one / other for one, other in zip(found, alone, strict=True)]
        _print_row(name, f"{statistics.median(ratios):.1f}")


def _range(values: np.ndarray) -> str:
    return f"{100 * values.min():.0f}-{100 * values.max():.0f} %"


def _print_row(*cells: str) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--repetitions", type=int, default=200)
    parser.add_argument("--cost", action="store_true", help="time instead of errors")
    chosen = parser.parse_args()
    if chosen.cost:
        cost()
    else:
        accuracy(chosen.steps, chosen.repetitions)
