"""Where a step ends, and what moved on it; asked of the device only by who wants to know."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from attrs import field, frozen

from lca_core.errors import LeafError
from lca_core.leafwise import moves

if TYPE_CHECKING:
    from lca_core.layout import Layout
    from lca_core.typing import Array, ArrayOps, Snapshot


@frozen
class Move:
    """A step of the training.

    Args:
        start: θ_t.
        end: θ_{t+1}.
        ops: the framework's array functions.
        layout: the leaves.
    """

    start: Snapshot
    end: Snapshot
    ops: ArrayOps = field(repr=False)
    layout: Layout = field(repr=False)

    @cached_property
    def params(self) -> bool:
        """Whether a parameter moved."""
        start, end = self.start.params, self.end.params
        cheapest_first = self.layout.smallest_first
        return any(moves(self.ops, end[name] - start[name]) for name in cheapest_first)

    @cached_property
    def buffers(self) -> bool:
        """Whether a buffer moved.

        Raises:
            LeafError: there are other buffers than before, or of another shape.
        """
        start, end = self.start.buffers, self.end.buffers
        if start.keys() != end.keys():
            msg = (
                f"The model's buffers changed from {sorted(start)} to {sorted(end)}. "
                "Start a new tracker when the model's structure changes."
            )
            raise LeafError(msg)
        if not start:
            return False
        for key, before in start.items():
            _check_shape(key, before, end[key])
        # Comparisons, not differences: a mask that holds infinities stands still.
        changes = [self.ops.sum(end[k] < start[k]) + self.ops.sum(end[k] > start[k]) for k in start]
        if np.any(self.ops.to_numpy(self.ops.concat(changes)) != 0):
            return True
        # A NaN compares with nothing: it shows in the sums.
        before, after = (
            self.ops.to_numpy(self.ops.concat([self.ops.sum(side[k]) for k in start]))
            for side in (start, end)
        )
        return bool(np.any(np.isnan(before) != np.isnan(after)))


def _check_shape(buffer: str, before: Array, after: Array) -> None:
    shapes = tuple(before.shape), tuple(after.shape)
    if shapes[0] != shapes[1]:
        msg = (
            f"Buffer '{buffer}' changed its shape from {shapes[0]} to {shapes[1]}. "
            "Start a new tracker when the model's structure changes."
        )
        raise LeafError(msg)
