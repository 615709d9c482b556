"""Small arrays on the host: NumPy looks at them in less time than PyTorch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

LONGEST = 1 << 20
"""Elements of what the host looks at, which does it in one thread."""


def handy(array: Tensor) -> Any:
    """Return what the host has at hand as NumPy sees it, the tensor itself otherwise."""
    return array.numpy() if array.is_cpu and array.numel() <= LONGEST else array
