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
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from attrs import asdict, field, fields_dict, frozen

from lca_core.account import Account
from lca_core.errors import RunFileError
from lca_core.names import CHECKPOINTS, META
from lca_core.schema import Point, array, open_group, read_root
from lca_core.stored import Stored
from lca_core.typing import Checkpoint

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    import zarr

    from lca_core.header import Header, Totals

T = TypeVar("T")

KEPT = 2
"""Checkpoints asked for by the user that count; an automatic one only while it is the newest."""


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
        account = point.accounts.get(measure, Account())
        _write_group(place / str(i), measure=measure, **asdict(account))
        for name, leaves in point.totals.get(measure, {}).items():
            _write_leaves(place / str(i) / name, header.layout.names, leaves)


def read(path: str | os.PathLike[str], header: Header, point: Point) -> Checkpoint:
    """Return a checkpoint; its arrays are read when asked for."""
    stored = _Stored(Path(path), open_group(path), point)
    return Checkpoint(
        rows=point.rows,
        iteration=point.iteration,
        params=_LazyLeaves(stored, "params", header.layout.names),
        totals=_LazyTotals(stored, header),
        keep=point.keep,
        accounts={measure: stored.account(i) for i, measure in enumerate(header.measures)},
    )


def totals(path: str | os.PathLike[str], header: Header, point: Point) -> Totals:
    """Return the running arrays of a checkpoint, read when asked for."""
    return _LazyTotals(_Stored(Path(path), open_group(path), point), header)


def is_there(path: str | os.PathLike[str], point: Point) -> bool:
    """Return whether a checkpoint is in the file, whole."""
    return Path(path, _place(point.rows), META).exists()


def drop_others(path: Path, points: Iterable[Point]) -> None:
    """Delete what belongs to none of these points."""
    current = {Path(_place(point.rows)).name for point in points}
    for folder in (path / CHECKPOINTS).iterdir():
        if folder.is_dir() and folder.name not in current:
            # First what says that it is whole, for those who are reading it. What cannot be
            # deleted now stays until the next time: the record is safe already.
            with suppress(OSError):
                (folder / META).unlink(missing_ok=True)
                shutil.rmtree(folder, ignore_errors=True)


def _place(rows: int) -> str:
    return f"{CHECKPOINTS}/{rows:09d}"


def _write_group(place: Path, **attributes: Any) -> None:
    place.mkdir(parents=True)
    meta = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
    (place / META).write_text(json.dumps(meta))


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
    (place / META).write_text(json.dumps(meta))
    if values.size:
        key = ".".join("0" * values.ndim) or "0"
        (place / key).write_bytes(values.astype(values.dtype.newbyteorder("<")).tobytes())


@frozen
class _Stored:
    """A checkpoint in a file that may be written meanwhile."""

    path: Path
    group: zarr.Group = field(repr=False)
    point: Point

    def folders(self, name: str) -> list[str]:
        """Return the names of the folders in one of its folders."""
        place = self.path / _place(self.point.rows) / name
        return self._checked(lambda: sorted(one.name for one in place.iterdir() if one.is_dir()))

    def array(self, name: str) -> np.ndarray:
        """Return one of its arrays."""
        found = f"{_place(self.point.rows)}/{name}"
        return self._checked(lambda: np.asarray(self._whole(found)))

    def account(self, number: int) -> Account:
        """Return what the steps so far of a measure have left open; older files do not say."""
        place = self.path / _place(self.point.rows) / str(number) / META
        said = self._checked(lambda: json.loads(place.read_text()))["attributes"]
        return Account(**{k: said[k] for k in fields_dict(Account) if k in said})

    def _whole(self, name: str) -> Stored:
        """Return an array of which all values count."""
        values = array(self.group, name)
        rows = values.shape[0] if values.shape else 0
        return Stored(self.path, name, rows, whole=True, values=values)

    def _checked(self, read: Callable[[], T]) -> T:
        """Read something; it does not count if the checkpoint was deleted meanwhile."""
        try:
            found = read()
        except (OSError, ValueError) as error:
            if missing := self._missing():
                raise missing from error
            raise
        if missing := self._missing():
            raise missing
        return found

    def _missing(self) -> RunFileError | None:
        """Return what to say if the checkpoint is not there."""
        if is_there(self.path, self.point):
            return None
        if self.point in read_root(self.path)[1].points:
            return lost(self.path, self.point)
        return RunFileError(
            f"The run in '{self.path}' has gone on since it was loaded: it no longer holds what "
            f"it had summed up after {self.point.rows} steps. Load it again."
        )


def lost(path: str | os.PathLike[str], point: Point) -> RunFileError:
    """Return what to say of a checkpoint that the root lists and that is not there."""
    return RunFileError(f"The run file '{path}' has lost its group '{_place(point.rows)}'.")


@frozen
class _LazyTotals(Mapping[str, Mapping[str, Mapping[str, np.ndarray]]]):
    """Running arrays of every measure, looked for when asked for."""

    _stored: _Stored
    _header: Header = field(repr=False)

    def __getitem__(self, measure: str) -> Mapping[str, Mapping[str, np.ndarray]]:
        if measure not in self._header.measures:
            raise KeyError(measure)
        place, names = str(self._header.measures.index(measure)), self._header.layout.names
        return {
            name: _LazyLeaves(self._stored, f"{place}/{name}", names)
            for name in self._stored.folders(place)
        }

    def __iter__(self) -> Iterator[str]:
        return iter(self._header.measures)

    def __len__(self) -> int:
        return len(self._header.measures)


@frozen
class _LazyLeaves(Mapping[str, np.ndarray]):
    """Leaves in the file, read when asked for."""

    _stored: _Stored
    _folder: str
    _names: tuple[str, ...]

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._names:
            raise KeyError(name)
        return self._stored.array(f"{self._folder}/{self._names.index(name)}")

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
