"""Losses and gradients of batches, added up to those of all data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from lca_core import Evaluation, Params
from lca_core.errors import UnsupportedError
from lca_core.leafwise import each
from lca_core.packed import Packed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor


class Sums:
    """Weighted losses, weights and gradients, added up batch by batch.

    Args:
        points: leaf name -> what to differentiate by.
        like: leaves; the gradient lies as they do.
        half: the arithmetic is float16, in which the gradient of a sum overflows.
    """

    def __init__(self, points: Mapping[str, Tensor], like: Params, *, half: bool = False) -> None:
        # Numbers only before the first batch, float64 on the device behind it.
        self.loss: Any = 0.0
        self.weight: Any = 0.0
        self._points = points
        self._like = like
        self._half = half
        self._gradient: Any = None

    def add_weight(self, _: Tensor, weights: Tensor) -> None:
        """Add the weights of a batch, and nothing else."""
        self.weight += weights.detach().sum(dtype=torch.float64)

    def add(self, losses: Tensor, weights: Tensor) -> None:
        """Add a batch."""
        self.loss += losses.detach().sum(dtype=torch.float64)
        self.add_weight(losses, weights)
        if not losses.requires_grad:  # the loss uses no leaf at all
            return
        gradient = self._differentiated(losses, weights)
        if self._gradient is None:
            self._gradient = self._owned(gradient)
        else:
            torch._foreach_add_(list(self._gradient.values()), gradient)

    def mean(self, weight: float | None = None) -> Evaluation:
        """Return loss and gradient a unit of weight; only once, since sums become means in place.

        Args:
            weight: of all batches; None for what was added up.
        """
        gradient = self._gradient
        if gradient is None:
            gradient = self._owned([torch.zeros_like(point) for point in self._points.values()])
        # A Python float is three times as fast as a number on the device, where it is at hand.
        share = 1.0 / (self.weight if weight is None else weight)
        mean = each(lambda leaf: leaf.mul_(share), gradient)
        return Evaluation(self.loss / (self.weight if weight is None else weight), mean)

    def _differentiated(self, losses: Tensor, weights: Tensor) -> list[Tensor]:
        """Return the gradient of the sum of a batch."""
        scale = _power_of_two(weights) if self._half else None
        try:
            gradient = torch.autograd.grad(
                losses.sum() if scale is None else losses.sum(dtype=torch.float32),
                list(self._points.values()),
                None if scale is None else scale.reciprocal(),
                allow_unused=True,
                materialize_grads=True,
            )
        except RuntimeError as error:
            if "use_reentrant" in str(error):
                raise _reentrant() from error
            raise
        # Embeddings may ask for sparse gradients; allocations are dense.
        dense = [leaf.to_dense() if leaf.is_sparse else leaf for leaf in gradient]
        return dense if scale is None else list(torch._foreach_mul(dense, scale))

    def _owned(self, gradient: Sequence[Tensor]) -> Params:
        """Copy: of leaves that are added to each other, autograd returns one tensor for both."""
        named = dict(zip(self._points, gradient, strict=True))
        if isinstance(self._like, Packed):
            return Packed.of(named, self._like.packing)
        return {name: leaf.clone() for name, leaf in named.items()}


def _power_of_two(weights: Tensor) -> Tensor:
    """Return about the weight of a batch, dividing by which rounds nothing.

    Not more than 1,024: float16 underflows, too.
    """
    weight = weights.detach().sum(dtype=torch.float32)
    return weight.clamp(2.0**-10, 2.0**10).log2().round().exp2()


def _reentrant() -> UnsupportedError:
    return UnsupportedError(
        "The model checkpoints its activations with use_reentrant=True, which adds gradients to "
        "the .grad of your training and knows no other way. Pass use_reentrant=False to "
        "torch.utils.checkpoint (in transformers: gradient_checkpointing_enable("
        "gradient_checkpointing_kwargs={'use_reentrant': False})): the same numbers."
    )
