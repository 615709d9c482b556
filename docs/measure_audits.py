"""Measure how often the ± of audited steps cover the truth; prints the tables of method.md.

    python docs/measure_audits.py            # some five minutes

Networks of one hidden layer (64-20-10) on 400 of the bundled digits, SGD with momentum 0.9, batch
50, three seeds. Every training is integrated three times: without audits, with every step audited,
and by Simpson's rule on 16 panels, the truth. Then lots are drawn, 300 times a seed, from the
blocks of `Adaptive(audit=16)`: these steps are taken from the second, the others from the first,
but for those that are halved for the sum of all gaps so far. A lot that the sum asks for as well is
compared one halving earlier than in a run, which makes the ± a little wider here. The second table
is of integrators that ask for more, with the same lots.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import evolve, frozen

from lca_core import SIMPSON, Adaptive, Counts, Dense, Fixed, Run, composite
from lca_core.account import Account
from lca_core.analyses import doubtful_signs
from lca_core.audits import block
from lca_core.datasets import digits
from lca_core.reference import Perceptron, track
from lca_core.segment import Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lca_core.segment import Integrator
    from lca_core.typing import Params

SIZES, EXAMPLES, BATCH, MOMENTUM = (64, 20, 10), 400, 50, 0.9
NETWORKS, RATES, STEPS = ("tanh", "relu"), (0.01, 0.1, 0.3), (40, 100, 400)
FALLING, DECAY, SHORT = 0.1, 0.8, (40, 100)
"""A learning rate that falls at every step, so that the first steps are by far the largest."""

STRICTER = {
    "`rtol=1e-4, atol=1e-7`": Adaptive(rtol=1e-4, atol=1e-7),
    "`certify=True`": Adaptive(certify=True),
    "both": Adaptive(rtol=1e-4, atol=1e-7, certify=True),
}
"""Integrators that narrow the ±."""

SEEDS, DRAWS, EVERY = 3, 300, 16


@frozen
class Measured:
    """The steps of one training, integrated in three ways.

    Args:
        integrator: that would have drawn the lots.
        plain: without audits.
        audited: with every step audited.
        true: allocation of the leaves, shape (T, leaves).
        wrong: signs that are not the true ones, of both runs, shape (T,) each.
    """

    integrator: Adaptive
    plain: Run
    audited: Run
    true: np.ndarray
    wrong: tuple[np.ndarray, np.ndarray]

    @classmethod
    def of(
        cls, seed: int, integrator: Adaptive, network: str, rate: float, decay: float
    ) -> Measured:
        """Train."""
        problem, points = path(seed, network, rate, decay)
        # Steps of two runs are put together: what they leave open is summed up when lots are drawn.
        alone = evolve(integrator, audit=None, run_rtol=None)
        rules = (alone, evolve(alone, audit=1), Fixed(composite(SIMPSON, 16)))
        plain, audited, true = (tracked(problem, points, rule) for rule in rules)
        right = signs(true)
        wrong = [(signs(run) * right < 0).sum(axis=1) for run in (plain, audited)]
        return cls(integrator, plain, audited, true.rows["allocation"][:, 0], (wrong[0], wrong[1]))

    def first(self, steps: int) -> Measured:
        """Return the first steps of it."""

        def cut(run: Run) -> Run:
            return evolve(run, rows={name: rows[:steps] for name, rows in run.rows.items()})

        wrong = (self.wrong[0][:steps], self.wrong[1][:steps])
        plain, audited = cut(self.plain), cut(self.audited)
        return Measured(self.integrator, plain, audited, self.true[:steps], wrong)

    def drawn(self, rng: np.random.Generator) -> tuple[float, ...]:
        """Return how many lots there were, the shares of ± that hold, and how wide they are."""
        lot = lots(rng, self.plain.steps)
        finer, audited = self._halved(lot), lot & self.audited.rows["audited"][:, 0]
        run = evolve(self.plain, rows={**self._rows(finer), "audited": audited[:, None]})
        counts = run.helping("train", by=lambda _: "all")
        wrong = np.where(finer, self.wrong[1], self.wrong[0]).sum()
        found = doubtful_signs(run, "train", by=lambda _: "all")
        doubt = found.share[0] - wrong / (counts.helped + counts.hurt).sum()
        off = np.abs((run.rows["allocation"][:, 0] - self.true).sum(axis=0))
        half = run.error("train", by="leaf").values
        held = float((off <= half).mean())
        return (
            float(lot.sum()),
            float(abs(doubt) <= found.half[0]),
            held,
            float(np.median(half / off)),
        )

    def _halved(self, lot: np.ndarray) -> np.ndarray:
        """Return which steps are halved once more than they need, by lot or for the sum."""
        halved, account = lot.copy(), Account()
        rule = evolve(self.integrator, audit=None, certify=False)
        steps = zip(self._gaps(self.plain), self._gaps(self.audited), strict=True)
        for t, ((gap, change, noise, closed), (finer, *_)) in enumerate(steps):
            told = rule.settle(t, change=change, gap=gap, noise=noise, account=account)
            halved[t] |= closed and told is None
            account = account.after(change=change, gap=finer if halved[t] else gap)
        return halved

    @staticmethod
    def _gaps(run: Run) -> Iterator[tuple[float, float, float, bool]]:
        """Yield gap, loss change, noise floor, and whether the books of a step closed."""
        change = np.abs(np.diff(run.loss("train")))
        gap, noise, status = (run.rows[name][:, 0] for name in ("gap", "noise", "status"))
        return zip(
            gap.tolist(),
            change.tolist(),
            noise.tolist(),
            (status == Status.OK).tolist(),
            strict=True,
        )

    def _rows(self, finer: np.ndarray) -> dict[str, np.ndarray]:
        """Return the rows of a run with some steps from the second training."""
        return {
            name: np.where(finer.reshape(-1, *[1] * (rows.ndim - 1)), self.audited.rows[name], rows)
            for name, rows in self.plain.rows.items()
        }


def path(seed: int, network: str, rate: float, decay: float) -> tuple[Perceptron, list[Params]]:
    """Return a loss, and the iterates of a training."""
    split, rng = digits().train, np.random.default_rng(seed)
    x = np.asarray(split.inputs, float).reshape(len(split), -1)[:EXAMPLES]
    y = np.asarray(split.labels)[:EXAMPLES]
    problem = Perceptron(x, y, SIZES, network)
    points: list[Params] = [problem.initial(seed)]
    velocity = {name: np.zeros_like(leaf) for name, leaf in points[0].items()}
    for t in range(max(STEPS if decay == 1.0 else SHORT)):
        batch = rng.choice(EXAMPLES, BATCH, replace=False)
        gradient: Any = Perceptron(x[batch], y[batch], SIZES, network)(points[-1], {}).gradient
        velocity = {k: MOMENTUM * v + gradient[k] for k, v in velocity.items()}
        here: Any = points[-1]
        points.append({k: w - rate * decay**t * velocity[k] for k, w in here.items()})
    return problem, points


def tracked(problem: Perceptron, points: list[Params], integrator: Integrator) -> Run:
    """Return the run along some iterates."""
    oracles, observers = {"train": problem}, (Counts(), Dense())
    with track(
        oracles, points[0], problem.layout, integrator=integrator, observers=observers
    ) as tracker:
        for point in points[1:]:
            tracker.step(point)
    return tracker.run


def signs(run: Run) -> np.ndarray:
    """Return the sign of every allocation, shape (T, parameters)."""
    leaves = (run.dense("train", name)[:] for name in run.layout.names)
    joined = np.concatenate([leaf.reshape(run.steps, -1) for leaf in leaves], axis=1)
    return np.asarray(np.sign(joined))


def lots(rng: np.random.Generator, steps: int) -> np.ndarray:
    """Return one step of every block, shape (steps,), bool."""
    drawn, start = np.zeros(steps, bool), 0
    while start < steps:
        start, length = block(start, EVERY)
        drawn[start + rng.integers(length) :][:1] = True
        start += length
    return drawn


def row(trainings: list[Measured], steps: int, rng: np.random.Generator) -> str:
    """Return a row of a table: of so many of the first steps of these trainings."""
    measured = [training.first(steps) for training in trainings]
    found = np.array([one.drawn(rng) for one in measured for _ in range(DRAWS)])
    audited, held, leaves, _ = found.mean(axis=0)
    refined = np.mean([one.plain.evaluations("train") > 1 for one in measured])
    return (
        f"{steps} | {refined:.0%} | {audited:.1f} | {held:.0%} | {leaves:.0%} | "
        f"{np.median(found[:, 3]):.0f} |"
    )


def main() -> None:
    """Print the tables."""
    rng = np.random.default_rng(5)
    columns = "network | learning rate | steps | refined | audited | signs | leaves | ± / error |"
    print(f"| {columns}\n|{' --- |' * columns.count('|')}")
    kinds = [(*kind, 1.0) for kind in product(NETWORKS, RATES)]
    for kind in [*kinds, *((network, FALLING, DECAY) for network in NETWORKS)]:
        network, rate, decay = kind
        trainings = [Measured.of(seed, Adaptive(), *kind) for seed in range(SEEDS)]
        fall = "" if decay == 1.0 else f", × {decay} a step"
        for steps in STEPS if decay == 1.0 else SHORT:
            print(f"| {network} | {rate}{fall} | {row(trainings, steps, rng)}", flush=True)
    print(f"\n| integrator | {columns}\n|{' --- |' * (1 + columns.count('|'))}")
    for (name, integrator), network, rate in product(STRICTER.items(), NETWORKS, RATES[1:]):
        trainings = [Measured.of(seed, integrator, network, rate, 1.0) for seed in range(SEEDS)]
        for steps in SHORT:
            told = row(trainings, steps, rng)
            print(f"| {name} | {network} | {rate} | {told}", flush=True)


if __name__ == "__main__":
    main()
