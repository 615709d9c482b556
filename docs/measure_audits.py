"""Measure how often the ± of audited steps cover the truth; prints the table of method.md.

    python docs/measure_audits.py            # under a minute

A tanh network (64-20-10) on 400 of the bundled digits, SGD with momentum 0.9, batch 50, three
seeds. Every step is audited once; then one of every 16 steps is drawn, 300 times a seed, and what
the others had shown is hidden. The truth is what all steps show. Draws with fewer than two audited
steps say nothing, and are not counted.
"""

from __future__ import annotations

import numpy as np
from attrs import evolve

from lca_core import Adaptive, Run
from lca_core.analyses import doubtful_signs
from lca_core.datasets import digits
from lca_core.reference import Perceptron, track

SIZES, EXAMPLES, BATCH, MOMENTUM = (64, 20, 10), 400, 50, 0.9
RATES, STEPS, SEEDS, DRAWS, EVERY = (0.01, 0.1), (40, 100, 400), 3, 300, 16


def made(seed: int, steps: int, rate: float) -> Run:
    """Return a run of which every step was audited."""
    split, rng = digits().train, np.random.default_rng(seed)
    x = np.asarray(split.inputs, float).reshape(len(split), -1)[:EXAMPLES]
    y = np.asarray(split.labels)[:EXAMPLES]
    problem = Perceptron(x, y, SIZES, "tanh")
    params = problem.initial(seed)
    velocity = {name: np.zeros_like(leaf) for name, leaf in params.items()}
    with track({"train": problem}, params, problem.layout, integrator=Adaptive(audit=1)) as tracker:
        for _ in range(steps):
            batch = rng.choice(EXAMPLES, BATCH, replace=False)
            gradient = Perceptron(x[batch], y[batch], SIZES, "tanh")(params, {}).gradient
            velocity = {k: MOMENTUM * v + gradient[k] for k, v in velocity.items()}
            params = {k: w - rate * velocity[k] for k, w in params.items()}
            tracker.step(params)
    return tracker.run


def drawn(run: Run, rng: np.random.Generator) -> Run:
    """Return the run as if one of every 16 steps had been audited."""
    every = run.audited("train").astype(bool)
    places = np.arange(0, run.steps, EVERY)
    lot = np.isin(np.arange(run.steps), places + rng.integers(EVERY, size=len(places)))
    hidden, rows = every & ~lot, {"audited": (every & lot)[:, None]}
    for name in ("reversed", "error"):
        rows[name] = np.where(hidden[:, None, None], np.nan, run.rows[name])
    return evolve(run, rows={**run.rows, **rows})


def covered(run: Run, rng: np.random.Generator) -> np.ndarray:
    """Return of every draw: audited steps, and the share of ± that hold; NaN where unknown."""
    truth = doubtful_signs(run, "train", by=lambda _: "all").share
    errors = np.abs(run.rows["error"][:, 0].sum(axis=0))
    found = []
    for _ in range(DRAWS):
        one = drawn(run, rng)
        signs = doubtful_signs(one, "train", by=lambda _: "all")
        half = one.error("train", by="leaf").values
        audited = float(one.audited("train").sum())
        found.append((audited, _holds(signs.share - truth, signs.half), _holds(errors, half)))
    return np.array(found)


def _holds(off: np.ndarray, half: np.ndarray) -> float:
    return float((np.abs(off) <= half).mean()) if np.isfinite(half).all() else np.nan


def main() -> None:
    """Print the table."""
    rng = np.random.default_rng(5)
    print("| learning rate | steps | audited | doubtful signs | errors of leaves |")
    print("| --- | --- | --- | --- | --- |")
    for rate in RATES:
        for steps in STEPS:
            runs = [made(seed, steps, rate) for seed in range(SEEDS)]
            found = np.concatenate([covered(run, rng) for run in runs])
            audited, *shares = np.nanmean(found, axis=0)
            told = " | ".join(f"{100 * share:.0f} %" for share in shares)
            print(f"| {rate} | {steps} | {audited:.1f} | {told} |")


if __name__ == "__main__":
    main()
