"""What a run file looks like: arrays, coordinates, and the root's attributes."""

from __future__ import annotations

import json
import math
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import zarr
from attrs import asdict, frozen
from zarr.codecs import BloscCodec

from lca_core.errors import ResumeError, RunFileError
from lca_core.header import Header
from lca_core.layout import Layout
from lca_core.ledger import LEDGER
from lca_core.meanings import attributes
from lca_core.names import CHECKPOINTS, COORDINATES, META
from lca_core.probes import Probed
from lca_core.stored import Stored
from lca_core.typing import Declared

if TYPE_CHECKING:
    import os

SCHEMA = 1
PER_ITERATE = ("loss", "iteration")
"""Arrays with one value more than there are steps."""

INCIDENTAL = ("versions", "batch_size")
"""Parts of the configuration that may differ when a run goes on, on another machine say."""

_COMPRESSION = BloscCodec(cname="lz4", clevel=5, shuffle="bitshuffle")
"""Training waits for it: Zarr's own takes twice the time or more, and saves no byte more."""

_KEY = "lca"
_RESUMED_LOSS_EPSILONS = 64.0


@frozen
class Point:
    """A checkpoint as the root's attributes list it.

    Args:
        rows: closed segments before it.
        iteration: calls of `step` before it.
        keep: asked for by the user.
    """

    rows: int
    iteration: int
    keep: bool


@frozen
class Commit:
    """How much of the file counts.

    Args:
        rows: closed segments.
        points: the checkpoints that are complete, oldest first.
        whole: see `Stored`; files of earlier versions are not.
    """

    rows: int
    points: tuple[Point, ...]
    whole: bool = True

    @property
    def iteration(self) -> int:
        """Calls of `step` before the newest checkpoint; 0 where there is none."""
        return max((point.iteration for point in self.points), default=0)


def open_group(path: str | os.PathLike[str], mode: Literal["r", "r+"] = "r") -> zarr.Group:
    """Open a run file as it stands on disk, not as it was when last consolidated."""
    return zarr.open_group(path, mode=mode, use_consolidated=False)


def array(group: zarr.Group, name: str) -> zarr.Array[Any]:
    """Return an array of the file.

    Raises:
        RunFileError: there is none of that name, or what is said of it cannot be read.
    """
    try:
        found = group.get(name)
    except ValueError as error:
        msg = f"The run file '{_path(group)}' has a damaged array '{name}': {error}"
        raise RunFileError(msg) from error
    if not isinstance(found, zarr.Array):
        msg = f"The run file '{_path(group)}' has lost its array '{name}'."
        raise RunFileError(msg)
    return found


def writable(group: zarr.Group, name: str) -> zarr.Array[Any]:
    """Return an array to write to: every chunk, so that one that is not there was lost."""
    with zarr.config.set({"array.write_empty_chunks": True}):  # arrays remember it
        return array(group, name)


def stored(group: zarr.Group, name: str, commit: Commit) -> Stored:
    """Return an array of the file to read.

    Raises:
        RunFileError: it is not there, or holds less than counts.
    """
    rows = commit.rows + (name in PER_ITERATE)
    return Stored(_path(group), name, rows, commit.whole, array(group, name))


def _path(group: zarr.Group) -> Path:
    """Return where a file is, as its path was given."""
    return Path(str(group.store_path).removeprefix("file://"))


def create_arrays(group: zarr.Group, header: Header, chunk: int) -> None:
    """Create every array of a run without steps, `chunk` steps to a chunk."""
    layout, measures = header.layout, header.measures
    for one in header.growing:
        lead = ("iterate" if one.name in PER_ITERATE else "step",)
        dims = lead if one.name == "iteration" else (*lead, "measure", *one.dims)
        tail = [] if one.name == "iteration" else [len(measures), *one.shape(layout)]
        group.create_array(
            one.name,
            shape=(int(one.name in PER_ITERATE), *tail),
            chunks=(chunk, *_chunk(one, tail)),
            dtype=one.dtype,
            # A chunk that was lost reads as unknown, not as zeros.
            fill_value=math.nan if np.dtype(one.dtype).kind == "f" else 0,
            compressors=_COMPRESSION,
            dimension_names=dims,
            attributes=attributes(one.name, one.leaf),
        )
    writable(group, "iteration")[:] = 0
    writable(group, "loss")[:] = np.array([header.initial_loss])
    _coordinate(group, "measure", "measure", np.array(measures, dtype=object), str)
    for name in ("name", "layer"):
        values = np.array([getattr(leaf, name) for leaf in layout.leaves], dtype=object)
        _coordinate(group, "leaf" if name == "name" else name, "leaf", values, str)
    _coordinate(group, "parameters", "leaf", layout.sizes, "int64")
    for dim, labels in header.own_axes.items():
        _coordinate(group, dim, dim, np.array(labels, dtype=object), str)
    group.create_group(CHECKPOINTS)


