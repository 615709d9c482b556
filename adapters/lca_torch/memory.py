"""How many examples at once: what one costs, and what there is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lca_torch.losses import count
from lca_torch.members import Members
from lca_torch.saved import show_saved

if TYPE_CHECKING:
    from lca_torch.measured import Measured
    from lca_torch.sources import Source

CPU_BUDGET = 64 * 2**20
"""Bytes of activations at once on a CPU: larger chunks leave the caches and gain nothing."""

LARGEST_KEPT = 32 * 2**20 - 2**16
"""Bytes of the largest block, its frame left out, from which glibc learns what to keep."""

SAMPLE = 16
"""Examples that tell what one costs."""

_CUDA_SHARE = 0.25
_SLACK = 2  # gradients of the activations live beside them


def budget(device: torch.device, asked: int | None) -> int:
    """Return the bytes for activations.

    Args:
        device: where the model is.
        asked: for; by default 64 MiB on a CPU, a quarter of the free memory on a GPU.
    """
    if asked is not None:
        return asked
    return (
        int(_CUDA_SHARE * torch.cuda.mem_get_info(device)[0])
        if device.type == "cuda"
        else CPU_BUDGET
    )


def keep_what_is_freed(device: torch.device) -> None:
    """Let the memory of one evaluation serve the next, on a CPU with glibc.

    What is freed at the end of its heap goes back to the system beyond twice the largest block
    that it has seen freed, and the next evaluation gets it anew, page by page: up to a fifth of
    its time. So one large block is freed here, which was never touched. Where another library
    allocates, nothing happens.

    Args:
        device: where the model is.

    Source: mallopt(3), M_MMAP_THRESHOLD and M_TRIM_THRESHOLD; docs/performance.md.
    """
    if device.type == "cpu":
        block = torch.empty(LARGEST_KEPT, dtype=torch.uint8)
        del block


def batch_size(measured: Measured, source: Source, device: torch.device, asked: int | None) -> int:
    """Return how many examples to evaluate at once.

    Args:
        measured: model and loss.
        source: the examples.
        device: where the model is.
        asked: see `budget`.
    """
    batch = source.first(SAMPLE)
    each = saved_bytes(measured, batch) / count(batch)
    return max(1, min(source.examples, int(budget(device, asked) / (_SLACK * max(each, 1.0)))))


def saved_bytes(measured: Measured, batch: Any) -> int:
    """Return the bytes that a forward pass keeps for its backward pass, parameters left out."""
    live = Members.of(measured.model)
    points = live.copies()
    parameters = (*measured.parameters, *points.values())
    seen = {tensor.untyped_storage().data_ptr() for tensor in parameters}
    total = 0

    def count_once(tensor: Tensor) -> None:
        nonlocal total
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in seen:
            seen.add(storage.data_ptr())
            total += min(storage.nbytes(), tensor.numel() * tensor.element_size())

    show_saved(count_once, measured, live, points, batch)
    return total
