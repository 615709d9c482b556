"""Measure how far the books of whole runs are from closed; prints the table of the docs.

    python docs/measure_books.py            # about two minutes on two cores

The paper's network on the bundled digits, as PyTorch trains it in float32. Every training is made
twice: with gaps that may add up, and with the default of `Adaptive`, which looks at their sum.
"""

from __future__ import annotations

from lca_core import Adaptive, Run
from lca_core.datasets import digits
from lca_core.optimizers import SGD, Adam
from lca_core.training import TrainingSpec
from lca_torch.adapter import ADAPTER

TRAININGS = {
    "lr 0.01, the demo": TrainingSpec(),
    "another seed": TrainingSpec(seed=1),
    "lr 0.003, 60 epochs": TrainingSpec(optimizer=SGD(learning_rate=0.003), epochs=60),
    "lr 0.1": TrainingSpec(optimizer=SGD(learning_rate=0.1)),
    "lr 0.1, no momentum": TrainingSpec(optimizer=SGD(learning_rate=0.1, momentum=0.0)),
    "batches of 20": TrainingSpec(batch_size=20, epochs=10),
    "Adam": TrainingSpec(optimizer=Adam()),
}


def trained(spec: TrainingSpec, integrator: Adaptive) -> Run:
    """Return the run of a training, its sums alone."""
    tracking = {"integrator": integrator, "observers": []}
    return ADAPTER.train(spec, digits(), on_step=lambda _: None, tracking=tracking)


def books(run: Run, measure: str) -> tuple[float, float]:
    """Return |Σ gap| / |ΔL| of a run, and its gradients a step."""
    loss, gap = run.loss(measure), abs(run.gap(measure).sum())
    spent = (1 + run.evaluations(measure).sum()) / run.steps
    return gap / abs(loss[-1] - loss[0]), spent


def main() -> None:
    """Print the table."""
    print("| training | measure | Σ gap / ΔL, None | gradients | Σ gap / ΔL, 1e-4 | gradients |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, spec in TRAININGS.items():
        loose, tight = (trained(spec, one) for one in (Adaptive(run_rtol=None), Adaptive()))
        for measure in loose.measures:
            before, cheap = books(loose, measure)
            after, spent = books(tight, measure)
            print(
                f"| {name} | {measure} | {before:.1e} | {cheap:.2f} | {after:.1e} | {spent:.2f} |"
            )


if __name__ == "__main__":
    main()
