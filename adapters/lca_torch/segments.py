"""Sums over neighbouring stretches of an array, all in one go where the host has it at hand."""

from __future__ import annotations

from functools import cached_property
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from attrs import frozen
from torch import Tensor

from lca_torch.ops import TorchOps

_OPS = TorchOps()


@frozen
class Segments:
    """Stretches of an array, side by side.

    Args:
        lengths: of all of them, in elements; together that of the array.
    """

    lengths: tuple[int, ...]

    def sums(self, array: Any) -> Tensor:
        """Return the sum of every stretch, float64; of booleans int64.

        Args:
            array: a vector, or what is `handy` of it.
        """
        if isinstance(array, Tensor):
            return _OPS.concat([_OPS.sum(part) for part in torch.split(array, list(self.lengths))])
        if array.dtype == bool:
            return torch.from_numpy(self._counted(array))
        with np.errstate(invalid="ignore"):  # infinities of both signs
            return torch.from_numpy(self._added(array, self._begins, np.float64))

    def _counted(self, flags: np.ndarray) -> np.ndarray:
        """Count what is true, eight at once where every stretch is of so many."""
        if self._eighths is None:
            return self._added(flags.view(np.int8), self._begins, np.int64)
        return self._added(np.bitwise_count(flags.view(np.uint64)), self._eighths, np.int64)

    def _added(self, array: np.ndarray, begins: np.ndarray, wide: type) -> np.ndarray:
        """Add in a wider type: NumPy widens piece by piece, and adds pairwise."""
        found: np.ndarray = np.add.reduceat(array, begins, dtype=wide)
        if len(found) == len(self.lengths):
            return found
        sums: np.ndarray = np.zeros(len(self.lengths), found.dtype)
        sums[self._full] = found
        return sums

    @cached_property
    def _full(self) -> np.ndarray:
        """Where there is something to sum; NumPy sums nothing to the next element."""
        full: np.ndarray = np.greater(self.lengths, 0)
        return full

    @cached_property
    def _begins(self) -> np.ndarray:
        begins: np.ndarray = np.array([0, *accumulate(self.lengths)][:-1], np.intp)
        return begins.compress(self._full)

    @cached_property
    def _eighths(self) -> np.ndarray | None:
        """Where they begin in words of eight; None where not all do."""
        fit = all(length % 8 == 0 for length in self.lengths)
        return self._begins // 8 if fit else None
