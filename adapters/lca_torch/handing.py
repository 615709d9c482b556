"""Batches handed to a model that may write into them: the data stay what they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import torch
from attrs import define, frozen
from torch import Tensor
from torch.utils import _pytree as pytree

from lca_core.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@frozen
class Batch:
    """A batch taken apart, so that every look gets containers of its own.

    Args:
        leaves: all values.
        form: the containers they are in.
        tensors: among the leaves.
        as_it_is: the batch where no container can be changed: putting together is felt.
    """

    leaves: list[Any]
    form: Any
    tensors: tuple[Tensor, ...]
    as_it_is: tuple[Tensor, ...] | None

    @classmethod
    def of(cls, batch: Any) -> Self:
        """Take a batch apart; its tensors are shared."""
        leaves, form = pytree.tree_flatten(batch)
        tensors = tuple(leaf for leaf in leaves if isinstance(leaf, Tensor))
        flat = type(batch) is tuple and all(isinstance(part, Tensor) for part in batch)
        return cls(leaves, form, tensors, tensors if flat else None)

    @property
    def versions(self) -> list[int]:
        """How often each tensor was written to, through whichever view."""
        return [tensor._version for tensor in self.tensors]

    def put_together(self) -> Any:
        """Return the batch in fresh containers."""
        if self.as_it_is is not None:
            return self.as_it_is
        return pytree.tree_unflatten(self.leaves, self.form)


@define
class Handing:
    """How batches go to the model: as views of the data, or as copies where it writes into them.

    Args:
        copies: whether the model writes into its batches.
    """

    copies: bool = False

    def out(self, batch: Batch) -> Iterator[Any]:
        """Yield a batch, and look at it when it comes back.

        Raises:
            DataError: it was written to, although the model did not write when it was tried.
        """
        if self.copies:
            yield copied(batch.put_together())
            return
        before = batch.versions
        yield batch.put_together()
        if batch.versions != before:
            msg = (
                "The model or the loss wrote into a batch of the data, which it did not do when "
                "it was tried on the first examples: these data are no longer what they were. "
                "Let it write into a copy, x = x.clone(), and load the data anew."
            )
            raise DataError(msg)

    def try_out(self, batch: Any, look: Callable[[Any], None]) -> None:
        """Find out whether a look at a batch writes into it; later batches are handed out so.

        Args:
            batch: a copy of a few examples.
            look: evaluates it.
        """
        kept = Batch.of(copied(batch))
        values, versions = Batch.of(copied(batch)), kept.versions
        look(kept.put_together())
        self.copies |= kept.versions != versions or not _same(kept, values)


def copied(batch: Any) -> Any:
    """Return a batch with memory and containers of its own."""
    return pytree.tree_map_only(Tensor, lambda t: t.detach().clone(), batch)


def _same(one: Batch, other: Batch) -> bool:
    """Return whether all tensors hold the same values: `x.data` and numpy count no versions."""
    return all(map(torch.equal, one.tensors, other.tensors))
