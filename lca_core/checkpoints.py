"""Checkpoints inside a run file: the parameters there, and the observers' running arrays."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import numpy as np
import zarr
from attrs import field, frozen

from lca_core.errors import RunFileError
from lca_core.schema import Point, array
from lca_core.typing import Checkpoint

if TYPE_CHECKING:
    from lca_core.layout import Layout
    from lca_core.run import Header, Totals

KEPT = 2
"""Checkpoints asked for by the user that are kept; of the automatic ones the newest is."""


def keep(points: Iterable[Point]) -> tuple[Point, ...]:
    """Return the points worth keeping, oldest first."""
    ordered = sorted(points, key=lambda point: point.rows)
    asked = [point for point in ordered if point.keep][-KEPT:]
    automatic = [point for point in ordered if not point.keep][-1:]
    return tuple(sorted(asked + automatic, key=lambda point: point.rows))


def write(group: zarr.Group, layout: Layout, point: Checkpoint) -> None:
    """Write a checkpoint; it does not count before the root lists it."""
    place = group.require_group(_place(point.rows), overwrite=True)
    _write_leaves(place.require_group("params"), layout, point.params)
    for measure, running in point.totals.items():
        of_measure = place.require_group(_escaped(measure))
        for name, leaves in running.items():
            _write_leaves(of_measure.require_group(name), layout, leaves)


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
    place = _place(point.rows)
    return {
        measure: {
            name: _LazyLeaves(leaves, names)
            for name, leaves in _group(group, f"{place}/{_escaped(measure)}").groups()
        }
        for measure in header.measures
    }


def drop_others(path: Path, points: Iterable[Point]) -> None:
    """Delete what belongs to none of these points."""
    current = {Path(_place(point.rows)).name for point in points}
    for folder in (path / "checkpoints").iterdir():
        if folder.is_dir() and folder.name not in current:
            shutil.rmtree(folder, ignore_errors=True)


def _place(rows: int) -> str:
    return f"checkpoints/{rows:09d}"


def _escaped(name: str) -> str:
    """Return a name as one path component: "train/class=3" must not become a folder."""
    plain = quote(name, safe="")
    return plain.replace(".", "%2E") if set(plain) <= {"."} else plain


def _group(group: zarr.Group, name: str) -> zarr.Group:
    found = group.get(name)
    if not isinstance(found, zarr.Group):
        msg = f"The run file '{group.store_path}' has lost its group '{name}'."
        raise RunFileError(msg)
    return found


def _write_leaves(place: zarr.Group, layout: Layout, leaves: Mapping[str, np.ndarray]) -> None:
    for leaf in layout.leaves:
        values = np.asarray(leaves[leaf.name])
        chunks = tuple(max(n, 1) for n in values.shape)
        place.create_array(_escaped(leaf.name) or "%", data=values, chunks=chunks)


@frozen
class _LazyLeaves(Mapping[str, np.ndarray]):
    """Leaves in the file, read when asked for."""

    _group: zarr.Group = field(repr=False)
    _names: tuple[str, ...]

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._names:
            raise KeyError(name)
        return np.asarray(array(self._group, _escaped(name) or "%")[...])

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
