"""Which arithmetic a look computes in, and how far its rounding reaches."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import torch

from lca_core.errors import RuleError
from lca_torch.handing import copied
from lca_torch.members import Members
from lca_torch.saved import show_saved

if TYPE_CHECKING:
    from torch import Tensor

    from lca_torch.oracle import TorchOracle
    from lca_torch.parameters import Leaves

_TF32_EPS = 2.0**-10
_HALVES = (torch.float16, torch.bfloat16)


def machine_epsilon(leaves: Leaves, device: torch.device, autocast: torch.dtype | None) -> float:
    """Return the epsilon of the least precise arithmetic that the leaves and `autocast` ask for.

    Raises:
        RuleError: `autocast` is no lower precision.
    """
    if autocast not in (None, *_HALVES):
        msg = f"autocast must be torch.bfloat16, torch.float16 or None, got {autocast!r}."
        raise RuleError(msg)
    live = Members.of(leaves.model).parameters
    kinds = [live[key].dtype for key in leaves.keys.values()]
    coarsest = max(torch.finfo(kind).eps for kind in (*kinds, autocast) if kind)
    tf32 = device.type == "cuda" and torch.backends.cuda.matmul.allow_tf32
    return max(coarsest, _TF32_EPS) if tf32 else coarsest


def halves(oracle: TorchOracle, batch: Any) -> frozenset[torch.dtype]:
    """Return the 16-bit types of what a look keeps for its gradient: it computes in them.

    As where a frozen body is of such a type, or the model enters `torch.autocast` by itself. What
    no leaf reaches rounds as it did before, and is not noise.

    Args:
        oracle: what looks.
        batch: a few examples.
    """
    kinds: set[torch.dtype] = set()

    def note(tensor: Tensor) -> None:
        kinds.add(tensor.dtype)

    # A loss that differentiates inside by `torch.func` shows nothing: then nothing is known.
    with suppress(RuntimeError), oracle.measuring() as live:
        show_saved(note, oracle.measured, live, live.copies(), copied(batch))
    return frozenset(kinds & {*_HALVES})
