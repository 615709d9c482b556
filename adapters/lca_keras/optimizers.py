"""The spec's optimizers as one Keras optimizer, every group of leaves by its own formula.

Keras' own put ε and the learning rate elsewhere: its momentum adds up -lr·g, so that an old
learning rate lives on in it, and its Adam adds ε to the biased root.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias

import keras
from keras import ops

from lca_core.optimizers import SGD, Adam, AdamW, Optimizer, RMSprop

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lca_core.training import Group

Memory: TypeAlias = tuple[Any, Any]
"""Two running arrays of a variable; SGD uses one."""


class Grouped(keras.optimizers.Optimizer):  # type: ignore[misc]
    """θ ← θ - lr·factor·direction, the direction by the formula of the variable's group.

    Its `learning_rate` is the schedule's factor; every group has a learning rate of its own.

    Args:
        groups: from `TrainingSpec.groups`.
        variables: canonical leaf name -> variable.
    """

    def __init__(self, groups: Sequence[Group], variables: Mapping[str, keras.Variable]) -> None:
        super().__init__(learning_rate=1.0, name="grouped")
        self._group_of = {id(variables[leaf]): group for group in groups for leaf in group.leaves}

    def build(self, variables: Sequence[keras.Variable]) -> None:
        """Make the running arrays."""
        if not self.built:
            super().build(variables)
            self._memories = self.add_optimizer_variables(variables, ["first", "second"])
            self._groups = [self._group_of[id(v)] for v in variables]

    def update_step(self, gradient: Any, variable: keras.Variable, learning_rate: Any) -> None:
        """Move one variable, unless its group is frozen by now."""
        # By place: on TensorFlow the variable is the one inside of Keras' own.
        place = self._get_variable_index(variable)
        group = self._groups[place]
        memory = tuple(of_all[place] for of_all in self._memories)
        held = ops.convert_to_tensor(variable)
        past = (ops.convert_to_tensor(memory[0]), ops.convert_to_tensor(memory[1]))
        step = ops.cast(self.iterations, held.dtype)
        direction, new = _direction(group.optimizer, gradient, held, past, step + 1.0)
        for kept, value in zip(memory, new, strict=True):
            self.assign(kept, value)
        rate = group.optimizer.learning_rate * ops.cast(learning_rate, held.dtype)
        moved = held - rate * direction
        if group.frozen_from is not None:
            moved = ops.where(self.iterations < group.frozen_from, moved, held)
        self.assign(variable, moved)


def _direction(
    optimizer: Optimizer, g: Any, theta: Any, memory: Memory, count: Any
) -> tuple[Any, Memory]:
    """Return what the learning rate multiplies, and the new running arrays.

    Args:
        optimizer: the formula.
        g: gradient.
        theta: θ.
        memory: running arrays, from zero.
        count: steps, this one included.
    """
    first, second = memory
    match optimizer:
        case SGD(momentum=m):
            v = m * first + g
            return v, (v, second)
        case RMSprop(momentum=m, decay=d, epsilon=epsilon):
            s = d * second + (1.0 - d) * g * g
            v = m * first + g / (ops.sqrt(s) + epsilon)
            return v, (v, s)
        case Adam():
            return _adam(optimizer, g, memory, count)
        case AdamW(weight_decay=w):
            direction, new = _adam(optimizer, g, memory, count)
            return direction + w * theta, new


def _adam(optimizer: Adam | AdamW, g: Any, memory: Memory, count: Any) -> tuple[Any, Memory]:
    b1, b2 = optimizer.beta1, optimizer.beta2
    m = b1 * memory[0] + (1.0 - b1) * g
    s = b2 * memory[1] + (1.0 - b2) * g * g
    root = ops.sqrt(s / _unbiased(b2, count))
    return m / _unbiased(b1, count) / (root + optimizer.epsilon), (m, s)


def _unbiased(beta: float, count: Any) -> Any:
    """Return 1 - β^count; its digits would cancel in float32."""
    return -ops.expm1(count * math.log(beta)) if beta else 1.0
