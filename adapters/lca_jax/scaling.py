"""Gradients through float16, scaled so that they neither vanish nor overflow on their way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

if TYPE_CHECKING:
    from collections.abc import Callable

_FIRST, _STEP = 2.0**20, 2.0**-5


def scaled(sums: Callable[..., Any], params: Any, examples: int) -> tuple[Any, Any]:
    """Return what `sums` does beside the gradient, and the gradient of the sum itself.

    Scales of the mean are 2**20, 2**15, ... 1: the first whose gradient is finite. All of them
    are powers of two, so scaling is exact.

    Args:
        sums: (params, factor) -> ((loss, others), gradient) of the sum times the factor.
        params: where to look, in float32 or wider.
        examples: how many the sum is over.
    """
    few = 2.0 ** -examples.bit_length()  # about one example's share

    def again(carry: Any) -> Any:
        scale, finite, *_ = carry
        return (scale >= 1.0) & ~finite

    def attempt(carry: Any) -> Any:
        factor = carry[0] * jnp.float32(few)
        (_, others), gradient = sums(params, factor)
        finite = jnp.array([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient)]).all()
        whole = jax.tree.map(lambda leaf: leaf / factor.astype(leaf.dtype), gradient)
        return carry[0] * jnp.float32(_STEP), finite, others, whole

    begin = (jnp.float32(_FIRST), jnp.array(False))
    shapes = jax.eval_shape(attempt, begin)[2:]
    zeros = jax.tree.map(lambda one: jnp.zeros(one.shape, one.dtype), shapes)
    _, _, others, gradient = jax.lax.while_loop(again, attempt, (*begin, *zeros))
    return others, gradient
