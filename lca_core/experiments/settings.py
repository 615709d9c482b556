"""Settings of a training varied one at a time: the arms of a star around a base."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from lca_core.optimizers import SGD, Adam, Optimizer, Override, RMSprop

if TYPE_CHECKING:
    from lca_core.training import TrainingSpec

BASE = "base"
OPTIMIZERS: dict[str, Optimizer] = {
    "sgd": SGD(0.01, momentum=0.0),
    "sgd-momentum": SGD(0.01, momentum=0.9),
    "rmsprop": RMSprop(1e-3, momentum=0.9),
    "adam": Adam(1e-4),
}
"""With the learning rates of the article's code."""

_MOMENTA = (0.0, 0.5, 0.9)


def star(base: TrainingSpec) -> dict[str, TrainingSpec]:
    """Return trainings that differ from a base in one thing each; no two are the same.

    Args:
        base: the middle of the star.

    Returns:
        Arm -> training: the base, every optimizer, learning rates, momenta, batch sizes.

    Example:
        >>> from lca_core.experiments.settings import star
        >>> from lca_core.training import TrainingSpec
        >>> list(star(TrainingSpec(batch_size=100)))[:6]
        ['base', 'sgd', 'rmsprop', 'adam', 'lr=0.00333', 'lr=0.03']
        >>> list(star(TrainingSpec(batch_size=100)))[6:]
        ['momentum=0.5', 'batch=50', 'batch=200']
    """
    rate = base.optimizer.learning_rate
    rates = (rate / 3, 3 * rate)
    batches = (max(base.batch_size // 2, 1), 2 * base.batch_size)
    optimizers = {
        **OPTIMIZERS,
        **{f"lr={lr:.3g}": Override(learning_rate=lr).applied(base.optimizer) for lr in rates},
        **{f"momentum={m:g}": Override(momentum=m).applied(base.optimizer) for m in _MOMENTA},
    }
    arms = {
        BASE: base,
        **{arm: evolve(base, optimizer=optimizer) for arm, optimizer in optimizers.items()},
        **{f"batch={size}": evolve(base, batch_size=size) for size in batches},
    }
    return _without_repeats(arms)


def _without_repeats(arms: dict[str, TrainingSpec]) -> dict[str, TrainingSpec]:
    """Return the first of those that are the same."""
    kept: dict[str, TrainingSpec] = {}
    for arm, spec in arms.items():
        if spec not in kept.values():
            kept[arm] = spec
    return kept
