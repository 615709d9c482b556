"""The core's array functions, in PyTorch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from lca_core.observers.distribution import BINS
from lca_torch.handy import handy

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDENED_AT_ONCE = 1 << 20
"""Elements: a CPU makes a float64 copy of what it sums in float64."""


class TorchOps:
    """`lca_core.ArrayOps` for tensors; everything stays on their device."""

    def sum(self, array: Any, keep: int | None = None) -> torch.Tensor:
        """Sum in float64 over all axes, or over all but `keep`; count booleans."""
        tensor: torch.Tensor = array
        # Both are faster than with a list of all axes; counting is faster than a sum of booleans.
        if keep is None and tensor.dtype == torch.bool:
            return torch.count_nonzero(tensor)
        if keep is None:
            sums = [piece.sum(dtype=torch.float64) for piece in _pieces(tensor, 0)]
            return sums[0] if len(sums) == 1 else torch.stack(sums).sum()
        axes = [axis for axis in range(tensor.dim()) if axis != keep]
        wide = torch.int64 if tensor.dtype == torch.bool else torch.float64
        if not axes:  # an empty list means "all" to torch
            return tensor.to(wide)
        rows = [piece.sum(axes, dtype=wide) for piece in _pieces(tensor, keep)]
        return rows[0] if len(rows) == 1 else torch.cat(rows)

    def sign(self, array: Any) -> torch.Tensor:
        """Return -1, 0 or 1."""
        return torch.sign(array)

    def take(self, array: Any, places: np.ndarray) -> torch.Tensor:
        """Return the elements at some places."""
        return torch.take(array, torch.as_tensor(places, device=array.device))

    def histogram(self, array: Any) -> torch.Tensor:
        """Count the elements by their first 11 bits."""
        floats = handy(array.reshape(-1).to(torch.float32))
        if isinstance(floats, np.ndarray):
            counts = np.bincount(floats.view(np.uint32) >> 21, minlength=BINS)
            return torch.from_numpy(counts).to(array.dtype)
        # A shift of a negative number fills with ones.
        bits = (floats.view(torch.int32) >> 21) & (BINS - 1)
        return torch.bincount(bits, minlength=BINS).to(array.dtype)

    def concat(self, arrays: Sequence[Any]) -> torch.Tensor:
        """Join numbers and vectors."""
        return torch.cat([array.reshape(-1) for array in arrays]) if arrays else torch.zeros(0)

    def to_numpy(self, array: Any) -> np.ndarray:
        """Copy to the host; a copy even of host tensors, so that it is owned."""
        return np.array(array.detach().cpu().numpy())

    def from_numpy(self, array: np.ndarray, like: Any) -> torch.Tensor:
        """Bring a host array to the device and type of `like`."""
        owned = torch.from_numpy(np.array(array, order="C"))
        return owned.to(like.device, like.dtype)


def _pieces(tensor: torch.Tensor, axis: int) -> tuple[torch.Tensor, ...]:
    """Cut a large tensor on a CPU along an axis, for sums in wider types."""
    if tensor.numel() <= WIDENED_AT_ONCE or tensor.device.type != "cpu":
        return (tensor,)
    rows = WIDENED_AT_ONCE * tensor.shape[axis] // tensor.numel()
    return torch.split(tensor, max(1, rows), dim=axis)
