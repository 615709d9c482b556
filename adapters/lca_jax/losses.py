"""The user's loss function as weighted sums over examples."""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from attrs import field, frozen

from lca_core.errors import LossError
from lca_jax.scaling import scaled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

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
        return _weighted(self._called(params, buffers, batch), count(batch))

    def weighs(self, params: Any, buffers: Any, batch: Any) -> bool:
        """Return whether weights of its own come with the losses."""
        with jax.enable_x64(self.x64):
            return _is_pair(jax.eval_shape(self._called, params, buffers, batch))

    def _called(self, params: Any, buffers: Any, batch: Any) -> Any:
        own, state = self.leaves.rebuilt(params, buffers)
        return self.loss_fn(own, batch, state) if self.stateful else self.loss_fn(own, batch)

    def with_gradient(
        self, params: Any, buffers: Any, batch: Any
    ) -> tuple[tuple[jax.Array, jax.Array], Any]:
        """Return (weighted losses, weights), and the gradient of the losses' sum."""

        def total(point: Any, scale: Any = None) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
            losses, weights = self(point, buffers, batch)
            summed = jnp.sum(losses)
            return summed if scale is None else summed * scale.astype(summed.dtype), (
                losses,
                weights,
            )

        with jax.enable_x64(self.x64):
            if "f16" in self.half_types(params, buffers, batch):
                return scaled(jax.value_and_grad(total, has_aux=True), params, count(batch))
            (_, sums), gradient = jax.value_and_grad(total, has_aux=True)(params)
        return sums, gradient

    def half_types(self, params: Any, buffers: Any, batch: Any) -> frozenset[str]:
        """Return which of "f16" and "bf16" the loss computes in, what it does to data alone aside.

        Data that are kept in half precision are what they are; nothing is rounded.
        """
        traced = self.traced(params, buffers, batch).jaxpr
        data = len(jax.tree.leaves(batch))
        of_data = [False] * (len(traced.invars) - data) + [True] * data
        return frozenset(re.findall(r"\b(b?f16)\[", "\n".join(_computed(traced, of_data))))

    def traced(self, params: Any, buffers: Any, batch: Any) -> Any:
        """Return the program for such a batch, not compiled."""
        with jax.enable_x64(self.x64):
            return jax.make_jaxpr(self)(params, buffers, batch)

    @cached_property
    def summed(self) -> Callable[..., jax.Array]:
        """(params, buffers, batch) -> the weighted losses; one program for all."""
        return jax.jit(self._losses)

    def _losses(self, params: Any, buffers: Any, batch: Any) -> jax.Array:
        return self(params, buffers, batch)[0]


def _computed(program: Any, of_data: Sequence[bool]) -> Iterator[str]:
    """Yield the operations of a traced program that depend on more than data, as text."""
    known = {id(v) for v, data in zip(program.invars, of_data, strict=True) if not data}
    for operation in program.eqns:
        inputs = [id(v) not in known for v in operation.invars]
        if all(inputs):
            continue
        known.update(map(id, operation.outvars))
        if operation.primitive.name in ("jit", "pjit"):
            yield from _computed(operation.params["jaxpr"].jaxpr, inputs)
        else:
            yield str(operation)


def _weighted(result: Any, n: int) -> tuple[jax.Array, jax.Array]:
    if _is_pair(result):
        losses = _floating(result[0])
        weights = _aligned(result[1], losses)
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


def _is_pair(result: Any) -> bool:
    return isinstance(result, (tuple, list)) and len(result) == 2


def _aligned(weights: Any, losses: jax.Array) -> jax.Array:
    """Return weights that broadcast: the first axes of theirs are the first of the losses."""
    shape: Any = getattr(weights, "shape", () if isinstance(weights, (int, float)) else None)
    fits = shape is not None and len(shape) <= losses.ndim
    if not fits or any(w not in (1, n) for w, n in zip(shape, losses.shape, strict=False)):
        got = type(weights).__name__ if shape is None else f"shape {tuple(shape)}"
        msg = (
            "The loss function returned a pair, which means (losses, weights): weights must have "
            f"the first axes of the losses' shape {losses.shape}, got {got}. If the second is "
            "not weights but other output (has_aux), return the losses alone: "
            "lambda *args: loss_fn(*args)[0]."
        )
        raise LossError(msg)
    return jnp.reshape(jnp.asarray(weights), (*shape, *[1] * (losses.ndim - len(shape))))


def _floating(losses: Any) -> jax.Array:
    """Return losses in float32 or wider, where they add up."""
    if not isinstance(losses, jax.Array) or not jnp.issubdtype(losses.dtype, jnp.floating):
        got = getattr(losses, "dtype", type(losses).__name__)
        msg = (
            "The loss function must return losses of floating type, or a pair of them and their "
            f"weights, got {got}. Return what jax.value_and_grad would differentiate, without aux."
        )
        raise LossError(msg)
    return losses.astype(jnp.promote_types(losses.dtype, jnp.float32))


def count(batch: Any) -> int:
    """Return the number of examples of a batch."""
    return int(jax.tree_util.tree_leaves(batch)[0].shape[0])
