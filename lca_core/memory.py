"""The sink that keeps a run in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
from attrs import define, field

from lca_core.run import Run

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lca_core.header import Header, Totals
    from lca_core.typing import Checkpoint


@define
class MemorySink:
    """Keeps closed segments in memory."""

    header: Header
    _chunks: list[Mapping[str, np.ndarray]] = field(factory=list)
    _totals: Totals = field(factory=dict)
    durable: ClassVar[bool] = False

    def append(self, rows: Mapping[str, np.ndarray]) -> None:
        """Add closed segments."""
        self._chunks.append(rows)

    def checkpoint(self, point: Checkpoint) -> None:
        """Keep the newest running arrays."""
        self._totals = point.totals

    def settle(self) -> None:
        """Nothing is written beside the training."""

    def run(self) -> Run:
        """Return everything recorded."""
        chunks = [empty_rows(self.header), *self._chunks]
        rows = {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}
        return Run(self.header, rows, self._totals)


def empty_rows(header: Header) -> dict[str, np.ndarray]:
    """Return the arrays of a run without steps."""
    rows = {"iteration": np.zeros(0, np.int64)}
    for array in header.declared:
        shape = (0, len(header.measures), *array.shape(header.layout))
        rows[array.name] = np.zeros(shape, array.dtype)
    return rows
