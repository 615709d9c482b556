"""The core's array functions, in PyTorch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Sequence


class TorchOps:
    """`lca_core.ArrayOps` for tensors; everything stays on their device."""

    def sum(self, array: Any, keep: int | None = None) -> torch.Tensor:
        """Sum in float64 over all axes, or over all but `keep`; count booleans."""
        tensor: torch.Tensor = array
        # Both are faster than with a list of all axes; counting is faster than a sum of booleans.
        if keep is None and tensor.dtype == torch.bool:
            return torch.count_nonzero(tensor)
        if keep is None:
            return tensor.sum(dtype=torch.float64)
        axes = [axis for axis in range(tensor.dim()) if axis != keep]
        wide = torch.int64 if tensor.dtype == torch.bool else torch.float64
        # An empty list of axes means "all" to torch.
        return tensor.sum(axes, dtype=wide) if axes else tensor.to(wide)

    def sign(self, array: Any) -> torch.Tensor:
        """Return -1, 0 or 1."""
        return torch.sign(array)

    def take(self, array: Any, places: np.ndarray) -> torch.Tensor:
        """Return the elements at some places."""
        return torch.take(array, torch.as_tensor(places, device=array.device))

    def histogram(self, array: Any) -> torch.Tensor:
        """Count the elements by their first 11 bits."""
        bits = array.reshape(-1).to(torch.float32).view(torch.int32)
        # A shift of a negative number fills with ones.
        return torch.bincount((bits >> 21) & 2047, minlength=2048).to(array.dtype)

    def concat(self, arrays: Sequence[Any]) -> torch.Tensor:
        """Join numbers and vectors."""
        return torch.cat([array.reshape(-1) for array in arrays]) if arrays else torch.zeros(0)

    def to_numpy(self, array: Any) -> np.ndarray:
        """Copy to the host; a copy even of host tensors, so that it is owned."""
        return np.array(array.detach().cpu().numpy())

    def from_numpy(self, array: np.ndarray, like: Any) -> torch.Tensor:
        """Bring a host array to the device and type of `like`."""
        return torch.tensor(array, dtype=like.dtype, device=like.device)
