"""A training set-up as data: every backend makes the same run of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from lca_core.datasets import Dataset
    from lca_core.run import Run
    from lca_core.tracker import Tracker

OnStep: TypeAlias = "Callable[[Tracker], None]"
"""Called after every tracked step, to show progress."""


@frozen
class TrainingSpec:
    """A fully connected ReLU network and how it is trained: SGD with momentum.

    The update is the paper's: v ← m·v + g, θ ← θ - lr·v. Weights are He-normal, biases zero.

    Args:
        widths: features, hidden widths, classes; the paper's FC has (features, 100, 50, 10).
        learning_rate: lr.
        momentum: m.
        batch_size: examples a step; the remainder of an epoch is its last, smaller batch.
        epochs: passes over the training split.
        seed: of the initial weights and of the order of the examples.

    Example:
        >>> from lca_core.training import TrainingSpec
        >>> spec = TrainingSpec(widths=(784, 100, 50, 10))
        >>> sum(leaf.size for leaf in spec.initial().values())
        84060

    Source: LCA paper, section 3; initial weights from He et al. (2015).
    """

    widths: tuple[int, ...] = (64, 100, 50, 10)
    learning_rate: float = 0.01
    momentum: float = 0.9
    batch_size: int = 100
    epochs: int = 30
    seed: int = 0

    def initial(self) -> dict[str, np.ndarray]:
        """Return fc1.weight (out, in), fc1.bias (out,), fc2.weight, ..., float32."""
        rng = np.random.default_rng(self.seed)
        params: dict[str, np.ndarray] = {}
        for i, (inputs, outputs) in enumerate(zip(self.widths, self.widths[1:], strict=False), 1):
            weight = rng.standard_normal((outputs, inputs)) * np.sqrt(2.0 / inputs)
            params[f"fc{i}.weight"] = weight.astype(np.float32)
            params[f"fc{i}.bias"] = np.zeros(outputs, np.float32)
        return params

    def batches(self, examples: int) -> Iterator[np.ndarray]:
        """Yield the indices of every step's batch, shuffled anew each epoch."""
        rng = np.random.default_rng((self.seed, 1))
        for _ in range(self.epochs):
            order = rng.permutation(examples)
            for begin in range(0, examples, self.batch_size):
                yield order[begin : begin + self.batch_size]

    def steps(self, examples: int) -> int:
        """Return how many batches there are."""
        return self.epochs * -(-examples // self.batch_size)


class Adapter(Protocol):
    """What a backend offers to the command line, under the entry point `lca_core.adapters`."""

    @property
    def name(self) -> str:
        """What `--backend` calls it."""

    def train(
        self,
        spec: TrainingSpec,
        dataset: Dataset,
        *,
        on_step: OnStep,
        tracking: Mapping[str, Any],
    ) -> Run:
        """Train natively, tracking the measures "train" and "val"; return the run.

        Args:
            spec: network and optimizer.
            dataset: examples.
            on_step: called after every tracked step.
            tracking: further arguments of the adapter's `track` (`path`, `integrator`, ...).
        """


def find_adapter(name: str) -> Adapter:
    """Return the installed adapter of that name.

    Args:
        name: an entry point of the group "lca_core.adapters", a third party's included.

    Raises:
        LookupError: no such entry point.
        MissingExtraError: the adapter is there, its framework is not.
    """
    # importlib.metadata costs 0.1 s to import: paid only here.
    from importlib.metadata import entry_points

    from lca_core.errors import MissingExtraError, UnknownNameError

    points = {point.name: point for point in entry_points(group="lca_core.adapters")}
    if name not in points:
        msg = f"No backend is called '{name}'; installed are {sorted(points)}."
        raise UnknownNameError(msg)
    try:
        adapter: Adapter = points[name].load()
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"The backend '{name}'", name) from error
    return adapter
