"""An array of a run file: what was lost or damaged is refused, never read as something else."""

from __future__ import annotations

from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from attrs import field, frozen

from lca_core.errors import RunFileError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import zarr

_UNREADABLE = (RuntimeError, ValueError, EOFError)
"""What decompressing and shaping raise."""


@frozen
class Stored:
    """One array, read when asked for; reads like a numpy array.

    Args:
        path: the run file, as messages say it.
        name: of the array.
        rows: how many values along its first axis count; later ones may be half-written.
        whole: whether every chunk was written. Otherwise one that is not there reads as unknown:
            Zarr leaves out what holds nothing else.

    Raises:
        RunFileError: the array is not in the file, or fewer values than count; when it is read,
            a part of it is lost or damaged.
    """

    path: Path
    name: str
    rows: int
    whole: bool
    _values: zarr.Array[Any] = field(repr=False)

    def __attrs_post_init__(self) -> None:
        there = self._values.shape[0] if self._values.shape else 0
        if there < self.rows:
            self._refuse(f"expected {self.rows} values along its first axis, got {there}")

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the axes."""
        return (self.rows, *self._values.shape[1:]) if self._values.shape else ()

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the values."""
        return np.dtype(self._values.dtype)

    @property
    def chunks(self) -> tuple[int, ...]:
        """What the file keeps together."""
        return self._values.chunks

    def __getitem__(self, places: Any) -> Any:
        """Read values."""
        if self.whole and self._lost:
            self._refuse(f"its part '{self._lost}' is not there")
        try:
            return self._values[places]
        except _UNREADABLE as error:
            self._refuse(str(error), error)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:  # noqa: FBT001
        """Read all values that count."""
        return np.asarray(self[: self.rows] if self.shape else self[...], dtype)

    @cached_property
    def _lost(self) -> str:
        """The first chunk of what counts that is not there, "" where all are."""
        keys = map(self._values.metadata.encode_chunk_key, self._chunks())
        place = self.path / self.name
        return next((key for key in keys if not (place / key).exists()), "")

    def _chunks(self) -> Iterator[tuple[int, ...]]:
        """Go through the places of the chunks that hold what counts."""
        lengths = zip(self.shape, self.chunks, strict=True)
        return product(*(range(-(-length // chunk)) for length, chunk in lengths))

    def _refuse(self, why: str, cause: Exception | None = None) -> NoReturn:
        msg = f"The run file '{self.path}' has a damaged array '{self.name}': {why}."
        raise RunFileError(msg) from cause
