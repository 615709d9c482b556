"""What a tracked step notes, written by hand for one network: the arithmetic, and nothing else.

No checks, no guards of the training, no tolerance, no record. How far a tracker can come down.
"""

from __future__ import annotations

from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from lca_core.chunks import even_cuts
from lca_core.leafwise import add_exactly

if TYPE_CHECKING:
    from collections.abc import Iterable


class Noted(NamedTuple):
    """One step: loss and gap, the allocation of every leaf and unit, how many helped and hurt."""

    loss: float
    gap: float
    leaves: np.ndarray
    units: np.ndarray
    helped: np.ndarray
    hurt: np.ndarray


class ByHand:
    """A step of the trapezoid rule on a model of dense layers, and the totals so far.

    Args:
        model: in the mode in which it is measured.
        x, y: all examples; classes.
        size: examples evaluated at once.
    """

    def __init__(self, model: nn.Module, x: Tensor, y: Tensor, size: int) -> None:
        self._model, self._each = model, nn.CrossEntropyLoss(reduction="none")
        cuts = pairwise(even_cuts(len(y), size))
        self._batches = [(x[begin:end], y[begin:end]) for begin, end in cuts]
        self._examples, self._share = len(y), torch.tensor(1.0 / len(y))
        self._params = list(model.parameters())
        self._leaves = _begins(p.numel() for p in self._params)
        units = [p[0].numel() for p in self._params for _ in range(len(p))]
        self._units = _begins(units)
        self._first_units = _begins(len(p) for p in self._params)
        self._theta, (self._loss, self._gradient) = self._flat(self._params), self._look()
        self.total = self._rounding = torch.zeros_like(self._theta)

    def step(self) -> Noted:
        """Close the step to where the model stands now."""
        theta = self._flat(self._params)
        loss, gradient = self._look()
        allocation = (self._gradient + gradient).mul_(0.5).mul_(theta - self._theta)
        self.total, self._rounding = add_exactly(self.total, self._rounding, allocation)
        at_hand = allocation.numpy()
        units = np.add.reduceat(at_hand, self._units, dtype=np.float64)
        leaves = np.add.reduceat(units, self._first_units)
        helped, hurt = (self._counted(signs) for signs in (at_hand < 0, at_hand > 0))
        gap = loss - self._loss - leaves.sum()
        self._theta, self._loss, self._gradient = theta, loss, gradient
        return Noted(loss, gap, leaves, units, helped, hurt)

    def _look(self) -> tuple[float, Tensor]:
        """Return loss and gradient over all examples; `.grad` is the training's again behind it."""
        kept = [p.grad for p in self._params]
        for p in self._params:
            p.grad = None
        total = torch.zeros((), dtype=torch.float64)
        for x, y in self._batches:
            losses = self._each(self._model(x), y)
            total += losses.detach().sum(dtype=torch.float64)
            losses.sum().backward(self._share)
        gradient = self._flat([p.grad for p in self._params if p.grad is not None])
        for p, before in zip(self._params, kept, strict=True):
            p.grad = before
        return total.item() / self._examples, gradient

    def _flat(self, tensors: list[Tensor]) -> Tensor:
        return torch.cat([one.detach().reshape(-1) for one in tensors])

    def _counted(self, signs: np.ndarray) -> np.ndarray:
        counts: np.ndarray = np.add.reduceat(signs.view(np.int8), self._leaves, dtype=np.int32)
        return counts


def _begins(lengths: Iterable[int]) -> np.ndarray:
    return np.array([0, *accumulate(lengths)][:-1], np.intp)
