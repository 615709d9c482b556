"""Closed segments side by side, in few large arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from attrs import define

if TYPE_CHECKING:
    from collections.abc import Mapping

_BYTES, _LONGEST = 2**24, 256
"""Of an array that segments are copied into: the size of all of a kind, and segments, at most."""


@define
class _Block:
    """Arrays with room for many segments, and how many are in them."""

    arrays: Mapping[str, np.ndarray]
    filled: int = 0

    @classmethod
    def like(cls, rows: Mapping[str, np.ndarray]) -> _Block:
        """Make room for segments like these."""
        count = len(rows["iteration"])
        each = sum(array.nbytes for array in rows.values()) // count
        room = max(count, min(_LONGEST, _BYTES // max(each, 1)))
        return cls({k: np.empty((room, *one.shape[1:]), one.dtype) for k, one in rows.items()})

    def takes(self, count: int) -> bool:
        """Return whether there is room for so many more."""
        return self.filled + count <= len(self.arrays["iteration"])

    def add(self, rows: Mapping[str, np.ndarray]) -> None:
        """Copy segments; they are in once all of them are."""
        end = self.filled + len(rows["iteration"])
        for name, array in rows.items():
            self.arrays[name][self.filled : end] = array
        self.filled = end


class Rows:
    """The arrays of closed segments, a row a segment.

    Many small arrays would come to lie among the large ones of evaluations and tear the host's
    heap to pieces, which then grows by megabytes a step. So they are copied into arrays made for
    hundreds of segments.
    """

    def __init__(self) -> None:
        self._blocks: list[_Block] = []

    def __len__(self) -> int:
        """Count the segments."""
        return sum(block.filled for block in self._blocks)

    def add(self, rows: Mapping[str, np.ndarray]) -> None:
        """Copy segments, one at least.

        Args:
            rows: array -> values, shape (segments, measures, ...); "iteration" among them.
        """
        if not self._blocks or not self._blocks[-1].takes(len(rows["iteration"])):
            self._blocks.append(_Block.like(rows))
        self._blocks[-1].add(rows)

    def joined(self) -> dict[str, np.ndarray]:
        """Return all segments, one at least, as copies."""
        return {
            name: np.concatenate([block.arrays[name][: block.filled] for block in self._blocks])
            for name in self._blocks[0].arrays
        }

    def clear(self) -> None:
        """Forget the segments; room that is there is used again."""
        del self._blocks[1:]
        for block in self._blocks:
            block.filled = 0
