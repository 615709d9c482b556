"""Runs on disk: a Zarr v3 group, written as the run goes, safe against a kill at any moment.

Layout of a run file::

    loss (iterate, measure), iteration (iterate,), gap (step, measure),
    allocation (step, measure, leaf), ...     one array a quantity, dimension names set
    measure, leaf, layer, parameters          coordinates: names of measures and leaves, sizes
    checkpoints/<rows>/...                    running arrays and parameters at that point

Arrays grow first; then the root's attributes, replaced in one rename, say how many rows
count. Whatever a crash leaves behind that line is ignored and written again.
"""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

import numpy as np
from attrs import asdict, define, field, frozen

from lca_core.errors import MissingExtraError, ResumeError, RunFileError
from lca_core.layout import Layout
from lca_core.run import Header, Run, Totals
from lca_core.typing import Checkpoint, Declared

try:
    import zarr
except ImportError as error:  # pragma: no cover - zarr comes with the distribution
    raise MissingExtraError("Reading and writing run files", "cli") from error

SCHEMA = 1
_KEY = "lca"
_KEPT = 2
_PER_ITERATE = ("loss", "iteration")
_AUTOMATIC_KEPT = 1


@frozen
class _Commit:
    """What the root's attributes say: how much of the file counts."""

    rows: int
    checkpoints: tuple[Mapping[str, Any], ...]


@define
class ZarrSink:
    """Writes closed segments into a run file; made by `create` or `reopen`."""

    path: Path
    header: Header
    _chunk: int
    _commit: _Commit
    durable: ClassVar[bool] = True

    @classmethod
    def create(cls, path: str | os.PathLike[str], header: Header, *, chunk: int) -> ZarrSink:
        """Start a run file.

        Raises:
            FileExistsError: there is something at `path`.
        """
        if os.path.lexists(path):
            msg = (
                f"There is already something at '{path}'. Pass resume=True to go on with that "
                "run, or choose another path."
            )
            raise FileExistsError(msg)
        sink = cls(Path(path), header, chunk, _Commit(0, ()))
        # Build it aside, so that nothing half-made ever stands at the path.
        aside = Path(f"{path}.partial")
        shutil.rmtree(aside, ignore_errors=True)
        _create_arrays(zarr.open_group(aside, mode="w"), header, chunk)
        sink._write_commit(aside)
        aside.rename(path)
        return sink

    @classmethod
    def reopen(
        cls,
        path: str | os.PathLike[str],
        header: Header,
        params: Mapping[str, np.ndarray],
        *,
        chunk: int,
    ) -> tuple[ZarrSink, Checkpoint]:
        """Open a run file to go on from the checkpoint that has these parameters.

        Raises:
            ResumeError: the run was made with other settings, or no checkpoint fits.
        """
        stored, commit = _read_root(path)
        _same_settings(Path(path), stored, header)
        group = _open(path)
        for entry in sorted(commit.checkpoints, key=lambda entry: -entry["rows"]):
            checkpoint = _read_checkpoint(group, stored, entry)
            if all(_equal(checkpoint.params[name], params[name]) for name in params):
                older = tuple(c for c in commit.checkpoints if c["rows"] <= entry["rows"])
                sink = cls(Path(path), stored, chunk, _Commit(entry["rows"], older))
                sink._write_commit(sink.path)
                return sink, checkpoint
        points = [entry["iteration"] for entry in commit.checkpoints]
        msg = (
            f"The model stands at none of the checkpoints of '{path}' (after iterations "
            f"{points}). Restore the model to one of them, then make the tracker; call "
            "tracker.checkpoint() just before saving the model to make such points."
        )
        raise ResumeError(msg)

    def append(self, rows: Mapping[str, np.ndarray]) -> None:
        """Add closed segments; they count from the next `checkpoint` on."""
        group = _open(self.path)
        begin = self._commit.rows
        for name, values in rows.items():
            array = group[name]
            first = begin + (name in _PER_ITERATE)
            end = first + len(values)
            if array.shape[0] < end:
                array.resize((end, *array.shape[1:]))
            array[first:end] = values

    def checkpoint(self, point: Checkpoint) -> None:
        """Write what resuming needs, make it and all rows count, then drop older points."""
        entry = {"rows": point.rows, "iteration": point.iteration, "keep": point.keep}
        others = [c for c in self._commit.checkpoints if c["rows"] != point.rows]
        same = next((c for c in self._commit.checkpoints if c["rows"] == point.rows), None)
        if same is None:
            _write_checkpoint(_open(self.path), self.header, point)
        else:
            entry["keep"] = point.keep or same["keep"]
        kept = _newest(c for c in (*others, entry) if c["keep"])
        kept += _newest((c for c in (*others, entry) if not c["keep"]), _AUTOMATIC_KEPT)
        self._commit = _Commit(point.rows, tuple(sorted(kept, key=lambda c: c["rows"])))
        self._write_commit(self.path)
        self._drop_old()

    def run(self) -> Run:
        """Return the run as it stands in the file."""
        self._trim()
        return load(self.path)

    def _drop_old(self) -> None:
        current = {_point_name(entry["rows"]) for entry in self._commit.checkpoints}
        for folder in (self.path / "checkpoints").iterdir():
            if folder.is_dir() and folder.name not in current:
                shutil.rmtree(folder, ignore_errors=True)

    def _trim(self) -> None:
        """Cut what a resumed run left behind its last row, and consolidate for fast opening."""
        group = _open(self.path)
        for name in ("iteration", *(array.name for array in self.header.declared)):
            rows = self._commit.rows + (name in _PER_ITERATE)
            if group[name].shape[0] != rows:
                group[name].resize((rows, *group[name].shape[1:]))
        self._write_commit(self.path)
        with warnings.catch_warnings():
            # Zarr warns that other readers may not know consolidated metadata; they ignore it.
            warnings.simplefilter("ignore")
            zarr.consolidate_metadata(self.path)

    def _write_commit(self, path: Path) -> None:
        _open(path).attrs.put({_KEY: _root_json(self.header, self._commit)})


