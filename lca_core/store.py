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
import time
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import zarr
from attrs import define

from lca_core import checkpoints
from lca_core.errors import ResumeError, RunFileError
from lca_core.lock import Lock, hold
from lca_core.pace import Pace
from lca_core.results import steps_together
from lca_core.run import Run
from lca_core.schema import (
    PER_ITERATE,
    Commit,
    Point,
    check_losses,
    check_settings,
    create_arrays,
    open_group,
    read_root,
    stored,
    writable,
    write_root,
)
from lca_core.typing import Checkpoint

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lca_core.header import Header


_STILL, _PATIENCE = 0.2, 5.0
"""Seconds for which a folder that was removed must stay away, and that it is waited for at most."""


@define
class ZarrSink:
    """Writes closed segments into a run file; made by `create` or `reopen`."""

    path: Path
    header: Header
    _commit: Commit
    _lock: Lock | None = None
    durable: ClassVar[bool] = True

    @classmethod
    def create(
        cls,
        path: str | os.PathLike[str],
        header: Header,
        *,
        chunk: int,
        point: Checkpoint | None = None,
    ) -> ZarrSink:
        """Start a run file.

        Args:
            path: where.
            header: what is known before the first step.
            chunk: steps to a chunk of the arrays.
            point: the start, so that a run can go on that ended before its first chunk.

        Raises:
            FileExistsError: there is something at `path`.
        """
        remedy = "Pass resume=True to go on with that run, or choose another path."
        with _aside(path, remedy) as aside:
            commit = _begin(aside, header, chunk, point)
            lock = hold(aside)
        return cls(Path(path), header, commit, lock)

    @classmethod
    def reopen(
        cls, path: str | os.PathLike[str], header: Header, params: Mapping[str, np.ndarray]
    ) -> tuple[ZarrSink, Checkpoint]:
        """Open a run file to go on from the checkpoint that has these parameters.

        Raises:
            RunBusyError: another process writes the run.
            ResumeError: the run was made with other settings or other data, or no checkpoint
                fits; the file is as it was.
            RunFileError: what the next write goes on with is lost or damaged.
        """
        lock = hold(Path(path))  # first: what is read next would not stay as it is
        try:
            began, commit, checkpoint = _found(path, header, params)
            write_root(Path(path), began, commit)
        except BaseException:
            del lock  # a traceback that somebody keeps would keep it
            raise
        return cls(Path(path), began, commit, lock), checkpoint

    def append(self, rows: Mapping[str, np.ndarray]) -> None:
        """Add closed segments; they count from the next `checkpoint` on."""
        group = open_group(self.path, "r+")
        for name, values in rows.items():
            _put(group, name, self._commit.rows, values)

    def checkpoint(self, point: Checkpoint) -> None:
        """Write what resuming needs, make it and all rows count, then drop older points.

        Those that counted until now stay until the next time, for whoever has just loaded the run.
        """
        others = [one for one in self._commit.points if one.rows != point.rows]
        same = [one for one in self._commit.points if one.rows == point.rows]
        if not same:
            checkpoints.write(self.path, self.header, point)
        asked = point.keep or any(one.keep for one in same)
        points = checkpoints.keep([*others, Point(point.rows, point.iteration, asked)])
        before, commit = self._commit, Commit(point.rows, points, self._commit.whole)
        write_root(self.path, self.header, commit)
        self._commit = commit
        checkpoints.drop_others(self.path, (*before.points, *points))

    def losses(self) -> dict[str, float]:
        """Return every measure's loss at the last iterate that counts."""
        recorded = stored(open_group(self.path), "loss", self._commit)[self._commit.rows]
        return dict(zip(self.header.measures, recorded.tolist(), strict=True))

    def so_far(self) -> Run:
        """Return the run as it stands in the file, which this process goes on with."""
        self.trim()
        return load(self.path)

    def run(self) -> Run:
        """Return the run as it stands in the file, which another process may go on with now."""
        run = self.so_far()
        if self._lock is not None:
            self._lock.release()
        return run

    def trim(self) -> None:
        """Drop what does not count, and consolidate for fast opening."""
        checkpoints.drop_others(self.path, self._commit.points)
        group = open_group(self.path, "r+")
        for one in self.header.growing:
            target, rows = writable(group, one.name), self._commit.rows + (one.name in PER_ITERATE)
            if target.shape[0] != rows:
                target.resize((rows, *target.shape[1:]))
        with warnings.catch_warnings():
            # Zarr warns that other readers may not know consolidated metadata; they ignore it.
            warnings.simplefilter("ignore")
            zarr.consolidate_metadata(self.path)


def save(run: Run, path: str | os.PathLike[str]) -> None:
    """Write a whole run; see `Run.save`."""
    chunk = max(1, min(run.steps, _chunk_of(run)))
    unknown = {name: np.zeros(0) for name in run.layout.names}
    end = Checkpoint(run.steps, int(run.iteration[-1]), unknown, run.totals, keep=True)
    with _aside(path, "Choose another path, or remove it first.") as aside:
        sink = ZarrSink(aside, run.header, _begin(aside, run.header, chunk))
        group = open_group(aside, "r+")
        for name, rows in run.rows.items():
            # What a file holds may be larger than the memory: a chunk at a time.
            for begin in range(0, run.steps, chunk):
                _put(group, name, begin, np.asarray(rows[begin : min(begin + chunk, run.steps)]))
        sink.checkpoint(end)
        sink.trim()


