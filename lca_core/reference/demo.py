"""A tiny training run in numpy, for examples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lca_core.partition import Partition, expanded, shares
from lca_core.reference.networks import Perceptron
from lca_core.reference.ops import track

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lca_core.run import Run
    from lca_core.typing import Observer


SIZES, ACTIVATION = (4, 8, 3), "tanh"


def demo_run(
    steps: int = 20,
    seed: int = 0,
    *,
    observers: Sequence[Observer] | None = None,
    by_class: bool = False,
) -> Run:
    """Train a 4-8-3 perceptron on random blobs by full-batch gradient descent, tracked.

    Args:
        steps: how many.
        seed: of the data and the weights.
        observers: `default_observers(layout)` by default.
        by_class: whether to make a measure of each of the three classes too.

    Example:
        >>> from lca_core.reference import demo_run
        >>> run = demo_run(steps=5)
        >>> bool(run.loss("train")[-1] < run.loss("train")[0])
        True
    """
    rng = np.random.default_rng(seed)
    labels = rng.integers(3, size=60)
    inputs = rng.standard_normal((3, 4))[labels] + 0.5 * rng.standard_normal((60, 4))
    problem = Perceptron(inputs, labels, SIZES, ACTIVATION)
    params = problem.initial(seed)

    def pick(data: Perceptron, places: np.ndarray, _: int) -> Perceptron:
        return Perceptron(data.inputs[places], data.labels[places], SIZES, ACTIVATION)

    data: Any = Partition(problem, by=labels) if by_class else problem
    oracles, parts = expanded({"train": data}, pick)
    wholes = shares(parts, lambda part: len(oracles[part].labels))
    with track(oracles, params, problem.layout, observers=observers, wholes=wholes) as tracker:
        for _ in range(steps):
            gradient = problem(params, {}).gradient
            params = {k: theta - 0.5 * np.asarray(gradient[k]) for k, theta in params.items()}
            tracker.step(params)
    return tracker.run
