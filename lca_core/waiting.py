"""Closed segments that wait to be written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lca_core.rows import Rows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lca_core.allocate import Record
    from lca_core.typing import Declared

_AT_ONCE = 16
"""Segments that are brought to the host together."""


class Waiting:
    """Closed segments, until somebody has written them: few as they came, the others as `Rows`.

    Args:
        declared: the arrays of a segment.
        host: brings one to the host.
    """

    def __init__(self, declared: Sequence[Declared], host: Callable[[Any], Any]) -> None:
        self._declared = declared
        self._host = host
        self._newest: list[tuple[int, Record]] = []
        self._older = Rows()

    def __len__(self) -> int:
        """Count the segments."""
        return len(self._newest) + len(self._older)

    def add(self, iteration: int, record: Record) -> None:
        """Take a segment.

        Args:
            iteration: of the optimizer, at its end.
            record: measure -> array -> value.
        """
        self._newest.append((iteration, record))

    def tidy(self) -> None:
        """Copy what came since, if it is enough."""
        if len(self._newest) >= _AT_ONCE:
            self._copy()

    def rows(self) -> dict[str, np.ndarray]:
        """Return all segments, one at least, and keep them: array -> values."""
        if self._newest:
            self._copy()
        return self._older.joined()

    def clear(self) -> None:
        """Forget them."""
        self._newest.clear()
        self._older.clear()

    def _copy(self) -> None:
        self._older.add(self._on_host())
        self._newest.clear()

    def _on_host(self) -> dict[str, np.ndarray]:
        rows = {"iteration": np.array([iteration for iteration, _ in self._newest])}
        for array in self._declared:
            values = [
                [self._host(of_measure[array.name]) for of_measure in record.values()]
                for _, record in self._newest
            ]
            rows[array.name] = _typed(np.array(values), array.dtype)
        return rows


def _typed(values: np.ndarray, dtype: str) -> np.ndarray:
    """Return values in the declared type; what is not a number counts as 0 where it counts."""
    if np.dtype(dtype).kind == "i" and values.dtype.kind == "f":
        values = np.where(np.isfinite(values), values, 0.0)
    return values.astype(dtype, copy=False)
