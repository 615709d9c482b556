"""A training set-up as data: every backend makes the same run of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import field, frozen

from lca_core.described import described
from lca_core.errors import NetworkError
from lca_core.networks import NetworkSpec, fc
from lca_core.optimizers import SGD, Constant, Optimizer, Override, Schedule

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DIGITS = (8, 8, 1)


def _digits_network() -> NetworkSpec:
    return fc(DIGITS)


@frozen
class Group:
    """Leaves that share an optimizer's settings.

    Args:
        leaves: canonical names, in the network's order.
        optimizer: with the overrides of their layer applied.
        frozen_from: from this step on they do not move; None for never.
    """

    leaves: tuple[str, ...]
    optimizer: Optimizer
    frozen_from: int | None

    def moves(self, step: int) -> bool:
        """Return whether a step (from 0) moves them."""
        return self.frozen_from is None or step < self.frozen_from


@frozen
class TrainingSpec:
    """A network and how it is trained: on cross-entropy, in batches of a seeded order.

    Args:
        network: see `lca_core.networks`; its inputs are the data set's.
        optimizer: see `lca_core.optimizers`.
        schedule: of the learning rate.
        batch_size: examples a step; the remainder of an epoch is its last, smaller batch.
        epochs: passes over the training split.
        seed: of the initial weights, of the order of the examples and of dropout.
        overrides: layer name -> what is different there.

    Raises:
        NetworkError: an override names no layer of the network, or a number is out of range.

    Example:
        >>> from lca_core.training import TrainingSpec
        >>> TrainingSpec(epochs=2).steps(1500)
        30

    Source: LCA paper, section 3; initial weights from He et al. (2015).
    """

    network: NetworkSpec = field(factory=_digits_network)
    optimizer: Optimizer = field(factory=SGD)
    schedule: Schedule = field(factory=Constant)
    batch_size: int = 100
    epochs: int = 30
    seed: int = 0
    overrides: Mapping[str, Override] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        for name in ("batch_size", "epochs"):
            if getattr(self, name) < 1:
                msg = f"{name} of a training must be from 1 up, got {getattr(self, name)}."
                raise NetworkError(msg)
        layers = self.network.layout.labels("layer")
        unknown = [name for name in self.overrides if name not in layers]
        if unknown:
            msg = f"The overrides name {unknown}; the layers of '{self.network.name}' are {layers}."
            raise NetworkError(msg)

    def initial(self) -> dict[str, np.ndarray]:
        """Return the initial weights by canonical name, buffers included, float32."""
        return self.network.initial(self.seed)

    def batches(self, examples: int) -> Iterator[np.ndarray]:
        """Yield the indices of every step's batch, shuffled anew each epoch."""
        rng = np.random.default_rng((self.seed, 1))
        for _ in range(self.epochs):
            order = rng.permutation(examples)
            for begin in range(0, examples, self.batch_size):
                yield order[begin : begin + self.batch_size]

    def steps(self, examples: int) -> int:
        """Return how many batches there are."""
        return self.epochs * self.steps_per_epoch(examples)

    def steps_per_epoch(self, examples: int) -> int:
        """Return how many batches an epoch has."""
        return -(-examples // self.batch_size)

    def factors(self, examples: int) -> Iterator[float]:
        """Yield what the schedule multiplies every step's learning rates by."""
        per_epoch, steps = self.steps_per_epoch(examples), self.steps(examples)
        for step in range(steps):
            yield self.schedule.factor(step, per_epoch, steps)

    @property
    def groups(self) -> tuple[Group, ...]:
        """All leaves, those with the same settings together."""
        members: dict[tuple[Optimizer, int | None], list[str]] = {}
        for leaf in self.network.layout.leaves:
            override = self.overrides.get(leaf.layer, Override())
            key = (override.applied(self.optimizer), override.frozen_from)
            members.setdefault(key, []).append(leaf.name)
        return tuple(Group(tuple(names), *key) for key, names in members.items())

    def describe(self) -> dict[str, Any]:
        """Return the set-up as JSON values, for the run file."""
        return {
            "network": self.network.name,
            "layers": described(self.network.layers),
            "inputs": list(self.network.inputs),
            "optimizer": described(self.optimizer),
            "schedule": described(self.schedule),
            "batch_size": self.batch_size,
            "epochs": self.epochs,
            "seed": self.seed,
            "overrides": {name: described(one) for name, one in self.overrides.items()},
        }