def save(run: Run, path: str | os.PathLike[str]) -> None:
    """Write a whole run; see `Run.save`."""
    sink = ZarrSink.create(path, run.header, chunk=max(1, min(run.steps, 1024)))
    sink.append(run.rows)
    params = {leaf.name: np.zeros(0) for leaf in run.layout.leaves}
    iteration = int(run.iteration[-1])
    sink.checkpoint(Checkpoint(run.steps, iteration, params, run.totals, keep=True))
    sink._trim()


def load(path: str | os.PathLike[str]) -> Run:
    """Read a run file; see `lca_core.load`."""
    header, commit = _read_root(path)
    group = _open(path)
    names = ("iteration", *(array.name for array in header.declared))
    rows = {
        name: np.asarray(group[name][(first := int(name in _PER_ITERATE)) : first + commit.rows])
        for name in names
    }
    newest = max(commit.checkpoints, key=lambda entry: entry["rows"], default=None)
    totals = _stored_totals(group, header, newest["rows"]) if newest else {}
    return Run(header, rows, totals)


def _open(path: str | os.PathLike[str]) -> zarr.Group:
    return zarr.open_group(path, mode="r+", use_consolidated=False)


def _create_arrays(group: zarr.Group, header: Header, chunk: int) -> None:
    sizes = {"leaf": len(header.layout.leaves), "unit": header.layout.units}
    measures = len(header.measures)

    def create(name: str, shape: tuple[int, ...], dims: tuple[str, ...], dtype: str) -> zarr.Array:
        chunks = (chunk, *(max(n, 1) for n in shape[1:]))
        return group.create_array(
            name, shape=shape, chunks=chunks, dtype=dtype, dimension_names=dims
        )

    create("iteration", (1,), ("iterate",), "int64")[:] = 0
    for array in header.declared:
        lead = "iterate" if array.name in _PER_ITERATE else "step"
        shape = (int(lead == "iterate"), measures, *(sizes[dim] for dim in array.dims))
        made = create(array.name, shape, (lead, "measure", *array.dims), array.dtype)
        if array.name == "loss":
            made[:] = np.array([header.initial_loss])
    leaves = header.layout.leaves
    _coordinate(group, "measure", "measure", list(header.measures))
    _coordinate(group, "leaf", "leaf", [leaf.name for leaf in leaves])
    _coordinate(group, "layer", "leaf", [leaf.layer for leaf in leaves])
    create("parameters", (len(leaves),), ("leaf",), "int64")[:] = header.layout.sizes
    group.create_group("checkpoints")


def _coordinate(group: zarr.Group, name: str, dim: str, values: list[str]) -> None:
    array = group.create_array(name, shape=(len(values),), dtype=str, dimension_names=(dim,))
    array[:] = np.array(values, dtype=object)


def _root_json(header: Header, commit: _Commit) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "written_by": f"loss-change-allocation {metadata.version('loss-change-allocation')}",
        "layout": header.layout.to_json(),
        "measures": list(header.measures),
        "declared": [asdict(array) for array in header.declared],
        "config": dict(header.config),
        "initial_loss": list(header.initial_loss),
        "rows": commit.rows,
        "checkpoints": list(commit.checkpoints),
    }


