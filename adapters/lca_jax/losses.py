"""The user's loss function as weighted sums over examples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from attrs import field, frozen

from lca_core.errors import LossError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lca_jax.leaves import Leaves


def _x64() -> bool:
    return jax.dtypes.canonicalize_dtype(np.float64) == np.float64


@frozen(eq=False)
class Objective:
    """A loss function on named leaves, traced under the user's own setting of float64.

    Args:
        loss_fn: `loss_fn(params, batch)`, or `loss_fn(params, batch, state)` if there is state.
        leaves: the pytree that it expects.
        stateful: whether it takes the state.
        x64: whether float64 is on where the user trains; as it is now by default.
    """

    loss_fn: Callable[..., Any]
    leaves: Leaves
    stateful: bool
    x64: bool = field(factory=_x64)

    def __call__(self, params: Any, buffers: Any, batch: Any) -> tuple[jax.Array, jax.Array]:
        """Return weighted losses and weights, any shapes: L = Σ losses / Σ weights.

        Raises:
            LossError: the function returned something else than it may.
        """
        own, state = self.leaves.rebuilt(params, buffers)
        result = self.loss_fn(own, batch, state) if self.stateful else self.loss_fn(own, batch)
        return _weighted(result, count(batch))

    def with_gradient(
        self, params: Any, buffers: Any, batch: Any
    ) -> tuple[tuple[jax.Array, jax.Array], Any]:
        """Return (weighted losses, weights), and the gradient of the losses' sum."""

        def total(point: Any) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
            losses, weights = self(point, buffers, batch)
            return jnp.sum(losses), (losses, weights)

        with jax.enable_x64(self.x64):
            (_, sums), gradient = jax.value_and_grad(total, has_aux=True)(params)
        return sums, gradient

    def is_plain_mean(self, params: Any, buffers: Any, batch: Any) -> bool:
        """Return whether the loss of a batch is the mean of the losses of its parts.

        Only a loss that comes as a scalar can fail: losses of single examples add up by themselves.
        """
        with jax.enable_x64(self.x64):
            shape = jax.eval_shape(self, params, buffers, batch)[0].shape
            n = count(batch)
            if shape or n < 2:
                return True
            third = max(1, n // 3)  # uneven parts: a sum or a weighted mean cannot hide
            whole, *parts = (
                float(self(params, buffers, jax.tree.map(lambda x: x[place], batch))[0])  # noqa: B023
                for place in (slice(0, n), slice(0, third), slice(third, n))
            )
        apart = abs(whole - sum(parts)) / n
        return not apart > 1e-6 + 1e-3 * abs(whole) / n


def _weighted(result: Any, n: int) -> tuple[jax.Array, jax.Array]:
    if isinstance(result, (tuple, list)) and len(result) == 2:
        losses, weights = _floating(result[0]), jnp.asarray(result[1])
        return losses * weights, jnp.broadcast_to(weights, losses.shape)
    losses = _floating(result)
    if losses.ndim == 0:
        return losses * n, jnp.asarray(n)
    if losses.shape[0] != n:
        msg = (
            f"The loss function must return a scalar or one loss per example, shape ({n}, ...), "
            f"got shape {losses.shape}. For other counts return (losses, weights)."
        )
        raise LossError(msg)
    return losses, jnp.asarray(losses.size)


def _floating(losses: Any) -> jax.Array:
    if not isinstance(losses, jax.Array) or not jnp.issubdtype(losses.dtype, jnp.floating):
        got = getattr(losses, "dtype", type(losses).__name__)
        msg = (
            "The loss function must return losses of floating type, or a pair of them and their "
            f"weights, got {got}. Return what jax.value_and_grad would differentiate, without aux."
        )
        raise LossError(msg)
    return losses


def count(batch: Any) -> int:
    """Return the number of examples of a batch."""
    return int(jax.tree_util.tree_leaves(batch)[0].shape[0])
