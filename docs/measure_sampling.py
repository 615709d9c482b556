"""Measure what redrawn probes know and cost; prints the tables of docs/sampling.md.

    python docs/measure_sampling.py               # errors and coverage, about 20 minutes
    python docs/measure_sampling.py --cost        # time, relative to training; needs PyTorch

Errors: the paper's network on the bundled digits (1,500 examples), SGD with momentum 0.9, learning
rate 0.01, batch 100, 100 steps, in float64; the truth is the exact measure on the same steps. Cost:
784-100-50-10 on made-up data, batch 250, one thread.
"""

from __future__ import annotations

import argparse
import statistics
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from lca_core import Redrawn, Redraws
from lca_core.datasets import digits
from lca_core.redraws import MeanOf
from lca_core.reference import NumpyOps, Perceptron, track

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lca_core import Run

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


def walked(oracle: Any, points: Sequence[Leaves]) -> Run:
    """Return the run along these points."""
    layout = problem(np.zeros((1, 64)), np.zeros(1, int)).layout
    with track({"train": oracle}, points[0], layout, observers=[]) as tracker:
        for point in points[1:]:
            tracker.step(point)
    return tracker.run


def totals(run: Run, by: str) -> np.ndarray:
    """Return what every group was allocated over the run."""
    return np.asarray(run.allocation("train", by).values.sum(axis=0))


def errors(run: Run, by: str) -> np.ndarray:
    """Return one standard error of the totals."""
    return np.asarray(np.sqrt((run.standard_error("train", by).values ** 2).sum(axis=0)))


def accuracy(steps: int, repetitions: int) -> None:
    """Print relative standard errors and coverage of every kind of probe."""
    data = digits().train
    x, y = data.inputs.reshape(len(data.labels), -1).astype(float), data.labels
    points = iterates(x, y, steps)
    exact = walked(problem(x, y), points)
    _print_row("probe", *exact.layout.labels("layer"), "kernels", "biases", "covered", "fewest")
    _print_row(*["---"] * 8)

    def pick(places: np.ndarray) -> MeanOf:
        return MeanOf([problem(x[row], y[row]) for row in places], NumpyOps())

    for n, subsamples, stratified in PROBES:
        relative: dict[str, list[np.ndarray]] = {"layer": [], "leaf": []}
        within: list[np.ndarray] = []
        for seed in range(repetitions):
            by = y if stratified else None
            probe = Redrawn((x, y), n, subsamples=subsamples, seed=seed, by=by)
            run = walked(Redraws.of(probe, len(y), pick, 2.0**-52), points)
            inside = []
            for group, found in relative.items():
                truth, error = totals(exact, group), errors(run, group)
                found.append(error / np.abs(truth))
                inside.append(np.abs(totals(run, group) - truth) <= 1.96 * error)
            within.append(np.concatenate(inside))
        layers = np.mean(relative["layer"], axis=0)
        leaves = np.mean(relative["leaf"], axis=0)
        kernels = np.array([name.endswith("weight") for name in exact.layout.names])
        covered = np.mean(within, axis=0)
        kind = f"{n} in {subsamples}{', by class' if stratified else ''}"
        _print_row(kind, *(f"{100 * one:.1f} %" for one in layers),
                   _range(leaves[kernels]), _range(leaves[~kernels]),
                   f"{100 * covered.mean():.1f} %", f"{100 * covered.min():.0f} %")  # fmt: skip


def cost() -> None:
    """Print time a step relative to training alone, medians of alternating repetitions."""
    import torch
    from torch import nn

    import lca_torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    n, batch, steps = 20_000, 250, 60
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
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--repetitions", type=int, default=200)
    parser.add_argument("--cost", action="store_true", help="time instead of errors")
    chosen = parser.parse_args()
    if chosen.cost:
        cost()
    else:
        accuracy(chosen.steps, chosen.repetitions)