def _begin(path: Path, header: Header, chunk: int, point: Checkpoint | None = None) -> Commit:
    """Make a run file without steps, and return what counts in it."""
    create_arrays(zarr.open_group(path, mode="w"), header, chunk)
    commit = Commit(0, ())
    if point is not None:
        checkpoints.write(path, header, point)
        commit = Commit(0, (Point(0, point.iteration, point.keep),))
    write_root(path, header, commit)
    return commit


def _found(
    path: str | os.PathLike[str], header: Header, params: Mapping[str, np.ndarray]
) -> tuple[Header, Commit, Checkpoint]:
    """Return how a run began, the checkpoint with these parameters, and what counts up to it.

    Raises:
        ResumeError, RunFileError: see `ZarrSink.reopen`.
    """
    began, commit = read_root(path)
    check_settings(Path(path), began, header)
    group = open_group(path)
    for point in reversed(commit.points):
        checkpoint = checkpoints.read(path, began, point)
        if all(_equal(checkpoint.params[name], params[name]) for name in params):
            check_losses(np.asarray(stored(group, "loss", commit)[point.rows]), header)
            _check_last(group, began, commit, point.rows)
            older = tuple(one for one in commit.points if one.rows <= point.rows)
            return began, Commit(point.rows, older, commit.whole), checkpoint
    iterations = [point.iteration for point in commit.points]
    msg = (
        f"The model stands at none of the checkpoints of '{path}' (after iterations "
        f"{iterations}). Restore the model to one of them, then make the tracker; call "
        "tracker.checkpoint() just before saving the model to make such points."
    )
    raise ResumeError(msg)


@contextmanager
def _aside(path: str | os.PathLike[str], remedy: str) -> Iterator[Path]:
    """Build a file beside its place, so that nothing half-made ever stands there.

    Args:
        path: where it will be.
        remedy: what to do if something is there.

    Raises:
        FileExistsError: there is something at `path`.
        RunFileError: it is the name of nothing.
    """
    if os.path.lexists(path):
        msg = f"There is already something at '{path}'. {remedy}"
        raise FileExistsError(msg)
    place = Path(path)
    if not place.name:
        msg = (
            f"path must name the run file that is to be written, got {os.fspath(path)!r}. Pass one "
            "as in path='run.zarr', or None to keep the run in memory."
        )
        raise RunFileError(msg)
    aside = place.with_name(f"{place.name}.partial")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        yield aside
        aside.rename(place)
    except BaseException:
        _clear(aside)
        raise


def _clear(aside: Path) -> None:
    """Remove a file that could not be made, until it stays away.

    Zarr writes by threads: behind an error of one, others make the folder anew.
    """
    still, until = time.monotonic() + _STILL, time.monotonic() + _PATIENCE
    while time.monotonic() < min(still, until):
        if aside.exists():
            shutil.rmtree(aside, ignore_errors=True)
            still = time.monotonic() + _STILL
        time.sleep(_STILL / 10)


def _chunk_of(run: Run) -> int:
    """Return how many steps a copy keeps together: what is well read, and read at once here."""
    dense = [run.rows[one.name] for one in run.header.declared if one.leaf]
    return min([Pace.of(None, run.header).together, *map(steps_together, dense)])


def _check_last(group: zarr.Group, header: Header, commit: Commit, rows: int) -> None:
    """Read the last of so many rows, whose chunks the next write fills up, while nothing is lost.

    Raises:
        RunFileError: a chunk is lost or damaged.
    """
    for one in header.growing:
        last = rows - 1 + (one.name in PER_ITERATE)
        if last >= 0:
            stored(group, one.name, commit)[last]


def _put(group: zarr.Group, name: str, rows: int, values: np.ndarray) -> None:
    """Write values of an array behind so many rows; the array grows as needed."""
    target = writable(group, name)
    begin = rows + (name in PER_ITERATE)
    end = begin + len(values)
    if target.shape[0] < end:
        target.resize((end, *target.shape[1:]))
    target[begin:end] = values


def load(path: str | os.PathLike[str]) -> Run:
    """Read a run file; see `lca_core.load`."""
    header, commit = _read_whole(path)
    group = open_group(path)
    rows: dict[str, Any] = {}
    for one in header.growing:
        found, first = stored(group, one.name, commit), int(one.name in PER_ITERATE)
        rows[one.name] = found if one.leaf else np.asarray(found[first : first + commit.rows])
    totals = checkpoints.totals(path, header, commit.points[-1]) if commit.points else {}
    return Run(header, rows, totals)


def _read_whole(path: str | os.PathLike[str]) -> tuple[Header, Commit]:
    """Read the root, again where the run has gone on before its checkpoint was found."""
    header, commit = read_root(path)
    while commit.points and not checkpoints.is_there(path, commit.points[-1]):
        before = commit
        header, commit = read_root(path)
        if commit.points == before.points:
            raise checkpoints.lost(path, commit.points[-1])
    return header, commit


def _equal(stored: np.ndarray, now: np.ndarray) -> bool:
    return stored.shape == now.shape and bool(np.array_equal(stored, now, equal_nan=True))
