"""Measure every rule and the adaptive integrator on a real run; prints the tables of the docs.

    python docs/measure_integrators.py            # about three minutes on two cores

The paper's network on the bundled digits, SGD with momentum 0.9, batch 100. The trajectory is
made in float32; gaps and errors are measured on it in float64, every `--every`-th step, against
Simpson's rule on 16 panels. Rounding is measured as float32 against float64 losses.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import evolve

from lca_core import (
    BOOLE,
    GAUSS_2,
    LEFT,
    LOBATTO_4,
    MIDPOINT,
    SIMPSON,
    TRAPEZOID,
    Adaptive,
    Fixed,
    Segment,
    composite,
)
from lca_core.datasets import Split, digits
from lca_core.leafwise import difference, product
from lca_core.optimizers import SGD
from lca_core.reference import NumpyOps, Perceptron
from lca_core.training import TrainingSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lca_core import Integrator

# Steps alone: neither lots nor what the steps before have left open.
ALONE = Adaptive(audit=None, run_rtol=None)
TRUTH = Fixed(composite(SIMPSON, 16))
INTEGRATORS: dict[str, Integrator] = {
    "left (first order)": Fixed(LEFT),
    "midpoint": Fixed(MIDPOINT),
    "trapezoid": Fixed(TRAPEZOID),
    "Simpson (the paper's)": Fixed(SIMPSON),
    "Gauss-2": Fixed(GAUSS_2),
    "Lobatto-4": Fixed(LOBATTO_4),
    "Boole": Fixed(BOOLE),
    "Simpson, 2 panels": Fixed(composite(SIMPSON, 2)),
    "Simpson, 4 panels": Fixed(composite(SIMPSON, 4)),
    "adaptive, rtol 5e-2": evolve(ALONE, rtol=5e-2),
    "adaptive, rtol 1e-2": evolve(ALONE, rtol=1e-2),
    "**adaptive, rtol 5e-3 (default)**": ALONE,
    "adaptive, rtol 1e-3": evolve(ALONE, rtol=1e-3),
    "adaptive, the paper's 1e-3 a step": evolve(ALONE, rtol=0.0, atol=1e-3),
    "adaptive, certify": evolve(ALONE, certify=True),
}

Leaves = Mapping[str, Any]
WIDTHS = (64, 100, 50, 10)


def as_type(leaves: Leaves, dtype: type) -> Leaves:
    """Return the leaves in another type."""
    return {name: leaf.astype(dtype) for name, leaf in leaves.items()}


def problem(split: Split, activation: str, dtype: type) -> Perceptron:
    """Return the loss over a split."""
    inputs: Any = split.inputs.reshape(len(split), -1).astype(dtype)
    return Perceptron(inputs, split.labels, WIDTHS, activation)


def iterates(spec: TrainingSpec, split: Split, activation: str) -> Iterator[Leaves]:
    """Yield every iterate of training by SGD with momentum, float32."""
    params = as_type(problem(split, activation, np.float32).initial(spec.seed), np.float32)
    optimizer: Any = spec.optimizer
    rate, momentum = optimizer.learning_rate, optimizer.momentum
    velocity = {name: np.zeros_like(leaf) for name, leaf in params.items()}
    yield params
    for rows in spec.batches(len(split)):
        batch = problem(Split(split.inputs[rows], split.labels[rows]), activation, np.float32)
        gradient: Leaves = batch(params, {}).gradient
        for name in params:
            velocity[name] = momentum * velocity[name] + gradient[name]
        params = {
            name: (leaf - rate * velocity[name]).astype(np.float32) for name, leaf in params.items()
        }
        yield params


def flat(leaves: Leaves) -> np.ndarray:
    """Return all values in one vector."""
    return np.concatenate([np.ravel(leaf) for leaf in leaves.values()])


def measure(spec: TrainingSpec, split: Split, activation: str, every: int) -> None:
    """Print the table of one training set-up."""
    oracle = problem(split, activation, np.float64)
    coarse = problem(split, activation, np.float32)
    rows: dict[str, list[tuple[float, ...]]] = {name: [] for name in INTEGRATORS}
    rounding: list[float] = []
    before: tuple[Leaves, Leaves] | None = None
    for index, iterate in enumerate(iterates(spec, split, activation)):
        wide = as_type(iterate, np.float64)
        if before is not None and index % every == 0:
            start, narrow = before
            displacement = difference(wide, start)
            segment = Segment(
                index,
                start,
                displacement,
                lambda params: oracle(params, {}),
                oracle(start, {}),
                oracle(wide, {}),
                oracle.eps,
                NumpyOps(),
            )
            truth = flat(product(TRUTH(segment).mean_gradient, displacement))
            for name, integrator in INTEGRATORS.items():
                one = integrator(segment)
                found = flat(product(one.mean_gradient, displacement))
                l1 = np.abs(found - truth).sum() / np.abs(truth).sum()
                signs = np.mean(np.sign(found) != np.sign(truth))
                gradients = 1 + one.evaluations
                rows[name].append((one.gap, segment.change, l1, signs, gradients))
            losses = [float(np.asarray(coarse(at, {}).loss)) for at in (narrow, iterate)]
            error = abs(losses[1] - losses[0] - segment.change)
            rounding.append(float(error / (np.finfo(np.float32).eps * max(losses))))
        before = wide, iterate
    report(rows, rounding)


def report(rows: dict[str, list[tuple[float, ...]]], rounding: list[float]) -> None:
    """Print one table."""
    print(
        "| rule | gradients a step | Σ gap / ΔL | median gap/ΔL "
        "| L1 error, median · worst | signs wrong |"
    )
    print("| --- | --- | --- | --- | --- | --- |")
    for name, values in rows.items():
        gap, change, l1, signs, gradients = np.array(values).T
        print(
            f"| {name} | {gradients.mean():.2f} | {abs(gap.sum() / change.sum()):.1e} "
            f"| {np.median(np.abs(gap / change)):.1e} "
            f"| {np.median(l1):.1e} · {l1.max():.1e} | {100 * signs.mean():.2f} % |"
        )
    median, worst = np.median(rounding), np.max(rounding)
    print(
        "\nRounding of ΔL in float32, in epsilons of the loss: "
        f"median {median:.2f}, worst {worst:.1f}."
    )


def main() -> None:
    """Measure a gentle, a fast and a smooth training."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=9, help="measure every so many steps")
    every = parser.parse_args().every
    split = digits().train
    for rate, activation in ((0.01, "relu"), (0.1, "relu"), (0.1, "tanh")):
        print(f"\n### lr {rate}, {activation}\n")
        measure(TrainingSpec(optimizer=SGD(rate)), split, activation, every)


if __name__ == "__main__":
    main()
