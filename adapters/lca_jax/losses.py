"""The user's loss function as weighted sums over examples."""

from __future__ import annotations

import math
import re
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from attrs import field, frozen

from lca_core.errors import LossError
from lca_jax.scaling import scaled

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lca_jax.leaves import Leaves

_HALF = {"f16": 2.0**-10, "bf16": 2.0**-7}
_SEEN_ALONE = 64


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
        """Return which of "f16" and "bf16" the loss computes in."""
        with jax.enable_x64(self.x64):
            traced = jax.make_jaxpr(self)(params, buffers, batch)
        return frozenset(re.findall(r"\b(b?f16)\[", str(traced)))

    def is_plain_mean(self, params: Any, buffers: Any, batch: Any) -> bool:
        """Return whether the loss of a batch is the mean of the losses of its parts.

        Only a loss that comes as a scalar can fail: losses of single examples add up by themselves.
        Where all losses are equal none can, so it is asked at a point beside this one too.
        """
        with jax.enable_x64(self.x64):
            shape = jax.eval_shape(self, params, buffers, batch)[0].shape
        if shape or count(batch) < 2:
            return True
        halves = self.half_types(params, buffers, batch)
        rtol = max([1e-3, *(4.0 * _HALF[one] for one in halves)])
        n, few = count(batch), some(batch, _SEEN_ALONE)
        uneven = [0, max(1, n // 3), n]  # a sum or a weighted mean cannot hide
        pairs = [*range(0, count(few) - 1, 2), count(few)]
        aside = beside(params)
        cuts = ((params, batch, uneven), (aside, batch, uneven), (aside, few, pairs))
        return all(self._adds_up(at, buffers, part, edges, rtol) for at, part, edges in cuts)

    def _adds_up(
        self, params: Any, buffers: Any, batch: Any, edges: Sequence[int], rtol: float
    ) -> bool:
        """Compare a batch with its parts between these edges."""
        n = count(batch)
        with jax.enable_x64(self.x64):
            program = jax.jit(lambda params, part: self(params, buffers, part)[0])

            def loss(begin: int, end: int) -> float:
                return float(program(params, jax.tree.map(lambda x: x[begin:end], batch)))

            whole, parts = loss(0, n), [loss(*ends) for ends in pairwise(edges)]
        apart = abs(whole - sum(parts)) / n
        return not apart > 1e-6 + rtol * sum(map(abs, parts)) / n


def _weighted(result: Any, n: int) -> tuple[jax.Array, jax.Array]:
    if isinstance(result, (tuple, list)) and len(result) == 2:
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


def some(batch: Any, size: int) -> Any:
    """Return up to `size` examples, spread over all."""
    n = count(batch)
    places = np.arange(min(n, size)) * n // min(n, size)
    return jax.tree.map(lambda x: x[places], batch)


def beside(params: Any) -> Any:
    """Return parameters moved at random, as far as they are large, or as an initial layer is."""
    rng = np.random.default_rng(0)

    def moved(leaf: Any) -> Any:
        rms = float(jnp.sqrt(jnp.mean(jnp.square(leaf)))) if leaf.size else 0.0
        far = 0.3 * max(rms, 1.0 / math.sqrt(leaf.shape[0] if leaf.ndim else 1))
        noise = far * rng.standard_normal(leaf.shape, np.float32)
        return leaf + jax.device_put(noise.astype(leaf.dtype), leaf.sharding)

    with jax.enable_x64(True):
        return {name: moved(leaf) for name, leaf in params.items()}


def count(batch: Any) -> int:
    """Return the number of examples of a batch."""
    return int(jax.tree_util.tree_leaves(batch)[0].shape[0])
