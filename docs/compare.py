"""Compare with a plain PyTorch loop with Simpson's rule; prints the tables of performance.md.

    python docs/compare.py            # about five minutes on two cores

The plain loop is what one writes from the paper: train and keep the weights of every step; then,
for every step, the gradient over all data at its middle and at its end (that at its beginning is
the last step's end), Simpson's mean of them, times the displacement. It keeps every parameter's
allocation at every step. Both see the same iterates, the same chunks, float32, and a network
784-100-50-10 (or 64-100-50-10); synthetic data. Times are taken in turn, in one process.
Errors are those of single parameters at single steps, against Simpson's rule on 16 panels in
float64, in a run of its own that keeps every parameter at every step, at every fifth step.
"""

from __future__ import annotations

import argparse
import statistics
import time
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

import lca_torch
from lca_core import SIMPSON, Adaptive, Dense, Fixed, Integrator, Run, composite
from lca_core.chunks import even_cuts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lca_core.rules import Rule

INTEGRATORS: dict[str, Integrator] = {
    "`track`, default": Adaptive(audit=None, run_rtol=None),
    "`track`, certified": Adaptive(certify=True, audit=None, run_rtol=None),
    "`track`, Simpson": Fixed(SIMPSON),
}
PLAIN = "plain loop, Simpson"
EVERY = 5
BATCH = 250

Weights = list[Tensor]


class Problem(NamedTuple):
    """Data and how long to train on them.

    Args:
        x: inputs, shape (examples, features).
        y: classes.
        steps: of training.
        rate: the learning rate; momentum is 0.9.
    """

    x: Tensor
    y: Tensor
    steps: int
    rate: float


class Measured(NamedTuple):
    """One way to measure all steps.

    Args:
        seconds: of everything, training included.
        gradients: full passes a step.
        kept: bytes held at the end: weights and allocations, or what the tracker holds.
    """

    seconds: float
    gradients: float
    kept: int


def problem(examples: int, features: int, steps: int, rate: float) -> Problem:
    """Return ten clouds that overlap."""
    torch.manual_seed(1)
    y = torch.randint(10, (examples,))
    centres = torch.randn(10, features) / features**0.25
    return Problem(centres[y] + torch.randn(examples, features), y, steps, rate)


def network(features: int) -> nn.Sequential:
    """Return the paper's network."""
    torch.manual_seed(2)
    return nn.Sequential(
        nn.Linear(features, 100), nn.ReLU(), nn.Linear(100, 50), nn.ReLU(), nn.Linear(50, 10)
    )


def trained(model: nn.Module, of: Problem) -> Iterator[None]:
    """Train, and yield after every step."""
    optimizer = torch.optim.SGD(model.parameters(), of.rate, 0.9)
    generator = torch.Generator().manual_seed(3)
    for _ in range(of.steps):
        rows = torch.randint(len(of.y), (BATCH,), generator=generator)
        torch.autograd.backward(nn.functional.cross_entropy(model(of.x[rows]), of.y[rows]))
        optimizer.step()
        optimizer.zero_grad()
        yield


def full_gradient(model: nn.Module, of: Problem, size: int) -> Weights:
    """Return the gradient of the mean loss over all examples."""
    model.zero_grad()
    for begin, end in pairwise(even_cuts(len(of.y), size)):
        loss = nn.functional.cross_entropy(model(of.x[begin:end]), of.y[begin:end])
        torch.autograd.backward(loss * ((end - begin) / len(of.y)))
    return [p.grad.clone() for p in model.parameters() if p.grad is not None]


def at(model: nn.Module, weights: Weights) -> nn.Module:
    """Return the model with these weights."""
    with torch.no_grad():
        for p, w in zip(model.parameters(), weights, strict=True):
            p.copy_(w)
    return model


def snapshot(model: nn.Module) -> Weights:
    """Return a copy of the weights."""
    return [p.detach().clone() for p in model.parameters()]


def plain(of: Problem, size: int) -> tuple[list[Weights], list[Weights]]:
    """Train, then allocate, as a user would write it; return all weights and all allocations."""
    model = network(of.x.shape[1])
    path = [snapshot(model), *(snapshot(model) for _ in trained(model, of))]
    first, allocations = full_gradient(at(model, path[0]), of, size), []
    for before, after in pairwise(path):
        middle = [(a + b) / 2 for a, b in zip(before, after, strict=True)]
        half = full_gradient(at(model, middle), of, size)
        last = full_gradient(at(model, after), of, size)
        parts = zip(first, half, last, before, after, strict=True)
        allocations.append([(g + 4 * h + k) / 6 * (b - a) for g, h, k, a, b in parts])
        first = last
    return path, allocations


def theirs(of: Problem, size: int) -> Measured:
    """Time the plain loop."""
    begun = time.perf_counter()
    path, allocations = plain(of, size)
    took = time.perf_counter() - begun
    return Measured(took, 2.0, sum(t.nbytes for one in (*path, *allocations) for t in one))


