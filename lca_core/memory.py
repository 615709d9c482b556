"""The sink that keeps a run in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
from attrs import define, field

from lca_core.rows import Rows
from lca_core.run import Run

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lca_core.header import Header, Totals
    from lca_core.typing import Checkpoint


@define
class MemorySink:
    """Keeps closed segments in memory."""

    header: Header
    _rows: Rows = field(factory=Rows)
    _totals: Totals = field(factory=dict)
    durable: ClassVar[bool] = False

    def append(self, rows: Mapping[str, np.ndarray]) -> None:
        """Add closed segments."""
        self._rows.add(rows)

    def checkpoint(self, point: Checkpoint) -> None:
        """Keep the newest running arrays."""
        self._totals = point.totals

    def so_far(self) -> Run:
        """Return everything recorded so far."""
        return self.run()

    def run(self) -> Run:
        """Return everything recorded."""
        rows = self._rows.joined() if len(self._rows) else empty_rows(self.header)
        return Run(self.header, rows, self._totals)


def empty_rows(header: Header) -> dict[str, np.ndarray]:
    """Return the arrays of a run without steps."""
    rows = {"iteration": np.zeros(0, np.int64)}
    for array in header.declared:
        shape = (0, len(header.measures), *array.shape(header.layout))
        rows[array.name] = np.zeros(shape, array.dtype)
    return rows