def _chunk(one: Declared, tail: list[int]) -> list[int]:
    """Return the chunk behind the steps: whole, but one measure of what is large."""
    whole = [max(n, 1) for n in tail]
    return [1, *whole[1:]] if one.leaf else whole


def write_root(path: Path, header: Header, commit: Commit) -> None:
    """Say how much of the file counts; one rename of one small file.

    It also holds the metadata of all arrays, consolidated, with the shapes that count: readers
    see no half-written rows, and open the file at once.
    """
    root = {
        "schema": SCHEMA,
        "written_by": f"loss-change-allocation {metadata.version('loss-change-allocation')}",
        "layout": header.layout.to_json(),
        "measures": list(header.measures),
        "declared": [asdict(one) for one in header.declared],
        "config": dict(header.config),
        "initial_loss": list(header.initial_loss),
        "rows": commit.rows,
        "every_chunk_written": commit.whole,
        "checkpoints": [asdict(point) for point in commit.points],
    }
    growing = tuple(one.name for one in header.growing)
    fixed = (*COORDINATES, *header.own_axes)
    arrays = {name: json.loads((path / name / META).read_bytes()) for name in (*growing, *fixed)}
    for name in growing:
        arrays[name]["shape"][0] = commit.rows + (name in PER_ITERATE)
    document = {
        "zarr_format": 3,
        "node_type": "group",
        # By xarray's convention, "coordinates" names what is not data.
        "attributes": {_KEY: root, "coordinates": "iteration layer parameters"},
        "consolidated_metadata": {"kind": "inline", "must_understand": False, "metadata": arrays},
    }
    partial = path / f"{META}.partial"
    partial.write_text(json.dumps(document, indent=1))
    partial.replace(path / META)


def read_root(path: str | os.PathLike[str]) -> tuple[Header, Commit]:
    """Return what a run file says of itself.

    Raises:
        FileNotFoundError: there is nothing at `path`.
        RunFileError: it is not a run file, a damaged one, or one of a newer version.
    """
    if not Path(path).exists():
        msg = f"There is no run at '{path}'."
        raise FileNotFoundError(msg)
    try:
        root: Any = open_group(path).attrs[_KEY]
    except (KeyError, ValueError, OSError) as error:
        msg = f"'{path}' is not a run file: expected a Zarr group with the attribute '{_KEY}'."
        raise RunFileError(msg) from error
    try:
        _check_version(path, root)
        header = Header(
            layout=Layout.from_json(root["layout"]),
            measures=tuple(root["measures"]),
            declared=tuple(map(_declared, root["declared"])),
            config=root["config"],
            initial_loss=tuple(root["initial_loss"]),
        )
        _check_probes(header)
        points = tuple(Point(**point) for point in root["checkpoints"])
        commit = Commit(_counted(root["rows"]), points, root.get("every_chunk_written", False))
    except RunFileError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        msg = (
            f"The run file '{path}' has a damaged attribute '{_KEY}': {type(error).__name__}: "
            f"{error}."
        )
        raise RunFileError(msg) from error
    return header, commit


def _counted(rows: Any) -> int:
    if not isinstance(rows, int) or rows < 0:
        msg = f"rows must be a number of steps, got {rows!r}"
        raise ValueError(msg)
    return rows


def _check_probes(header: Header) -> None:
    for measure, told in header.config.get("probes", {}).items():
        try:
            Probed(**told)
        except TypeError as error:
            msg = f"what it says of the probe of '{measure}' is not what a probe is: {error}"
            raise ValueError(msg) from error


def _check_version(path: str | os.PathLike[str], root: dict[str, Any]) -> None:
    if root["schema"] > SCHEMA:
        msg = (
            f"'{path}' has schema {root['schema']}, this version reads up to {SCHEMA}. "
            f"It was written by {root['written_by']}: install that version or a newer one."
        )
        raise RunFileError(msg)


def is_run(path: Path) -> bool:
    """Return whether a folder is a run file, or what is left of one: its root may be missing."""
    try:
        root = json.loads((path / META).read_bytes())
    except (OSError, ValueError):
        return all((path / name / META).exists() for name in ("iteration", *COORDINATES))
    return _KEY in root.get("attributes", {})


