"""Losses and gradients of batches, added up to those of all data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import torch

from lca_core import Evaluation, Params
from lca_core.errors import UnsupportedError
from lca_core.leafwise import each
from lca_core.packed import Packed

if TYPE_CHECKING:
    from collections.abc import Iterator

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
        self._known = weight is not None
        self._points = points
        self._like = like
        self._half = half
        self._gradient: Params | None = None
        self._scale: Any = 1.0

    def add_weight(self, found: Weighted) -> None:
        """Add the weight of a batch, and nothing else."""
        self.weight += found.weigh()

    def add(self, found: Weighted) -> None:
        """Add a batch; autograd adds its gradient to those of the points."""
        self.loss += found.losses.detach().sum(dtype=torch.float64)
        if not self._known:
            self.add_weight(found)
        if found.losses.requires_grad:  # otherwise the loss uses no leaf at all
            self._differentiate(found)

    def gather(self) -> None:
        """Take the gradient from the points, which are free for other sums then."""
        left, like = _Left(self._points), self._like
        self._gradient = Packed.of(left, like.packing) if isinstance(like, Packed) else dict(left)

    def mean(self) -> Evaluation:
        """Return loss and gradient a unit of weight; only once: sums become means in place."""
        if self._gradient is None:
            self.gather()
        gradient = cast("Params", self._gradient)
        if self._half:
            gradient = each(lambda leaf: leaf.mul_(self._scale), gradient)
        if self._half or not self._known:
            gradient = each(lambda leaf: leaf.div_(self.weight), gradient)
        return Evaluation(self.loss / self.weight, gradient)

    def _differentiate(self, found: Weighted) -> None:
        """Add the gradient of the sum of a batch; of the mean, where the weight is known."""
        losses = found.losses
        if self._half:
            self._rescale(_power_of_two(found.weigh()))
            losses, start = losses.sum(dtype=torch.float32), self._scale.reciprocal()
        else:
            start = losses.new_full((), 1.0 / self.weight if self._known else 1.0)
        try:
            # The gradient of a sum of losses is the same for each: no kernel need sum them.
            torch.autograd.backward(
                losses, start.expand_as(losses), inputs=list(self._points.values())
            )
        except RuntimeError as error:
            if "use_reentrant" in str(error):
                raise _reentrant() from error
            raise

    def _rescale(self, scale: Tensor) -> None:
        """Let what was added up be of the scale of the batch to come."""
        ratio = self._scale / scale
        for point in self._points.values():
            if point.grad is not None:
                point.grad.mul_(ratio)
        self._scale = scale


class _Left(Mapping[str, Any]):
    """What autograd has left in the `.grad` of points; each is given up as it is read.

    So no gradient is there twice, but for those that are being copied together.

    Args:
        points: leaf name -> what was differentiated by.
    """

    def __init__(self, points: Mapping[str, Tensor]) -> None:
        self._points = points

    def __getitem__(self, name: str) -> Tensor:
        """Return a gradient; zeros where there is none, as the loss does not use the leaf."""
        point = self._points[name]
        gradient, point.grad = point.grad, None
        if gradient is None:
            return torch.zeros_like(point, requires_grad=False)
        return gradient.to_dense() if gradient.is_sparse else gradient

    def __iter__(self) -> Iterator[str]:
        """Go through the names."""
        return iter(self._points)

    def __len__(self) -> int:
        """Count the points."""
        return len(self._points)


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
