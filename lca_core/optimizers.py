"""Optimizers and learning-rate schedules as data: one formula each, the same on every backend."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from attrs import evolve, field, fields, frozen

from lca_core.errors import NetworkError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_SHARE = ("from 0 up and below 1", lambda value: 0.0 <= value < 1.0)
_AMOUNT = ("from 0 up and finite", lambda value: 0.0 <= value < math.inf)
_POSITIVE = ("above 0 and finite", lambda value: 0.0 < value < math.inf)
_RANGES: dict[str, tuple[str, Callable[[float], bool]]] = {
    **dict.fromkeys(("momentum", "decay", "beta1", "beta2"), _SHARE),
    **dict.fromkeys(("learning_rate", "weight_decay", "warmup", "frozen_from"), _AMOUNT),
    **dict.fromkeys(("epsilon", "by"), _POSITIVE),
}


def _check(settings: Any) -> None:
    """Refuse numbers outside of their range; None stands for what is not set."""
    for name in (one.name for one in fields(type(settings))):
        value = getattr(settings, name)
        wanted, holds = _RANGES.get(name, ("", lambda _: True))
        if value is not None and not holds(value):
            msg = f"{name} of {type(settings).__name__} must be {wanted}, got {value!r}."
            raise NetworkError(msg)


@frozen
class SGD:
    """v ← m·v + g; θ ← θ - lr·v.

    Args:
        learning_rate: lr.
        momentum: m.

    Raises:
        NetworkError: a setting is out of its range.
    """

    learning_rate: float = 0.01
    momentum: float = 0.9

    def __attrs_post_init__(self) -> None:
        _check(self)


@frozen
class RMSprop:
    """s ← d·s + (1 - d)·g²; v ← m·v + g / (√s + ε); θ ← θ - lr·v.

    Args:
        learning_rate: lr.
        momentum: m.
        decay: d.
        epsilon: ε, outside of the root.

    Raises:
        NetworkError: a setting is out of its range.
    """

    learning_rate: float = 1e-3
    momentum: float = 0.0
    decay: float = 0.9
    epsilon: float = 1e-8

    def __attrs_post_init__(self) -> None:
        _check(self)


@frozen
class Adam:
    """m ← β₁m + (1 - β₁)g; s ← β₂s + (1 - β₂)g²; θ ← θ - lr·m̂ / (√ŝ + ε), m̂ and ŝ unbiased.

    Args:
        learning_rate: lr.
        beta1: β₁, what momentum is to SGD.
        beta2: β₂.
        epsilon: ε, outside of the root, beside the unbiased ŝ.

    Raises:
        NetworkError: a setting is out of its range.
    """

    learning_rate: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def __attrs_post_init__(self) -> None:
        _check(self)


@frozen
class AdamW:
    """Adam, and θ ← θ - lr·w·θ in the same step, from the same θ.

    Args:
        learning_rate: lr.
        weight_decay: w.
        beta1: β₁.
        beta2: β₂.
        epsilon: ε.

    Raises:
        NetworkError: a setting is out of its range.
    """

    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def __attrs_post_init__(self) -> None:
        _check(self)


Optimizer: TypeAlias = SGD | RMSprop | Adam | AdamW
OPTIMIZERS: dict[str, type[Optimizer]] = {
    "sgd": SGD,
    "rmsprop": RMSprop,
    "adam": Adam,
    "adamw": AdamW,
}


class Schedule(Protocol):
    """How the learning rate moves: a factor for every step."""

    def factor(self, step: int, per_epoch: int, steps: int) -> float:
        """Return what the learning rate is multiplied by.

        Args:
            step: from 0.
            per_epoch: steps of an epoch.
            steps: steps of the whole training.
        """


@frozen
class Constant:
    """The learning rate stays."""

    def factor(self, step: int, per_epoch: int, steps: int) -> float:
        """Return 1."""
        return 1.0


def _epochs(values: Sequence[int]) -> tuple[int, ...]:
    return tuple(sorted(values))


@frozen
class Drops:
    """The learning rate is multiplied by `by` at the beginning of each of these epochs.

    Args:
        epochs: from 0.
        by: 0.1, as in the paper.

    Raises:
        NetworkError: an epoch or the factor is out of its range.

    Example:
        >>> from lca_core.optimizers import Drops
        >>> [Drops([1, 2], by=0.5).factor(step, per_epoch=2, steps=6) for step in range(6)]
        [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]
    """

    epochs: tuple[int, ...] = field(converter=_epochs)
    by: float = 0.1

    def __attrs_post_init__(self) -> None:
        _check(self)
        if self.epochs and self.epochs[0] < 0:
            msg = f"epochs of Drops count from 0, got {self.epochs}."
            raise NetworkError(msg)

    def factor(self, step: int, per_epoch: int, steps: int) -> float:
        """Return by ** (drops so far)."""
        return float(self.by ** sum(step // per_epoch >= epoch for epoch in self.epochs))


@frozen
class Cosine:
    """A linear warm-up, then half a cosine down to zero.

    Args:
        warmup: epochs.

    Raises:
        NetworkError: a negative warm-up.

    Example:
        >>> from lca_core.optimizers import Cosine
        >>> [Cosine(warmup=1).factor(step, per_epoch=2, steps=4) for step in range(4)]
        [0.5, 1.0, 1.0, 0.5]
    """

    warmup: float = 0.0

    def __attrs_post_init__(self) -> None:
        _check(self)

    def factor(self, step: int, per_epoch: int, steps: int) -> float:
        """Return a number in [0, 1]."""
        rising = self.warmup * per_epoch
        if step < rising:
            return min(1.0, (step + 1) / rising)
        return 0.5 * (1.0 + math.cos(math.pi * (step - rising) / max(steps - rising, 1)))


@frozen
class Override:
    """What is different for one layer.

    Args:
        learning_rate: instead of the optimizer's; the schedule multiplies it too.
        momentum: instead of the optimizer's; β₁ for Adam.
        frozen_from: from this step on (0 for the first) the layer does not move.

    Raises:
        NetworkError: a setting is out of its range.

    Example:
        >>> from lca_core.optimizers import Override
        >>> from lca_core.training import TrainingSpec
        >>> spec = TrainingSpec(overrides={"fc3": Override(learning_rate=0.0)})
        >>> [(group.leaves[0], group.optimizer.learning_rate) for group in spec.groups]
        [('fc1.kernel', 0.01), ('fc3.kernel', 0.0)]
    """

    learning_rate: float | None = None
    momentum: float | None = None
    frozen_from: int | None = None

    def __attrs_post_init__(self) -> None:
        _check(self)

    def applied(self, optimizer: Optimizer) -> Optimizer:
        """Return an optimizer with what is different."""
        momentum = "beta1" if isinstance(optimizer, Adam | AdamW) else "momentum"
        changes = {"learning_rate": self.learning_rate, momentum: self.momentum}
        changed: Any = {name: value for name, value in changes.items() if value is not None}
        return evolve(optimizer, **changed)