def _read_root(path: str | os.PathLike[str]) -> tuple[Header, _Commit]:
    if not Path(path).exists():
        msg = f"There is no run at '{path}'."
        raise FileNotFoundError(msg)
    try:
        root = dict(_open(path).attrs)[_KEY]
    except (KeyError, ValueError, OSError) as error:
        msg = f"'{path}' is not a run file: expected a Zarr group with the attribute '{_KEY}'."
        raise RunFileError(msg) from error
    if root["schema"] > SCHEMA:
        msg = (
            f"'{path}' has schema {root['schema']}, this version reads up to {SCHEMA}. "
            f"It was written by {root['written_by']}: install that version or a newer one."
        )
        raise RunFileError(msg)
    header = Header(
        layout=Layout.from_json(root["layout"]),
        measures=root["measures"],
        declared=[Declared(a["name"], tuple(a["dims"]), a["dtype"]) for a in root["declared"]],
        config=root["config"],
        initial_loss=root["initial_loss"],
    )
    return header, _Commit(root["rows"], tuple(root["checkpoints"]))


def _same_settings(path: Path, stored: Header, now: Header) -> None:
    def settings(header: Header) -> dict[str, Any]:
        return {
            "layout": header.layout.to_json(),
            "measures": list(header.measures),
            **{k: v for k, v in header.config.items() if k != "versions"},
        }

    before, after = _jsonable(settings(stored)), _jsonable(settings(now))
    for key in {**before, **after}:
        if before.get(key) != after.get(key):
            msg = (
                f"The run in '{path}' was made with {key} = {before.get(key)}, now it is "
                f"{after.get(key)}. Resume with the same settings, or start a new run."
            )
            raise ResumeError(msg)


def _jsonable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_jsonable(item) for item in value]
    return value


def _point_name(rows: int) -> str:
    return f"{rows:09d}"


def _newest(entries: Iterable[Mapping[str, Any]], count: int = _KEPT) -> list[Mapping[str, Any]]:
    return sorted(entries, key=lambda entry: entry["rows"])[-count:]


def _write_checkpoint(group: zarr.Group, header: Header, point: Checkpoint) -> None:
    place = group.require_group(f"checkpoints/{_point_name(point.rows)}", overwrite=True)
    _write_leaves(place, "params", header.layout, point.params)
    for measure, running in point.totals.items():
        for name, leaves in running.items():
            _write_leaves(place, f"{quote(measure, safe='')}/{name}", header.layout, leaves)


def _write_leaves(
    place: zarr.Group, name: str, layout: Layout, leaves: Mapping[str, np.ndarray]
) -> None:
    target = place.require_group(name)
    for leaf in layout.leaves:
        values = np.asarray(leaves[leaf.name])
        target.create_array(_leaf_key(leaf.name), data=values, chunks=_whole(values))


def _whole(values: np.ndarray) -> tuple[int, ...]:
    return tuple(max(n, 1) for n in values.shape)


def _leaf_key(name: str) -> str:
    return quote(name, safe="") or "_"


@frozen
class _LazyLeaves(Mapping[str, np.ndarray]):
    """Leaves in the file, read when asked for."""

    _group: zarr.Group = field(repr=False)
    _names: tuple[str, ...]

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._names:
            raise KeyError(name)
        return np.asarray(self._group[_leaf_key(name)][...])

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _stored_totals(group: zarr.Group, header: Header, rows: int) -> Totals:
    totals: dict[str, dict[str, Mapping[str, np.ndarray]]] = {}
    for measure in header.measures:
        place = group.get(f"checkpoints/{_point_name(rows)}/{quote(measure, safe='')}")
        groups = dict(place.groups()) if place is not None else {}
        totals[measure] = {
            name: _LazyLeaves(leaves, header.layout.names) for name, leaves in groups.items()
        }
    return totals


def _read_checkpoint(group: zarr.Group, header: Header, entry: Mapping[str, Any]) -> Checkpoint:
    place = group[f"checkpoints/{_point_name(entry['rows'])}/params"]
    return Checkpoint(
        rows=entry["rows"],
        iteration=entry["iteration"],
        params=_LazyLeaves(place, header.layout.names),
        totals=_stored_totals(group, header, entry["rows"]),
        keep=entry["keep"],
    )


def _equal(stored: np.ndarray, now: np.ndarray) -> bool:
    return stored.shape == now.shape and bool(np.array_equal(stored, now, equal_nan=True))
