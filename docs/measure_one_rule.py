"""Measure how often the ± of one rule throughout cover the truth; prints a table of method.md.

    python docs/measure_one_rule.py            # half a minute

The trainings of measure_audits.py, 100 steps of each, by `Fixed(rule)`; the truth is Boole's rule
on 16 panels. Shares of leaves whose ± hold, over the run, in windows of ten steps and in single
steps; the last columns are medians of ±, and of the distance to the coarser rule, over true error.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from attrs import frozen
from measure_audits import NETWORKS, RATES, SEEDS, path, tracked

from lca_core import BOOLE, SIMPSON, Fixed, Run, composite

RULES = (SIMPSON, BOOLE, composite(SIMPSON, 2))
TRUTH = Fixed(composite(BOOLE, 16))
STEPS = 100
LENGTHS = {100: "run", 10: "ten steps", 1: "one step"}


@frozen
class Covered:
    """How the ± of sums over windows of some steps held.

    Args:
        half: ±, shape (windows * leaves,), loss units, as the others.
        off: the true error.
        apart: the distance to the coarser rule.
    """

    half: np.ndarray
    off: np.ndarray
    apart: np.ndarray

    @classmethod
    def of(cls, run: Run, true: Run, length: int) -> Covered:
        """Compare a run with the true one, in every window of a length."""
        wrong = (run.rows["allocation"] - true.rows["allocation"])[:, 0]
        windows = [slice(start, start + length) for start in range(0, STEPS, length)]
        half = [run.error("train", "leaf", window).values for window in windows]
        off = [np.abs(wrong[window].sum(axis=0)) for window in windows]
        apart = [np.abs(run.rows["error"][window, 0].sum(axis=0)) for window in windows]
        return cls(*map(np.concatenate, (half, off, apart)))

    @classmethod
    def joined(cls, several: list[Covered]) -> Covered:
        """Put those of several trainings together."""
        columns = zip(*((one.half, one.off, one.apart) for one in several), strict=True)
        return cls(*map(np.concatenate, columns))


def measured(network: str, rate: float) -> dict[str, list[Covered]]:
    """Return, of every rule, how its ± held in windows of all lengths."""
    found: dict[str, list[list[Covered]]] = {rule.name: [] for rule in RULES}
    for seed in range(SEEDS):
        problem, points = path(seed, network, rate, 1.0)
        points = points[: STEPS + 1]
        true = tracked(problem, points, TRUTH)
        for rule in RULES:
            run = tracked(problem, points, Fixed(rule))
            found[rule.name].append([Covered.of(run, true, length) for length in LENGTHS])
    return {
        name: [Covered.joined(list(several)) for several in zip(*seeds, strict=True)]
        for name, seeds in found.items()
    }


def main() -> None:
    """Print the table."""
    columns = ("network", "learning rate", "rule", *LENGTHS.values(), "± / error", "apart / error")
    print(f"| {' | '.join(columns)} |\n|{len(columns) * ' --- |'}")
    for network, rate in product(NETWORKS, RATES):
        for name, covered in measured(network, rate).items():
            held = " | ".join(f"{np.mean(one.off <= one.half):.0%}" for one in covered)
            run = covered[0]
            wide, apart = (np.median(one / run.off) for one in (run.half, run.apart))
            print(f"| {network} | {rate} | {name} | {held} | {wide:.0f} | {apart:.0f} |")


if __name__ == "__main__":
    main()
