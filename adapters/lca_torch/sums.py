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

    from lca_torch.losses import Weighted


class Sums:
    """Weighted losses, weights and gradients, added up batch by batch.

    Args:
        points: leaf name -> what to differentiate by.
        like: leaves; the gradient lies as they do.
        weight: of all batches; None to add theirs up.
        half: the arithmetic is float16, in which the gradient of a sum overflows.
    """

    def __init__(
        self,
        points: Mapping[str, Tensor],
        like: Params,
        *,
        weight: float | None = None,
        half: bool = False,
    ) -> None:
        # Numbers only before the first batch, float64 on the device behind it.
        self.loss: Any = 0.0
        self.weight: Any = 0.0 if weight is None else weight
        self._known = self._scaled = weight is not None
        self._points = points
        self._like = like
        self._half = half
        self._gradient: Params | None = None
        self._scale: Any = 1.0

    def add_weight(self, found: Weighted) -> None:
        """Add the weight of a batch, and nothing else."""
        self.weight += found.weigh()

    def add(self, found: Weighted) -> None:
        """Add a batch."""
        self.loss += found.losses.detach().sum(dtype=torch.float64)
        if not self._known:
            self.add_weight(found)
        if self._gradient is None:
            self._gradient = self._received()
        if found.losses.requires_grad:  # otherwise the loss uses no leaf at all
            self._differentiate(found, self._gradient)

    def mean(self) -> Evaluation:
        """Return loss and gradient a unit of weight; only once: sums become means in place."""
        gradient = self._received() if self._gradient is None else self._gradient
        if self._half:
            gradient = each(lambda leaf: leaf.mul_(self._scale), gradient)
        if not self._scaled:
            gradient = each(lambda leaf: leaf.div_(self.weight), gradient)
        return Evaluation(self.loss / self.weight, gradient)

    def _received(self) -> Params:
        """Return zeros to which autograd adds every gradient where it lies, as soon as it is made.

        No gradient is held twice, nor copied together afterwards. Without them autograd would keep
        the first gradients as they come, and add to them in place: those of two leaves can share
        their memory (of `a` and `b` in `a.view(-1) + b.view(-1)`), and one can be the user's own.
        """
        zeros = each(torch.zeros_like, self._like)
        for name, point in self._points.items():
            point.grad = cast("Tensor", zeros[name])
        return zeros

    def _differentiate(self, found: Weighted, gradient: Params) -> None:
        """Add the gradient of the sum of a batch; of the mean, where the weight is known."""
        losses, points = found.losses, list(self._points.values())
        # In 16 bits 1 / weight may be off by 0.2 %, and all of the gradient with it.
        self._scaled = self._known and losses.itemsize >= 4 and not self._half
        if self._half:
            self._rescale(gradient, _power_of_two(found.weigh()))
            losses, start = losses.sum(dtype=torch.float32), self._scale.reciprocal()
        else:
            start = losses.new_full((), 1.0 / self.weight if self._scaled else 1.0)
        try:
            # The sum of the losses is the same to each of them: it need not be taken.
            torch.autograd.backward(losses, start.expand_as(losses), inputs=points)
        except RuntimeError as error:
            if "use_reentrant" in str(error):
                raise _reentrant() from error
            raise

    def _rescale(self, gradient: Params, scale: Tensor) -> None:
        """Let what was added up be of the scale of the batch to come."""
        ratio = self._scale / scale
        each(lambda leaf: leaf.mul_(ratio), gradient)
        self._scale = scale


def _power_of_two(weight: Any) -> Tensor:
    """Return about the weight of a batch, dividing by which rounds nothing.

    Not more than 1,024: float16 underflows, too.
    """
    near = torch.as_tensor(weight, dtype=torch.float32)
    return near.clamp(2.0**-10, 2.0**10).log2().round().exp2()


def _reentrant() -> UnsupportedError:
    return UnsupportedError(
        "The model checkpoints its activations with use_reentrant=True, which adds gradients to "
        "the .grad of your training and knows no other way. Pass use_reentrant=False to "
        "torch.utils.checkpoint (in transformers: gradient_checkpointing_enable("
        "gradient_checkpointing_kwargs={'use_reentrant': False})): the same numbers."
    )