def _declared(stored: dict[str, Any]) -> Declared:
    """Return what was written, lists as the tuples that they were."""
    fields: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in stored.items()
    }
    return Declared(**fields)


def check_settings(path: Path, stored: Header, now: Header) -> None:
    """Raise a `ResumeError` unless a run was made with these settings."""
    before, after = _settings(stored), _settings(now)
    _leave_out_unknown(before.get("probes", {}), after.get("probes", {}))
    for key in {**before, **after}:
        if before.get(key) != after.get(key):
            was, now_is = _apart(before.get(key), after.get(key))
            msg = (
                f"The run in '{path}' was made with {key} = {was}, now it is {now_is}. Resume with "
                "the same settings, or start a new run."
            )
            raise ResumeError(msg)
    _check_arrays(path, stored, now)


def _apart(before: Any, after: Any) -> tuple[Any, Any]:
    """Return what two lists of leaves do not share, which are long; of all else, all of it."""
    if not all(isinstance(some, list) and _are_leaves(some) for some in (before, after)):
        return before, after
    gone, new = (
        [one for one in some if one not in others]
        for some, others in ((before, after), (after, before))
    )
    return (gone, new) if gone or new else (before, after)


def _are_leaves(some: list[Any]) -> bool:
    return all(isinstance(one, dict) for one in some)


def _leave_out_unknown(before: dict[str, Any], after: dict[str, Any]) -> None:
    """Leave out of probes what a file of an earlier version does not say: it may be the same."""
    for measure in set(before) & set(after):
        if "strata" not in before[measure]:
            after[measure].pop("strata", None)


def _check_arrays(path: Path, stored: Header, now: Header) -> None:
    """Raise a `ResumeError` unless every step adds the arrays that it added before."""
    before, after = ({one.name: _as_read(asdict(one)) for one in h.declared} for h in (stored, now))
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    own = [one.name for one in LEDGER if one.name in names]
    if own:
        msg = (
            f"The run in '{path}' was made by another version of LCA, which keeps {own} "
            "differently, and can be read, but not resumed. Start a new run."
        )
        raise ResumeError(msg)
    if names:
        kept = [_told(before[name]) for name in names if name in before]
        told = [_told(after[name]) for name in names if name in after]
        msg = (
            f"The run in '{path}' was made with other observers: beside what both record, it "
            f"records {kept}, now it would be {told}. Resume with the same observers, or start a "
            "new run."
        )
        raise ResumeError(msg)


def _told(one: dict[str, Any]) -> str:
    """Return the name of an array, and what tells it from one of the same name."""
    of = f" of {one['leaf']}" if one["leaf"] else ""
    return f"{one['name']}{of} ({', '.join([one['dtype'], *one['dims']])})"


def check_losses(recorded: np.ndarray, now: Header) -> None:
    """Raise a `ResumeError` unless the losses recorded at a checkpoint are those found now.

    Args:
        recorded: loss of every measure, shape (measures,).
        now: its initial losses are those at the model's parameters. A redrawn measure is looked at
            through other examples now, so its loss says nothing.
    """
    redrawn = {name for name, one in now.config.get("probes", {}).items() if one["redrawn"]}
    for measure, loss, before in zip(
        now.measures, now.initial_loss, recorded.tolist(), strict=True
    ):
        allowed = _RESUMED_LOSS_EPSILONS * now.config["eps"][measure]
        undefined = math.isnan(loss) and math.isnan(before)
        if not (undefined or measure in redrawn or math.isclose(loss, before, rel_tol=allowed)):
            msg = (
                f"Measure '{measure}': the run recorded a loss of {before!r} at the model's "
                f"parameters, now it is {loss!r}. Resume with the data, loss function, mode "
                "and buffers that the run began with."
            )
            raise ResumeError(msg)


def _settings(header: Header) -> dict[str, Any]:
    config = {key: value for key, value in header.config.items() if key not in INCIDENTAL}
    layout, measures = header.layout.to_json(), list(header.measures)
    return _as_read({"layout": layout, "measures": measures, **header.own_axes, **config})


def _as_read(values: dict[str, Any]) -> dict[str, Any]:
    """Return values as they look after a way through the file: tuples are lists there."""
    plain: dict[str, Any] = json.loads(json.dumps(values))
    return plain


def _coordinate(group: zarr.Group, name: str, dim: str, values: np.ndarray, dtype: Any) -> None:
    made = group.create_array(
        name,
        shape=values.shape,
        dtype=dtype,
        dimension_names=(dim,),
        attributes=attributes(name),
    )
    made[:] = values
