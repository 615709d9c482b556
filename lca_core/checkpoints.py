"""Checkpoints inside a run file: the parameters there, and the observers' running arrays.

::

    checkpoints/<rows>/params/<leaf>              numbered in the order of the layout
    checkpoints/<rows>/<measure>/<array>/<leaf>   numbered in the order of the header

Names are attributes, not paths: they may hold anything. Zarr's own writer takes milliseconds an
array, hence the few lines that write these small, plain, uncompressed ones.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from attrs import field, frozen

from lca_core.errors import RunFileError
from lca_core.schema import Point, array
from lca_core.typing import Checkpoint

if TYPE_CHECKING:
    from lca_core.header import Header, Totals

KEPT = 2
"""Checkpoints asked for by the user that are kept; an automatic one only while it is the newest."""


def keep(points: Iterable[Point]) -> tuple[Point, ...]:
    """Return the points worth keeping, oldest first."""
    ordered = sorted(points, key=lambda point: point.rows)
    asked = [point for point in ordered if point.keep][-KEPT:]
    automatic = [point for point in ordered[-1:] if not point.keep]
    return (*asked, *automatic)


def write(path: Path, header: Header, point: Checkpoint) -> None:
    """Write a checkpoint; it does not count before the root lists it."""
    place = path / _place(point.rows)
    shutil.rmtree(place, ignore_errors=True)
    _write_group(place)
    _write_leaves(place / "params", header.layout.names, point.params)
    for i, measure in enumerate(header.measures):
        _write_group(place / str(i), measure=measure)
        for name, leaves in point.totals.get(measure, {}).items():
            _write_leaves(place / str(i) / name, header.layout.names, leaves)


def read(group: zarr.Group, header: Header, point: Point) -> Checkpoint:
    """Return a checkpoint; its arrays are read when asked for."""
    names = header.layout.names
    return Checkpoint(
        rows=point.rows,
        iteration=point.iteration,
        params=_LazyLeaves(_group(group, f"{_place(point.rows)}/params"), names),
        totals=totals(group, header, point),
        keep=point.keep,
    )


def totals(group: zarr.Group, header: Header, point: Point) -> Totals:
    """Return the running arrays of a checkpoint, read when asked for."""
    names = header.layout.names
    return {
        measure: {
            name: _LazyLeaves(leaves, names)
            for name, leaves in _group(group, f"{_place(point.rows)}/{i}").groups()
        }
        for i, measure in enumerate(header.measures)
    }


def drop_others(path: Path, points: Iterable[Point]) -> None:
    """Delete what belongs to none of these points."""
    current = {Path(_place(point.rows)).name for point in points}
    for folder in (path / "checkpoints").iterdir():
        if folder.is_dir() and folder.name not in current:
            shutil.rmtree(folder, ignore_errors=True)


def _place(rows: int) -> str:
    return f"checkpoints/{rows:09d}"


def _group(group: zarr.Group, name: str) -> zarr.Group:
    found = group.get(name)
    if not isinstance(found, zarr.Group):
        msg = f"The run file '{group.store_path}' has lost its group '{name}'."
        raise RunFileError(msg)
    return found


def _write_group(place: Path, **attributes: Any) -> None:
    place.mkdir(parents=True)
    meta = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
    (place / "zarr.json").write_text(json.dumps(meta))


def _write_leaves(place: Path, names: tuple[str, ...], leaves: Mapping[str, np.ndarray]) -> None:
    _write_group(place)
    for i, name in enumerate(names):
        _write_array(place / str(i), np.asarray(leaves[name]), leaf=name)


def _write_array(place: Path, values: np.ndarray, **attributes: Any) -> None:
    """Write a Zarr array of one chunk; an empty one has none."""
    place.mkdir()
    chunk = [max(n, 1) for n in values.shape]
    meta = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": values.shape,
        "data_type": values.dtype.name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunk}},
        "chunk_key_encoding": {"name": "v2", "configuration": {"separator": "."}},
        "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
        "fill_value": values.dtype.type(0).item(),
        "attributes": attributes,
    }
    (place / "zarr.json").write_text(json.dumps(meta))
    if values.size:
        key = ".".join("0" * values.ndim) or "0"
        (place / key).write_bytes(values.astype(values.dtype.newbyteorder("<")).tobytes())


@frozen
class _LazyLeaves(Mapping[str, np.ndarray]):
    """Leaves in the file, read when asked for."""

    _group: zarr.Group = field(repr=False)
    _names: tuple[str, ...]

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._names:
            raise KeyError(name)
        return np.asarray(array(self._group, str(self._names.index(name)))[...])

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
