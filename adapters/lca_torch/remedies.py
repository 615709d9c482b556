"""A loss that cannot be evaluated on the data: remedies are tried out, and told where they work."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import torch
from attrs import frozen
from torch import Tensor

from lca_core.unusable import explained, shaped
from lca_torch.losses import BatchLoss, Objective, readings

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

_TOGETHER = 3
"""The most remedies of the data that are tried at once."""

_INPUTS, _TARGETS = 0, 1


class Remedy(NamedTuple):
    """Another form of inputs or targets.

    Args:
        words: what to pass.
        part: place in the batch.
        fits: (tensor, the parameters' type) -> whether there is something to change.
        change: (tensor, the parameters' type) -> the other form.
    """

    words: str
    part: int
    fits: Callable[[Tensor, torch.dtype], bool]
    change: Callable[[Tensor, torch.dtype], Tensor]


REMEDIES = (
    Remedy(
        "inputs of the parameters' type, x.to({dtype})",
        _INPUTS,
        lambda x, dtype: x.dtype != dtype,
        lambda x, dtype: x.to(dtype),
    ),
    Remedy(
        "integer targets of 64 bits, y.long()",
        _TARGETS,
        lambda y, _: y.dtype != torch.int64,
        lambda y, _: y.long(),
    ),
    Remedy(
        "targets of the parameters' type, y.to({dtype})",
        _TARGETS,
        lambda y, dtype: y.dtype != dtype,
        lambda y, dtype: y.to(dtype),
    ),
    Remedy(
        "targets without their last axis, y.squeeze(-1)",
        _TARGETS,
        lambda y, _: y.dim() > 1 and y.shape[-1] == 1,
        lambda y, _: y.squeeze(-1),
    ),
    Remedy(
        "targets with a last axis of 1, y.unsqueeze(-1)",
        _TARGETS,
        lambda y, _: y.dim() == 1,
        lambda y, _: y.unsqueeze(-1),
    ),
    Remedy(
        "channels before height and width, x.permute(0, 3, 1, 2)",
        _INPUTS,
        lambda x, _: x.dim() == 4,
        lambda x, _: x.permute(0, 3, 1, 2),
    ),
    Remedy(
        "inputs with an axis of channels, x.unsqueeze(1)",
        _INPUTS,
        lambda x, _: x.dim() > 1,
        lambda x, _: x.unsqueeze(1),
    ),
    Remedy(
        "inputs of one axis an example, x.flatten(1)",
        _INPUTS,
        lambda x, _: x.dim() > 2,
        lambda x, _: x.flatten(1),
    ),
)

Evaluate: TypeAlias = Callable[[Objective, Any], object]
"""Evaluates a reading of a loss on a batch, and leaves no trace."""


@frozen
class Passed:
    """What a user passed to be measured.

    Args:
        loss_fn: see `lca_torch.track`.
        batch: a few examples.
        dtype: of the parameters.
    """

    loss_fn: Any
    batch: Any
    dtype: torch.dtype

    def explained(self, where: str, evaluate: Evaluate) -> AbstractContextManager[None]:
        """Say what was passed, and what to pass instead, where it cannot be evaluated.

        Args:
            where: whose loss it is.
            evaluate: tries out remedies.

        Raises:
            LossError: the block raised an error that is none of LCA's own.
        """
        return explained(
            where,
            self._called,
            lambda: (self._told(), self._remedy(evaluate)),
            beside=(torch.OutOfMemoryError,),
        )

    @property
    def _general(self) -> bool:
        return isinstance(self.loss_fn, BatchLoss)

    @property
    def _called(self) -> str:
        return "fn(model, batch)" if self._general else "loss_fn(model(inputs), targets)"

    def _told(self) -> dict[str, str]:
        parts = {"batch": self.batch}
        if not self._general and isinstance(self.batch, (tuple, list)):
            *inputs, targets = self.batch
            parts = {"inputs": inputs[0] if len(inputs) == 1 else inputs, "targets": targets}
        told = {name: shaped(part) for name, part in parts.items()}
        return {**told, "parameters": str(self.dtype).removeprefix("torch.")}

    def _remedy(self, evaluate: Evaluate) -> str:
        """Return the first remedy that works, or where to look."""
        if _works(evaluate, self._other_form(), self.batch):
            if self._general:
                return "It works as loss_fn(outputs, targets): pass it without BatchLoss."
            return "It works as a function of (model, batch): pass BatchLoss(loss_fn)."
        for remedies in self._combinations():
            if _works(evaluate, self.loss_fn, self._changed(remedies)):
                words = " and ".join(one.words for one in remedies)
                return f"It works with {words.format(dtype=self.dtype)}."
        if self._general:
            return "Let fn take such a batch, or change the data."
        return (
            "Let the model take such inputs and the loss its outputs with such targets, change the "
            "data, or pass a loss of another form as BatchLoss(fn) with fn(model, batch)."
        )

    def _other_form(self) -> Any:
        return self.loss_fn.fn if self._general else BatchLoss(self.loss_fn)

    def _combinations(self) -> Iterator[tuple[Remedy, ...]]:
        """Yield the remedies that change something: each alone, then some together."""
        batch = self.batch
        if not isinstance(batch, (tuple, list)) or [type(part) for part in batch] != [Tensor] * 2:
            return
        useful = [one for one in REMEDIES if one.fits(batch[one.part], self.dtype)]
        for size in range(1, _TOGETHER + 1):
            yield from itertools.combinations(useful, size)

    def _changed(self, remedies: Iterable[Remedy]) -> tuple[Tensor, ...]:
        parts = list(self.batch)
        for one in remedies:
            parts[one.part] = one.change(parts[one.part], self.dtype)
        return tuple(parts)


def _works(evaluate: Evaluate, loss_fn: Any, batch: Any) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            evaluate(readings(loss_fn).own, batch)
        except Exception:  # noqa: BLE001 - whatever it raises, it is no remedy
            return False
    return True
