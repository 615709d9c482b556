"""The core's array functions, in JAX."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec, Sharding

if TYPE_CHECKING:
    from collections.abc import Sequence


class JaxOps:
    """`lca_core.ArrayOps` for JAX arrays; everything stays on their devices.

    Sums are float64 also where the user's own arithmetic has no float64.
    """

    def sum(self, array: Any, keep: int | None = None) -> Any:
        """Sum in float64 over all axes, or over all but `keep`; count booleans."""
        axes = tuple(axis for axis in range(jnp.ndim(array)) if axis != keep)
        with jax.enable_x64(True):
            return _sum(array, axes)

    def sign(self, array: Any) -> Any:
        """Return -1, 0 or 1; 0 for what is not a number."""
        with jax.enable_x64(True):
            return jnp.nan_to_num(jnp.sign(array))

    def take(self, array: Any, places: np.ndarray) -> Any:
        """Return the elements at some places."""
        with jax.enable_x64(True):
            return _taken(array, places)

    def histogram(self, array: Any) -> Any:
        """Count the elements by their first 11 bits."""
        with jax.enable_x64(True):
            return _histogram(array)

    def concat(self, arrays: Sequence[Any]) -> Any:
        """Join numbers and vectors."""
        with jax.enable_x64(True):
            return _concat(tuple(arrays))

    def to_numpy(self, array: Any) -> np.ndarray:
        """Copy to the host; a copy even where host and device share memory, so that it is owned."""
        return np.array(array)

    def from_numpy(self, array: np.ndarray, like: Any) -> Any:
        """Bring a host array to the devices and type of `like`."""
        with jax.enable_x64(True):
            values = np.asarray(array).astype(like.dtype)
            # Bound to a device only where `like` is: else programs would be compiled once more.
            bound = not isinstance(like, jax.core.Tracer) and like.committed
            return jax.device_put(values, _place(values, like) if bound else None)


def _place(values: np.ndarray, like: Any) -> Sharding:
    """Return where `like` is; everywhere on its devices for what cannot be cut as it is."""
    sharding: Sharding = like.sharding
    if isinstance(sharding, NamedSharding) and values.shape != like.shape:
        return NamedSharding(sharding.mesh, PartitionSpec())  # type: ignore[no-untyped-call]
    return sharding


@functools.partial(jax.jit, static_argnums=1)
def _sum(array: Any, axes: tuple[int, ...]) -> jax.Array:
    # Unsigned counts need no float64 to be added up by the caller, in whatever setting.
    dtype = jnp.uint32 if array.dtype == jnp.bool_ else jnp.float64
    return jnp.sum(array, axis=axes, dtype=dtype)


@jax.jit
def _taken(array: Any, places: Any) -> jax.Array:
    return jnp.ravel(_gathered(array))[places]


@jax.jit
def _histogram(array: Any) -> jax.Array:
    bits = jax.lax.bitcast_convert_type(_gathered(array).astype(jnp.float32), jnp.uint32)
    return jnp.zeros(2048, array.dtype).at[bits >> 21].add(1)


def _gathered(array: jax.Array) -> jax.Array:
    """Return an array that is spread over an explicit mesh as a whole: one form for all."""
    own = jax.typeof(array).sharding
    if any(own.spec):
        # On the array's own mesh: the caller need not have entered it.
        everywhere = NamedSharding(own.mesh, PartitionSpec())  # type: ignore[no-untyped-call]
        whole: jax.Array = jax.sharding.reshard(array, everywhere)  # type: ignore[no-untyped-call]
        return whole
    return array


@jax.jit
def _concat(arrays: tuple[Any, ...]) -> jax.Array:
    parts = [_gathered(jnp.ravel(array)) for array in arrays]
    return jnp.concatenate(parts) if parts else jnp.zeros(0)
