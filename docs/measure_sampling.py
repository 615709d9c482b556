"""Measure what redrawn probes know and cost; prints the tables of docs/sampling.md.

    python docs/measure_sampling.py               # errors and coverage, two minutes
    python docs/measure_sampling.py --segments    # along segments of several steps, a minute
    python docs/measure_sampling.py --cost        # time, relative to training; needs PyTorch
    python docs/measure_sampling.py --data-dir D  # MNIST in D against the exact measure; PyTorch

Errors: the paper's network on the bundled digits (1,500 examples), SGD with momentum 0.9, learning
rate 0.01, batch 100, 200 steps, in float64. Every example's share of every leaf's allocation is
computed once, by forward differentiation and the midpoint rule; then a probe is a draw of rows, as
`Redrawn` draws them, and the truth is the mean of all by Simpson's rule. (That a run finds on its
samples what such rows say is tested.) Cost: a small and a larger network on made-up data, batch
250, one thread.
MNIST: the same network and its training in the article (batch 250, momentum 0.9), the exact measure
and redrawn ones in one run.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from lca_core import MIDPOINT, SIMPSON, FixedProbe, Redrawn, composite
from lca_core.datasets import digits, load_dataset
from lca_core.draws import between_steps, between_subsamples
from lca_core.integration_error import by_own_gaps
from lca_core.probes import Lots, lots
from lca_core.reference import Perceptron
from lca_core.uncertainty import TWO_SIDED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lca_core import Rule

WIDTHS = (64, 100, 50, 10)
BATCH, RATE, MOMENTUM = 100, 0.01, 0.9
PROBES = [
    *[(50, 2, False, 1), (50, 2, True, 1), (50, 5, True, 1), (250, 2, False, 1)],
    *[(250, 5, False, 1), (250, 2, True, 1), (250, 5, True, 1)],
    *[(250, 2, False, 2), (250, 2, False, 5), (250, 2, False, 10)],
]
"""Examples a step, subsamples, stratified by class, one step of how many."""
SEGMENTS, FRESH = (1, 5, 10, 25), 1_000
"""Steps of a segment; examples that are drawn for each."""

Leaves = dict[str, np.ndarray]


def examples() -> tuple[np.ndarray, np.ndarray]:
    """Return the digits, shape (examples, pixels), and their labels."""
    data = digits().train
    return data.inputs.reshape(len(data.labels), -1).astype(float), np.asarray(data.labels)


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


def forward(points: Leaves, x: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return what goes into every layer and out of the last one, and which units are not 0."""
    layers = range(1, len(WIDTHS))
    inputs, alive = [x], list[np.ndarray]()
    for i in layers:
        z = inputs[-1] @ points[f"fc{i}.weight"].T + points[f"fc{i}.bias"]
        alive.append(z > 0 if i < layers[-1] else np.ones_like(z))
        inputs.append(z * alive[-1])
    return inputs, alive


