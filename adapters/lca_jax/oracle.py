"""Loss and gradient over a whole data set, in one compiled call."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import jax
import jax.numpy as jnp
from attrs import frozen

from lca_core import Evaluation, Params
from lca_jax.compiling import compiled, register

if TYPE_CHECKING:
    from collections.abc import Callable

    from lca_core import Snapshot
    from lca_jax.leaves import Leaves
    from lca_jax.losses import Objective

_TF32_EPS, _BFLOAT16_EPS = 2.0**-10, 2.0**-7
_DEFAULT_MATMUL = {"gpu": _TF32_EPS, "tpu": _BFLOAT16_EPS}
_MATMUL = {"tensorfloat32": _TF32_EPS, "bfloat16": _BFLOAT16_EPS}

UNROLLED = {"cpu": 8}
"""Platform -> the most chunks with convolutions that are written out: XLA runs these inside a loop
many times slower than outside of it on a CPU, but takes time to compile what is written out."""


def machine_epsilon(leaves: Leaves, platform: str) -> float:
    """Return the epsilon of the least precise arithmetic that the measurement uses.

    Args:
        leaves: their live types.
        platform: "cpu", "gpu", "tpu"; the last two multiply float32 matrices in less, unless
            `jax_default_matmul_precision` says otherwise.
    """
    finfo, config = cast("Any", jnp.finfo), cast("Any", jax.config)
    kinds = [finfo(slot.dtype) for slot in leaves.slots if slot and slot.followed]
    precision = config.jax_default_matmul_precision
    matmul = _MATMUL.get(str(precision), 0.0)
    if precision in (None, "default", "fastest"):
        matmul = _DEFAULT_MATMUL.get(platform, 0.0)
    # Matrices of float64 are multiplied in float64.
    coarse = matmul if any(kind.bits <= 32 for kind in kinds) else 0.0
    return max(coarse, *(float(kind.eps) for kind in kinds))


@frozen(eq=False)
class Evaluator:
    r"""L(θ) and its gradient over stacks of chunks.

    .. math:: L(\theta) = \frac{\sum_n w_n\, \ell_n(\theta)}{\sum_n w_n}

    Losses and weights are summed in float64, gradients in the type of their leaf.

    Args:
        objective: the loss.
        unrolled: the most chunks of a stack that are written out one by one, not looped over, where
            the loss convolves.
    """

    objective: Objective
    unrolled: int

    @cached_property
    def compiled(self) -> Callable[..., Evaluation]:
        """(stacks, params, buffers, expected weight) -> loss and gradient, as one program."""
        return compiled(self._evaluate)

    @cached_property
    def weigh(self) -> Callable[..., jax.Array]:
        """(stacks, params, buffers) -> the sum of the examples' weights, as one program."""
        return compiled(self._weigh)

    def _weigh(self, stacks: Any, params: Params, buffers: Params) -> jax.Array:
        def add(total: Any, batch: Any) -> tuple[Any, None]:
            with jax.enable_x64(self.objective.x64):
                _, weights = self.objective(params, buffers, batch)
            return total + _sum(weights), None

        total = jnp.zeros((), jnp.float64)
        for stack in stacks:
            total, _ = jax.lax.scan(add, total, stack)
        return total

    def _evaluate(self, stacks: Any, params: Params, buffers: Params, expected: Any) -> Evaluation:
        def add(sums: Any, batch: Any) -> tuple[Any, None]:
            (losses, weights), gradient = self.objective.with_gradient(params, buffers, batch)
            terms = (_sum(losses), _sum(weights), gradient)
            return jax.tree.map(jnp.add, sums, terms), None

        def add_in_turn(sums: Any, batch: Any) -> tuple[Any, None]:
            # One chunk after the other, in the memory of one.
            return add(*cast("Any", jax.lax.optimization_barrier)((sums, batch)))

        zero = jnp.zeros((), jnp.float64)
        sums = (zero, zero, jax.tree.map(jnp.zeros_like, params))
        for stack in stacks:
            if self._in_turn(params, buffers, stack):
                sums, _ = jax.lax.scan(add_in_turn, sums, stack, unroll=True)
            else:
                sums, _ = jax.lax.scan(add, sums, stack)
        loss, weight, gradient = sums
        share = 1.0 / (weight if expected is None else expected)
        return Evaluation(loss * share, {k: g * share.astype(g.dtype) for k, g in gradient.items()})

    def _in_turn(self, params: Params, buffers: Params, stack: Any) -> bool:
        """Tell whether the chunks are few, and the loss one for which a loop is slow."""
        if not 1 < len(jax.tree.leaves(stack)[0]) <= self.unrolled:
            return False
        chunk = jax.tree.map(lambda array: array[0], stack)
        return "conv_general_dilated" in str(self.objective.traced(params, buffers, chunk))


@frozen
class JaxOracle:
    """`lca_core.GradientOracle` for a pytree of parameters: a pytree itself.

    Args:
        evaluator: what to do.
        stacks: the data; see `Examples.stacks`.
        examples: how many there are.
        batch_size: the most that are evaluated at once.
        eps: machine epsilon of the least precise arithmetic in use.
        expected: weight that sums are divided by, float64; by default the sum of w_n. A sample
            takes that of as many average examples, or its mean would not be unbiased.
        crc32: a fingerprint of the data; no program knows it, so that data of one form, like the
            groups of a partition into equal ones, share one.
    """

    evaluator: Evaluator
    stacks: tuple[Any, ...]
    examples: int
    batch_size: int
    eps: float
    expected: Any = None
    crc32: int = 0

    def __call__(self, params: Params, buffers: Params) -> Evaluation:
        """Return loss and gradient at these parameters."""
        return self.evaluator.compiled(self.stacks, params, buffers, self.expected)

    def weight(self, point: Snapshot) -> float:
        """Return the sum of the examples' weights; it does not depend on where one looks."""
        return float(self.evaluator.weigh(self.stacks, point.params, point.buffers))


register(JaxOracle, ("evaluator", "examples", "batch_size", "eps"), outside=("crc32",))


def _sum(values: Any) -> jax.Array:
    return jnp.sum(values, dtype=jnp.float64)