def ours(of: Problem, integrator: Integrator, size: int) -> Measured:
    """Train and track, with the default observers."""
    model = network(of.x.shape[1])
    begun = time.perf_counter()
    tracker = lca_torch.track(
        model, nn.CrossEntropyLoss(), (of.x, of.y), integrator=integrator, batch_size=size
    )
    for _ in trained(model, of):
        tracker.step()
    run = tracker.finish()
    took = time.perf_counter() - begun
    parameters = sum(p.nbytes for p in model.parameters())
    record = sum(values.nbytes for values in run.rows.values())
    gradients = float(run.evaluations("train").mean())
    return Measured(took, gradients, 4 * parameters + record)


def dense(of: Problem, integrator: Integrator, size: int) -> dict[int, Tensor]:
    """Return every parameter's allocation at every fifth step, from a run of its own."""
    model, loss_fn = network(of.x.shape[1]), nn.CrossEntropyLoss()
    with lca_torch.track(
        model, loss_fn, (of.x, of.y), integrator=integrator, observers=[Dense()], batch_size=size
    ) as tracker:
        for _ in trained(model, of):
            tracker.step()
    return {t: of_step(tracker.run, t) for t in range(0, of.steps, EVERY)}


def of_step(run: Run, step: int) -> Tensor:
    """Return all allocations of a step."""
    return flat([torch.from_numpy(run.dense("train", name)[step]) for name in run.layout.names])


def flat(values: Weights) -> Tensor:
    """Return everything in one vector, in float64."""
    return torch.cat([v.flatten().double() for v in values])


def truth(of: Problem, size: int) -> dict[int, Tensor]:
    """Return every parameter's allocation at every fifth step by Simpson's rule, 16 panels."""
    wide, rule = Problem(of.x.double(), of.y, of.steps, of.rate), composite(SIMPSON, 16)
    model = network(of.x.shape[1])
    probe, found = network(of.x.shape[1]).double(), {}
    before = snapshot(model)
    for t, _ in enumerate(trained(model, of)):
        after = snapshot(model)
        if t % EVERY == 0:
            ends = [(a.double(), b.double()) for a, b in zip(before, after, strict=True)]
            found[t] = integrated(rule, ends, lambda at_: full_gradient(at(probe, at_), wide, size))
        before = after
    return found


def integrated(
    rule: Rule, ends: list[tuple[Tensor, Tensor]], gradient: Callable[[Weights], Weights]
) -> Tensor:
    """Return the allocation of one step by any rule."""
    total = torch.zeros(sum(a.numel() for a, _ in ends), dtype=torch.float64)
    for node, weight in zip(rule.nodes, rule.weights, strict=True):
        total += weight * flat(gradient([a + node * (b - a) for a, b in ends]))
    return total * flat([b - a for a, b in ends])


def errors(found: dict[int, Tensor], true: dict[int, Tensor]) -> tuple[float, float, float]:
    """Return the median and the worst L1 error of a step, and the share of wrong signs."""
    l1 = [float((found[t] - a).abs().sum() / a.abs().sum()) for t, a in true.items()]
    wrong = [float((found[t].sign() != a.sign()).double().mean()) for t, a in true.items()]
    return statistics.median(l1), max(l1), statistics.mean(wrong)


def report(of: Problem, size: int, rounds: int) -> None:
    """Print one table."""
    ways: dict[str, Callable[[], Measured]] = {PLAIN: lambda: theirs(of, size)}
    for name, one in INTEGRATORS.items():
        ways[name] = partial(ours, of, one, size)
    found = [{name: way() for name, way in ways.items()} for _ in range(rounds)]
    true = truth(of, size)
    allocated = {PLAIN: dict(enumerate(map(flat, plain(of, size)[1])))}
    allocated |= {name: dense(of, one, size) for name, one in INTEGRATORS.items()}
    print("| | time | gradients a step | kept | L1 error, median · worst | signs wrong |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name in ways:
        times = [one[name].seconds / one[PLAIN].seconds for one in found]
        last = found[-1][name]
        median, worst, wrong = errors(allocated[name], true)
        print(
            f"| {name} | {statistics.median(times):.2f} | {last.gradients:.2f} "
            f"| {last.kept / 1e6:,.1f} MB | {median:.1e} · {worst:.1e} | {100 * wrong:.2f} % |"
        )


SIZES = {"digits": (1_500, 64, 200), "mnist": (50_000, 784, 20)}


def main() -> None:
    """Compare on data of the size of the digits and of MNIST, trained gently and fast."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="how often to time everything")
    parser.add_argument("--size", choices=SIZES, action="append", help="all by default")
    parser.add_argument("--rate", type=float, action="append", help="0.01 and 0.1 by default")
    given = parser.parse_args()
    for name in given.size or SIZES:
        examples, features, steps = SIZES[name]
        for rate in given.rate or (0.01, 0.1):
            head = f"{examples:,} examples of {features} features, {steps} steps"
            print(f"\n### {head}, learning rate {rate}\n", flush=True)
            of = problem(examples, features, steps, rate)
            report(of, min(examples, 8_000), given.rounds)


if __name__ == "__main__":
    main()
