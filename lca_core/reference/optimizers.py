"""The formulas of `lca_core.optimizers`, as pure functions on dicts of float64 arrays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from attrs import frozen

from lca_core.optimizers import SGD, Adam, AdamW, Optimizer, RMSprop

if TYPE_CHECKING:
    from lca_core.training import Group

Leaves: TypeAlias = Mapping[str, np.ndarray]


@frozen
class Moments:
    """What an optimizer remembers.

    Args:
        updates: how many it has made.
        first: leaf name -> v of SGD and RMSprop, m of Adam.
        second: leaf name -> s of RMSprop and Adam.
    """

    updates: int
    first: Leaves
    second: Leaves


def init(params: Leaves) -> Moments:
    """Return the moments before the first update: zeros."""
    zeros = {name: np.zeros(leaf.shape) for name, leaf in params.items()}
    return Moments(0, zeros, zeros)


def update(
    optimizer: Optimizer, params: Leaves, gradient: Leaves, moments: Moments, factor: float = 1.0
) -> tuple[dict[str, np.ndarray], Moments]:
    """Return the parameters after one step, and the moments for the next.

    Args:
        optimizer: its docstring has the formula.
        params: θ.
        gradient: g of the same leaves; further ones are not read.
        moments: from `init` or the last `update`.
        factor: the learning rate is multiplied by it.

    Example:
        >>> import numpy as np
        >>> from lca_core.optimizers import SGD
        >>> from lca_core.reference import optimizers
        >>> theta, g = {"x": np.array([1.0])}, {"x": np.array([2.0])}
        >>> theta, moments = optimizers.update(SGD(0.25), theta, g, optimizers.init(theta))
        >>> theta["x"]
        array([0.5])
    """
    updates = moments.updates + 1
    moved, first, second = {}, {}, {}
    for name, theta in params.items():
        own = (moments.first[name], moments.second[name])
        direction, first[name], second[name] = _direction(
            optimizer, theta, gradient[name], own, updates
        )
        moved[name] = theta - factor * optimizer.learning_rate * direction
    return moved, Moments(updates, first, second)


def begin(groups: Iterable[Group], params: Leaves) -> tuple[Moments, ...]:
    """Return the moments of every group before the first step."""
    return tuple(init({name: params[name] for name in group.leaves}) for group in groups)


def step(
    groups: Sequence[Group],
    params: Leaves,
    gradient: Leaves,
    moments: Sequence[Moments],
    *,
    step: int,
    factor: float,
) -> tuple[dict[str, np.ndarray], tuple[Moments, ...]]:
    """Move the groups that are not frozen.

    Args:
        groups: see `TrainingSpec.groups`.
        params: θ of all groups; the order of the leaves stays.
        gradient: g of all groups.
        moments: from `begin` or the last `step`.
        step: from 0.
        factor: what the schedule multiplies learning rates by.
    """
    moved, after = dict(params), []
    for group, own in zip(groups, moments, strict=True):
        held = {name: params[name] for name in group.leaves}
        if group.moves(step):
            held, own = update(group.optimizer, held, gradient, own, factor)  # noqa: PLW2901
        moved |= held
        after.append(own)
    return moved, tuple(after)


def _direction(
    optimizer: Optimizer,
    theta: np.ndarray,
    g: np.ndarray,
    own: tuple[np.ndarray, np.ndarray],
    t: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return what is multiplied by -lr, and the leaf's new moments; t counts from 1."""
    v, s = own
    match optimizer:
        case SGD(momentum=m):
            v = m * v + g
            return v, v, s
        case RMSprop(momentum=m, decay=d, epsilon=epsilon):
            s = d * s + (1.0 - d) * g * g
            v = m * v + g / (np.sqrt(s) + epsilon)
            return v, v, s
        case Adam(beta1=b1, beta2=b2, epsilon=epsilon) | AdamW(beta1=b1, beta2=b2, epsilon=epsilon):
            v = b1 * v + (1.0 - b1) * g
            s = b2 * s + (1.0 - b2) * g * g
            along = (v / (1.0 - b1**t)) / (np.sqrt(s / (1.0 - b2**t)) + epsilon)
            decay = optimizer.weight_decay if isinstance(optimizer, AdamW) else 0.0
            return along + decay * theta, v, s
