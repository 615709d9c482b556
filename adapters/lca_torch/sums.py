"""Losses and gradients of batches, added up to those of all data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch

from lca_core import Evaluation, Params
from lca_core.errors import UnsupportedError
from lca_core.leafwise import each

if TYPE_CHECKING:
    from collections.abc import Mapping

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
        self._gradient: Params | None = None
        self._scale: Any = 1.0

    def add_weight(self, _: Tensor, weights: Tensor) -> None:
        """Add the weights of a batch, and nothing else."""
        self.weight += weights.detach().sum(dtype=torch.float64)

    def add(self, losses: Tensor, weights: Tensor) -> None:
        """Add a batch."""
        self.loss += losses.detach().sum(dtype=torch.float64)
        self.add_weight(losses, weights)
        if self._gradient is None:
            self._gradient = self._received()
        if losses.requires_grad:  # otherwise the loss uses no leaf at all
            self._differentiate(losses, weights, self._gradient)

    def mean(self, weight: float | None = None) -> Evaluation:
        """Return loss and gradient a unit of weight; only once, since sums become means in place.

        Args:
            weight: of all batches; None for what was added up.
        """
        # A Python float is three times as fast as a number on the device, where it is at hand.
        divisor = self.weight if weight is None else weight
        share = self._scale / divisor
        gradient = self._received() if self._gradient is None else self._gradient
        mean = each(lambda leaf: leaf.mul_(share), gradient)
        return Evaluation(self.loss / divisor, mean)

    def _received(self) -> Params:
        """Return zeros to which autograd adds every gradient where it lies, as soon as it is made.

        No gradient is held twice, nor copied together afterwards.
        """
        zeros = each(torch.zeros_like, self._like)
        for name, point in self._points.items():
            point.grad = cast("Tensor", zeros[name])
        return zeros

    def _differentiate(self, losses: Tensor, weights: Tensor, gradient: Params) -> None:
        """Add the gradient of the sum of a batch."""
        if self._half:
            self._rescale(gradient, _power_of_two(weights))
            total, start = losses.sum(dtype=torch.float32), self._scale.reciprocal()
        else:
            total, start = losses.sum(), None
        try:
            torch.autograd.backward(total, start, inputs=list(self._points.values()))
        except RuntimeError as error:
            if "use_reentrant" in str(error):
                raise _reentrant() from error
            raise

    def _rescale(self, gradient: Params, scale: Tensor) -> None:
        """Let what was added up be of the scale of the batch to come."""
        ratio = self._scale / scale
        each(lambda leaf: leaf.mul_(ratio), gradient)
        self._scale = scale


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
