"""Keras on JAX."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import keras

from lca_core.streams import untouched_host
from lca_jax.compiling import compiled
from lca_jax.ops import JaxOps

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    import numpy as np

    from lca_keras.backends import Leaves, Point


class Jax:
    """`lca_keras.backends.Backend` for JAX."""

    ops = JaxOps()

    def compile(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return one XLA program, with float64 inside whatever the user's setting."""
        return compiled(function)

    def native(self) -> AbstractContextManager[None]:
        """Return to the user's own setting of float64, for the user's own code."""
        context: AbstractContextManager[None] = jax.enable_x64(_users_float64)
        return context

    def differentiate(self, function: Callable[[Leaves], Any], leaves: Leaves) -> Point:
        """Return value and gradient, by `jax.value_and_grad`."""
        value, gradient = jax.value_and_grad(function)(leaves)
        # JAX sorts what it finds in a dict.
        return value, {name: gradient[name] for name in leaves}

    def total(self, function: Callable[[Any], Point], starts: Sequence[int], zero: Point) -> Point:
        """Add up in one loop of the program."""

        def more(so_far: Point, start: Any) -> tuple[Point, None]:
            return jax.tree.map(jnp.add, so_far, function(start)), None

        (loss, gradient), _ = jax.lax.scan(more, zero, jnp.array(starts))
        return loss, {name: gradient[name] for name in zero[1]}

    def cut(self, tensor: Any, start: Any, size: int) -> Any:
        """Return a slice."""
        return jax.lax.dynamic_slice_in_dim(tensor, start, size)

    def owned(self, variable: keras.Variable) -> Any:
        """Return a copy: Keras' trainer donates the arrays of its variables."""
        return jnp.array(variable.value, copy=True)

    def move(self, variable: keras.Variable, values: np.ndarray) -> None:
        """Assign, and delete the old array, as donating it does."""
        old = variable.value
        variable.assign(values)
        old.delete()

    def put(self, array: np.ndarray) -> Any:
        """Return an array on Keras' device, as wide as the user's setting allows."""
        return keras.ops.convert_to_tensor(array)

    def untouched(self, seed: int = 0) -> AbstractContextManager[None]:
        """Guard Python's and NumPy's streams; JAX has none."""
        return untouched_host(seed)

    def same_draws(self) -> AbstractContextManager[None]:
        """Guard them while a program is traced; afterwards it draws no more."""
        return untouched_host()

    def streams(self) -> dict[str, bytes]:
        """Return nothing: there are none."""
        return {}

    def kept_bytes(self, function: Callable[..., Any], leaves: Leaves) -> int:
        """Ask for the shapes of what the forward pass keeps; nothing is computed."""
        with jax.enable_x64(True):
            kept = jax.eval_shape(lambda at: jax.vjp(function, at)[1], leaves)
        return sum(array.size * array.dtype.itemsize for array in jax.tree.leaves(kept))


_users_float64 = bool(jax.config.values["jax_enable_x64"])

BACKEND = Jax()
