"""Batches handed to a model that may write into them: the data stay what they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import torch
from attrs import define
from torch import Tensor
from torch.utils import _pytree as pytree

from lca_core.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@define
class Batch:
    """A batch taken apart, so that every look gets containers of its own."""

    leaves: list[Any]
    form: Any

    @classmethod
    def of(cls, batch: Any) -> Self:
        """Take a batch apart; its tensors are shared."""
        return cls(*pytree.tree_flatten(batch))

    @property
    def versions(self) -> list[int]:
        """How often each tensor was written to, through whichever view."""
        return [leaf._version for leaf in self.leaves if isinstance(leaf, Tensor)]

    def put_together(self) -> Any:
        """Return the batch in fresh containers."""
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
    pairs = zip(one.leaves, other.leaves, strict=True)
    return all(torch.equal(a, b) for a, b in pairs if isinstance(a, Tensor))
