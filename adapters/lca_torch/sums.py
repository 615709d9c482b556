"""Losses and gradients of batches, added up to those of all data."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, cast

import torch

from lca_core import Evaluation, Params
from lca_core.errors import UnsupportedError
from lca_core.leafwise import each

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from lca_torch.losses import Weighted


_FIRST, _STEP = 2.0**20, 2.0**-5


class Sums:
    """Weighted losses, weights and gradients, added up batch by batch.

    Args:
        points: leaf name -> what to differentiate by.
        like: leaves; the gradient lies as they do.
        weight: of all batches; None to add theirs up.
        half: the arithmetic is float16, in which gradients overflow, or vanish.
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
        self._scale = _FIRST

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
            self._differentiate(found)

    def mean(self) -> Evaluation:
        """Return loss and gradient a unit of weight; only once: sums become means in place."""
        gradient = self._received() if self._gradient is None else self._gradient
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

    def _differentiate(self, found: Weighted) -> None:
        """Add the gradient of the sum of a batch; of the mean, where the weight is known."""
        losses, points = found.losses, list(self._points.values())
        # In 16 bits 1 / weight may be off by 0.2 %, and all of the gradient with it.
        self._scaled = self._known and losses.itemsize >= 4 and not self._half
        try:
            if self._half:
                self._add_scaled(losses.sum(dtype=torch.float32), found.weigh(), points)
                return
            # The sum of the losses is the same to each of them: it need not be taken.
            start = losses.new_full((), 1.0 / self.weight if self._scaled else 1.0)
            torch.autograd.backward(losses, start.expand_as(losses), inputs=points)
        except RuntimeError as error:
            if "use_reentrant" in str(error):
                raise _reentrant() from error
            raise

    def _add_scaled(self, total: Tensor, weight: Any, points: list[Tensor]) -> None:
        """Add the gradient of a sum, differentiated under the largest scale that fits.

        Scales of the mean are 2**20, 2**15, ... 1: the first whose gradient is finite, and from
        then on no larger one. Powers of two are exact.
        """
        while True:
            factor = self._scale * _near(weight)
            found = torch.autograd.grad(
                total, points, total.new_tensor(factor), retain_graph=True, allow_unused=True
            )
            if self._scale <= 1.0 or all(_is_finite(one) for one in found if one is not None):
                break
            self._scale *= _STEP
        for point, one in zip(points, found, strict=True):
            if one is not None:
                cast("Tensor", point.grad).add_(one / factor)


def _near(weight: Any) -> float:
    """Return about 1 / weight, dividing by which rounds nothing."""
    found = float(weight)
    return 2.0 ** -math.frexp(found)[1] if 0.0 < found < math.inf else 1.0


def _is_finite(gradient: Tensor) -> bool:
    values = gradient.coalesce().values() if gradient.is_sparse else gradient
    return bool(torch.isfinite(values).all())


def _reentrant() -> UnsupportedError:
    return UnsupportedError(
        "The model checkpoints its activations with use_reentrant=True, which adds gradients to "
        "the .grad of your training and knows no other way. Pass use_reentrant=False to "
        "torch.utils.checkpoint (in transformers: gradient_checkpointing_enable("
        "gradient_checkpointing_kwargs={'use_reentrant': False})): the same numbers."
    )
