"""Which batches can be cut or joined: those whose parts all have one row an example."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence
from torch.utils import _pytree as pytree

from lca_core.errors import DataError


def can_be_cut(batch: Any) -> bool:
    """Return whether everything in a batch is a tensor, or nothing, and all are as long."""
    leaves = [leaf for leaf in pytree.tree_leaves(batch) if leaf is not None]
    tensors_alone = all(isinstance(leaf, Tensor) and leaf.dim() for leaf in leaves)
    return tensors_alone and len(first_lengths(batch)) == 1


def is_clear(batch: Any) -> bool:
    """Return whether all tensors tell one number of examples; numbers alone tell none."""
    return len(first_lengths(batch) - {0}) == 1


def doubled(batch: Any, examples: int) -> Any:
    """Return a batch in which every example comes twice, in tensors and in lists of that length.

    Args:
        batch: the batch.
        examples: in it.
    """

    def is_list(part: Any) -> bool:
        return isinstance(part, list) and len(part) == examples and not _tensors_in(part)

    def twice(part: Any) -> Any:
        if is_list(part):
            return [*part, *part]
        rows = isinstance(part, Tensor) and part.dim() > 0
        return torch.cat([part, part]) if rows else part

    return pytree.tree_map(twice, batch, is_leaf=is_list)


def first_lengths(batch: Any) -> set[int]:
    """Return the lengths of all tensors along their first axis, 0 for a number alone."""
    leaves = pytree.tree_leaves(batch)
    return {len(leaf) if leaf.dim() else 0 for leaf in leaves if isinstance(leaf, Tensor)}


def check_uncut(batch: Any, examples: int, size: int) -> None:
    """Raise a `DataError` where a batch that cannot be cut holds more examples than asked for.

    Args:
        batch: the batch.
        examples: in it.
        size: the most that may be evaluated at once.
    """
    if examples <= size:
        return
    msg = (
        f"A batch of {examples} examples would have to be cut to {size}, but cannot be: its parts "
        f"do not all have one row an example (first lengths {sorted(first_lengths(batch))}), as "
        "with graphs, boxes, packed sequences or Python lists. Let the loader make batches of at "
        f"most {size} examples, or pass batch_size={examples} or more."
    )
    raise DataError(msg)


def joined(batches: list[Any]) -> Any:
    """Return batches as one; None where they differ in more than their number of examples."""

    def form(batch: Any) -> Any:
        leaves, structure = pytree.tree_flatten(batch)
        if not all(isinstance(leaf, Tensor) for leaf in leaves):
            return None
        return structure, [(leaf.shape[1:], leaf.dtype) for leaf in leaves]

    forms = [form(batch) for batch in batches]
    if forms[0] is None or any(one != forms[0] for one in forms):
        return None
    return pytree.tree_map(lambda *parts: torch.cat(parts), *batches)


def on_device(batch: Any, device: torch.device) -> Any:
    """Return a batch on the device, in containers of its own, out of any graph."""

    def moved(leaf: Any) -> Any:
        if isinstance(leaf, PackedSequence):  # its lengths stay on the CPU
            packed: Any = leaf
            return packed.to(device)
        if not isinstance(leaf, Tensor):
            return leaf
        # Tensors of inference mode cannot be differentiated through: a copy can.
        own = leaf.clone() if leaf.is_inference() else leaf.detach()
        return own.to(device, non_blocking=True)

    return pytree.tree_map(moved, batch, is_leaf=lambda part: isinstance(part, PackedSequence))


def _tensors_in(part: Any) -> bool:
    return any(isinstance(leaf, Tensor) for leaf in pytree.tree_leaves(part))
