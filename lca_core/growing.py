"""Arrays of a run file that grow: the chunks of a few steps, written without Zarr's own writer.

That one takes milliseconds an array, nearly all of it Python that a training has to wait for.
Here a write is one small file a chunk, put in place by one rename.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from attrs import define
from numcodecs.zstd import Zstd
from zarr.codecs import ZstdCodec

from lca_core.errors import RunFileError

if TYPE_CHECKING:
    from pathlib import Path

META = "zarr.json"

_ZSTD = Zstd(level=0)

AS_WRITTEN: dict[str, Any] = {
    "compressors": ZstdCodec(level=0),
    "chunk_key_encoding": {"name": "default", "separator": "."},
}
"""How Zarr has to create an array, so that what is written here is what it reads."""


def replace_file(path: Path, content: bytes) -> None:
    """Write a file that is whole at any moment: the old one, or the new one."""
    partial = path.with_name(f"{path.name}.partial")
    partial.write_bytes(content)
    partial.replace(path)


@define
class Growing:
    """One array of the file; its chunks cut the steps, maybe the measures, and nothing else.

    Args:
        place: its folder.
        _meta: what the file `zarr.json` there says.
    """

    place: Path
    _meta: dict[str, Any]

    @classmethod
    def open(cls, place: Path) -> Self:
        """Open an array that was created with `AS_WRITTEN`.

        Raises:
            RunFileError: there is none.
        """
        try:
            return cls(place, json.loads((place / META).read_bytes()))
        except FileNotFoundError as error:
            msg = f"The run file '{place.parent}' has lost its array '{place.name}'."
            raise RunFileError(msg) from error

    def write(self, begin: int, values: np.ndarray) -> None:
        """Write values from a row on; what lay behind them may be lost, and does not count.

        Args:
            begin: the first row.
            values: shape (rows, ...).
        """
        end = begin + len(values)
        self._reach(end)
        if values.size == 0:
            return
        rows = self._chunk[0]
        for i in range(begin // rows, -(-end // rows)):
            low = max(begin, i * rows)
            part = values[low - begin : (i + 1) * rows - begin]
            for j, of_measures in enumerate(self._cut(part)):
                self._put(self._file(i, j), low - i * rows, of_measures)

    @property
    def _chunk(self) -> list[int]:
        shape: list[int] = self._meta["chunk_grid"]["configuration"]["chunk_shape"]
        return shape

    def _reach(self, end: int) -> None:
        """Grow, if need be to twice the size: most writes then leave the shape alone."""
        rows, *rest = self._meta["shape"]
        if rows < end:
            meta = {**self._meta, "shape": [max(end, 2 * rows), *rest]}
            replace_file(self.place / META, json.dumps(meta).encode())
            self._meta = meta

    def _cut(self, part: np.ndarray) -> list[np.ndarray]:
        if part.ndim == 1:
            return [part]
        width = self._chunk[1]
        return [part[:, j : j + width] for j in range(0, part.shape[1], width)]

    def _file(self, i: int, j: int) -> Path:
        separator: str = self._meta["chunk_key_encoding"]["configuration"]["separator"]
        numbers = [i, j, *(0 for _ in self._chunk[2:])][: len(self._chunk)]
        return self.place / separator.join(["c", *map(str, numbers)])

    def _put(self, file: Path, first: int, part: np.ndarray) -> None:
        """Write a part of a chunk, behind the rows that it has already."""
        block = np.zeros(self._chunk, np.dtype(self._meta["data_type"]).newbyteorder("<"))
        if first and file.exists():  # Zarr leaves a chunk of zeros out
            stored = np.frombuffer(_ZSTD.decode(file.read_bytes()), block.dtype)
            block[:first] = stored.reshape(block.shape)[:first]
        block[first : first + len(part)] = part
        # Another separator of the numbers makes folders.
        file.parent.mkdir(parents=True, exist_ok=True)
        replace_file(file, _ZSTD.encode(block))