def slopes(points: Leaves, along: Leaves, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return every example's gradient · along of every leaf, shape (examples, leaves)."""
    layers, (inputs, alive) = range(1, len(WIDTHS)), forward(points, x)
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


def losses(points: Leaves, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return every example's loss, shape (examples,)."""
    outputs = forward(points, x)[0][-1]
    below = outputs - outputs.max(axis=1, keepdims=True)
    return np.asarray(np.log(np.exp(below).sum(axis=1)) - below[np.arange(len(y)), y])


def shares(points: list[Leaves], x: np.ndarray, y: np.ndarray, rule: Rule) -> Iterator[np.ndarray]:
    """Yield every step's allocation by example and leaf."""
    for start, end in itertools.pairwise(points):
        along = {name: end[name] - leaf for name, leaf in start.items()}
        places = [{k: leaf + s * along[k] for k, leaf in start.items()} for s in rule.nodes]
        looks = (slopes(place, along, x, y) for place in places)
        yield np.asarray(sum(w * look for w, look in zip(rule.weights, looks, strict=True)))


def accuracy(steps: int, repetitions: int) -> None:
    """Print relative standard errors and coverage of every kind of probe."""
    x, y = examples()
    layout = problem(x, y).layout
    points = iterates(x, y, steps)
    by_step = np.array(list(shares(points, x, y, MIDPOINT)))
    exact = sum(one.mean(axis=0) for one in shares(points, x, y, composite(SIMPSON, 4)))
    groups = np.eye(len(layout.leaves))
    groups = np.concatenate([groups, layout.group(groups, "layer")], axis=1)
    truth = exact @ groups
    kernels = np.array([name.endswith("weight") for name in layout.names])
    leaves, layers = slice(len(kernels)), slice(len(kernels), None)
    _print_row("probe", *layout.labels("layer"), "kernels", "biases", "covered", "fewest")
    _print_row(*["---"] * 8)
    for n, subsamples, stratified, every in PROBES:
        found = []
        for seed in range(repetitions):
            probe = Redrawn(y, n, subsamples=subsamples, seed=seed, by=y if stratified else None,
                            every=every)  # fmt: skip
            found.append(estimated(lots(probe, len(y)), by_step, groups))
        totals, errors = (np.array(values) for values in zip(*found, strict=True))
        mean = (errors / np.abs(truth)).mean(axis=0)
        covered = (np.abs(totals - truth) <= 1.96 * errors).mean(axis=0)
        kind = f"{n} in {subsamples}{', by class' * stratified}{f', every={every}' * (every > 1)}"
        _print_row(kind, *(f"{100 * one:.1f} %" for one in mean[layers]),
                   _range(mean[leaves][kernels]), _range(mean[leaves][~kernels]),
                   f"{100 * covered.mean():.1f} %", f"{100 * covered.min():.1f} %")  # fmt: skip


def along_segments(steps: int, repetitions: int) -> None:
    """Print how far off layers are along segments of several steps, and what their ± cover."""
    x, y = examples()
    layout = problem(x, y).layout
    points, groups = iterates(x, y, steps), layout.group(np.eye(len(layout.leaves)), "layer")
    cells = ("steps", "rule", "off on average", "95 % of sampling", "covered", "error of the rule",
             "covered by both")  # fmt: skip
    _print_row(*cells)
    _print_row(*["---"] * len(cells))
    for every, rule in itertools.product(SEGMENTS, (MIDPOINT, SIMPSON)):
        ends = points[::every]
        truth = sum(one.mean(axis=0) for one in shares(ends, x, y, composite(SIMPSON, 8))) @ groups
        found = through_samples(ends, (x, y), rule, repetitions, groups)
        off, sampled, integrated = found[0] - truth, found[1], found[2]
        shown = [f"{100 * (one / np.abs(truth)).mean():.2f} %"
                 for one in (np.abs(off.mean(axis=0)), sampled.mean(axis=0),
                             integrated.mean(axis=0))]  # fmt: skip
        covered = [f"{100 * (np.abs(off) <= half).mean():.0f} %"
                   for half in (sampled, sampled + integrated)]  # fmt: skip
        own = [shown[2], covered[1]] if rule.nested else ["", ""]
        _print_row(str(every), rule.name, *shown[:2], covered[0], *own)


def through_samples(
    points: list[Leaves],
    data: tuple[np.ndarray, np.ndarray],
    rule: Rule,
    repetitions: int,
    groups: np.ndarray,
) -> np.ndarray:
    """Return sums over the run, the 95 % of sampling and the ± of the rule, as `Run.error` adds.

    Returns:
        Shape (3, repetitions, groups).
    """
    used = np.array(list(shares(points, *data, rule)))
    coarse = np.array(list(shares(points, *data, rule.nested))) if rule.nested else used
    change = np.diff([losses(point, *data) for point in points], axis=0)
    found = []
    for seed in range(repetitions):
        drawing = lots(Redrawn(data, FRESH, seed=seed), used.shape[1])
        total, error = estimated(drawing, used, groups)
        drawn = [drawing.at(t) for t in range(len(used))]
        fine, rough = (
            np.array([one[places].mean(axis=(0, 1)) for one, places in zip(by, drawn, strict=True)])
            for by in (used, coarse)
        )
        changed = [one[places].mean() for one, places in zip(change, drawn, strict=True)]
        gap, among = np.array(changed) - fine.sum(axis=1), np.ones(len(fine), bool)
        own = by_own_gaps((fine - rough) @ groups, gap, among)
        found.append((total, TWO_SIDED * error, own))
    return np.array(found).swapaxes(0, 1)


def estimated(
    drawing: Lots, by_step: np.ndarray, groups: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return sums over the run and their standard errors, as `Run.standard_error` finds them.

    Args:
        drawing: of the examples.
        by_step: every example's allocation, shape (steps, examples, leaves).
        groups: leaves -> groups, shape (leaves, groups).
    """
    looked = [t for t in range(len(by_step)) if drawing.looks_at(t)]
    parts = drawing.every * np.array(
        [by_step[t][drawing.at(t)].mean(axis=1) @ groups for t in looked]
    )
    values = parts.mean(axis=1)
    if drawing.every > 1:
        errors = between_steps(values, np.arange(len(values)))
    else:
        errors = between_subsamples(parts, 1 - drawing.n / drawing.examples)
    return values.sum(axis=0), np.sqrt((errors**2).sum(axis=0))


def cost() -> dict[str, dict[str, float]]:
    """Return network -> probe -> time / time of training alone, medians of repetitions in turn."""
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    x = torch.randn(20_000, 784)
    data = x, (x[:, :10] + torch.randn(len(x), 10)).argmax(dim=1)
    redrawn = partial(Redrawn, data)
    rows: dict[str, Any] = {"250": redrawn(250)}
    rows |= {f"250, every={k}": redrawn(250, every=k) for k in (2, 5, 10)}
    rows["100"] = redrawn(100)
    rows["250 in 5"] = redrawn(250, subsamples=5)
    rows["250, fixed"] = FixedProbe(data, 250)
    cases = {"784-100-50-10": ((100, 50), 200, 7), "784-2000-2000-10": ((2000, 2000), 20, 3)}
    return {name: ratios(rows, data, *case) for name, case in cases.items()}


def print_costs(costs: dict[str, dict[str, float]]) -> None:
    """Print what `cost` returns as a table."""
    _print_row("time / training", *costs)
    _print_row(*["---"] * (1 + len(costs)))
    for probe in next(iter(costs.values())):
        _print_row(probe, *(f"{column[probe]:.1f}" for column in costs.values()))


def ratios(
    probes: dict[str, Any], data: Any, widths: tuple[int, int], steps: int, rounds: int
) -> dict[str, float]:
    """Return, by name of the probe, the median of the times of training with it / alone."""
    kinds = {"alone": None, **probes}
    taken: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(rounds):
        for name, probe in kinds.items():
            taken[name].append(seconds(probe, data, widths, steps))
    pairs = {name: zip(taken[name], taken["alone"], strict=True) for name in probes}
    return {name: statistics.median(a / b for a, b in pair) for name, pair in pairs.items()}


def network(first: int, second: int) -> Any:
    """Return a network of MNIST-sized inputs with two hidden layers of these widths."""
    from torch import nn

    return nn.Sequential(
        nn.Linear(784, first), nn.ReLU(), nn.Linear(first, second), nn.ReLU(), nn.Linear(second, 10)
    )


def seconds(probe: Any, data: Any, widths: tuple[int, int], steps: int) -> float:
    """Return the time of some steps of a training, measured through a probe or not at all."""
    import torch
    from torch import nn

    import lca_torch

    (x, y), loss_fn = data, nn.CrossEntropyLoss()
    torch.manual_seed(0)
    model = network(*widths)
    optimizer = torch.optim.SGD(model.parameters(), 0.01, 0.9)
    tracker = lca_torch.track(model, loss_fn, probe) if probe else None
    for t in range(steps + 10):
        if t == 10:
            begin = time.perf_counter()
        places = torch.randint(len(y), (250,))
        loss_fn(model(x[places]), y[places]).backward()
        optimizer.step()
        optimizer.zero_grad()
        if tracker:
            tracker.step()
    return time.perf_counter() - begin


def on_mnist(folder: str, steps: int) -> None:
    """Print totals of every layer by redrawn measures, beside the exact ones of the same run."""
    import torch
    from torch import nn

    import lca_torch

    data = load_dataset("mnist", folder).train
    x = torch.tensor(data.inputs.reshape(len(data.labels), -1), dtype=torch.float32)
    y = torch.tensor(data.labels, dtype=torch.int64)
    torch.manual_seed(0)
    model = network(100, 50)
    loss_fn, optimizer = nn.CrossEntropyLoss(), torch.optim.SGD(model.parameters(), 0.01, 0.9)
    kinds: dict[str, Any] = {"exact": (x, y)}
    for seed, (every, by) in enumerate([(1, None), (1, data.labels), (2, None), (10, None)]):
        name = f"250{', by class' if by is not None else ''}{f', every={every}' * (every > 1)}"
        kinds[name] = Redrawn((x, y), 250, seed=seed, by=by, every=every)
    with lca_torch.track(model, loss_fn, kinds) as tracker:
        while tracker.iteration < steps:
            for places in torch.split(torch.randperm(len(y)), 250)[: steps - tracker.iteration]:
                loss_fn(model(x[places]), y[places]).backward()
                optimizer.step()
                optimizer.zero_grad()
                tracker.step()
    run = tracker.run
    labels, exact = run.allocation("exact")
    _print_row("probe", *(f"{label} ({total:+.4f})" for label, total in zip(
        labels, exact.sum(axis=0), strict=True)))  # fmt: skip
    _print_row(*["---"] * (len(labels) + 1))
    for name in run.measures[1:]:
        off = run.allocation(name).values.sum(axis=0) / exact.sum(axis=0) - 1
        error = np.sqrt((run.standard_error(name).values ** 2).sum(axis=0))
        half = 1.96 * error / np.abs(exact.sum(axis=0))
        cells = zip(off, half, strict=True)
        _print_row(name, *(f"{100 * a:+.1f} ± {100 * b:.1f} %" for a, b in cells))


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
    parser.add_argument("--segments", action="store_true", help="along segments of several steps")
    parser.add_argument("--cost", action="store_true", help="time instead of errors")
    parser.add_argument("--json", action="store_true", help="with --cost: JSON alone")
    parser.add_argument("--data-dir", help="where MNIST lies")
    chosen = parser.parse_args()
    if chosen.data_dir:
        on_mnist(chosen.data_dir, chosen.steps)
    elif chosen.segments:
        along_segments(chosen.steps, chosen.repetitions)
    elif chosen.cost:
        found = cost()
        print(json.dumps(found)) if chosen.json else print_costs(found)
    else:
        accuracy(chosen.steps, chosen.repetitions)
