"""One process writes a run file, and whoever comes next is told so or goes on."""

import errno
import fcntl
import gc
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
import xarray
import zarr

import lca_core
from lca_core import lock
from lca_core.errors import LCAError, ResumeError, RunBusyError
from lca_core.reference import Polynomial, track

HERE = Path(__file__).parents[1]
"""So that the other processes find this module."""

PROBLEM = Polynomial({"x": np.array([1.0, 2.0])}, 3)


def tracked(path, t=0, **options):
    """Return a tracker at an iterate."""
    return track({"train": PROBLEM}, iterate(t), PROBLEM.layout, path=path, chunk=4, **options)


def iterate(t):
    """Return the parameters after t steps."""
    return {"x": 0.99**t * np.array([2.0, 1.0])}


def walked(tracker, begin, end):
    """Make the steps begin + 1 to end."""
    for t in range(begin + 1, end + 1):
        tracker.step(iterate(t))
    return tracker


WRITER = """
import sys
from core.test_lock import tracked, walked
tracker = walked(tracked(sys.argv[1], resume=True), 0, 20)
tracker.checkpoint()
print("written", flush=True)
sys.stdin.readline()
walked(tracker, 20, 40).finish()
print("finished", flush=True)
sys.stdin.readline()
"""


@contextmanager
def writer(path):
    """Let another process write twenty steps; it makes twenty more and finishes when told."""
    command = [sys.executable, "-c", WRITER, str(path)]
    with subprocess.Popen(command, cwd=HERE, stdin=-1, stdout=-1, text=True) as process:
        assert process.stdout.readline() == "written\n"
        try:
            yield process
        finally:
            process.kill()


def told(process):
    """Let it go on, and return what it says then."""
    process.stdin.write("\n")
    process.stdin.flush()
    return process.stdout.readline()


RESUME = """
import sys
from core.test_lock import tracked
tracked(sys.argv[1], int(sys.argv[2]), resume=True)
"""


def resumed_elsewhere(path, t):
    """Return what another process is told when it resumes; "" where it can."""
    command = [sys.executable, "-c", RESUME, str(path), str(t)]
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False)
    return done.stderr


@pytest.mark.parametrize("t", [20, 7])
def test_a_second_process_is_refused(t, tmp_path):
    """While a process writes, another cannot resume, wherever it stands; the run is whole."""
    path = tmp_path / "run.zarr"
    with writer(path) as process:
        with pytest.raises(
            RunBusyError, match=r"Another process .*run\.zarr'.*choose another path"
        ):
            tracked(path, t, resume=True)
        assert lca_core.load(path).steps == 20
        assert told(process) == "finished\n"
    run, truth = lca_core.load(path), walked(tracked(None), 0, 40).finish()
    assert np.array_equal(run.loss("train"), truth.loss("train"))
    assert np.array_equal(run.total("train")["x"], truth.total("train")["x"])


def test_who_is_refused_does_not_start_anew():
    """Those who delete a run that cannot be resumed do not delete one that is being written."""
    assert issubclass(RunBusyError, LCAError)
    assert not issubclass(RunBusyError, ResumeError)


def test_a_killed_process_leaves_no_lock(tmp_path):
    """After kill -9 the next process goes on at once."""
    with writer(tmp_path / "run.zarr") as process:
        process.kill()
        process.wait()
        assert tracked(tmp_path / "run.zarr", 20, resume=True).iteration == 20


def test_a_finished_run_is_free(tmp_path):
    """After finish() another process goes on, though the first one and its tracker live."""
    with writer(tmp_path / "run.zarr") as process:
        assert told(process) == "finished\n"
        assert process.poll() is None
        assert tracked(tmp_path / "run.zarr", 40, resume=True).iteration == 40


def test_an_error_in_the_block_frees_the_run(tmp_path):
    """A `with` block that an exception left has written what there is: others may go on."""
    path = tmp_path / "run.zarr"
    with suppress(KeyboardInterrupt), tracked(path) as tracker:
        walked(tracker, 0, 3)
        raise KeyboardInterrupt
    assert resumed_elsewhere(path, 3) == ""


def test_the_same_process_goes_on(tmp_path):
    """As in a notebook: the tracker that broke off is still referred to, and does not disturb."""
    path = tmp_path / "run.zarr"
    broken = walked(tracked(path), 0, 8)
    with pytest.raises(ResumeError, match="none of the checkpoints"):
        tracked(path, 5, resume=True)
    assert "RunBusyError" in resumed_elsewhere(path, 8)
    again = walked(tracked(path, 8, resume=True), 8, 12)
    del broken
    gc.collect()
    assert "RunBusyError: Another process" in resumed_elsewhere(path, 12)
    assert again.finish().steps == 12
    assert resumed_elsewhere(path, 12) == ""
    third = tracked(path, 12, resume=True)
    assert "RunBusyError" in resumed_elsewhere(path, 12)
    assert third.iteration == 12


def test_who_cannot_resume_holds_nothing(tmp_path):
    """A refused resume whose error is kept keeps nobody out."""
    path = tmp_path / "run.zarr"
    walked(tracked(path), 0, 4).finish()
    with pytest.raises(ResumeError) as kept:
        tracked(path, 3, resume=True)
    gc.collect()
    assert resumed_elsewhere(path, 4) == ""
    assert kept.value.__traceback__ is not None


def test_a_tracker_that_is_gone_holds_nothing(tmp_path):
    """A tracker that nobody refers to keeps nobody out."""
    path = tmp_path / "run.zarr"
    walked(tracked(path), 0, 4)
    gc.collect()
    assert resumed_elsewhere(path, 4) == ""


def test_a_moved_run_is_still_held(tmp_path):
    """A run that is moved while it is written is refused to others at its new place."""
    tracker = walked(tracked(tmp_path / "run.zarr"), 0, 4)
    (tmp_path / "run.zarr").rename(tmp_path / "moved.zarr")
    assert "RunBusyError" in resumed_elsewhere(tmp_path / "moved.zarr", 4)
    assert tracker.iteration == 4


def test_a_copy_is_free(tmp_path):
    """A copy of a run that is being written can be gone on with."""
    with writer(tmp_path / "run.zarr"):
        shutil.copytree(tmp_path / "run.zarr", tmp_path / "copy.zarr")
        assert tracked(tmp_path / "copy.zarr", 20, resume=True).iteration == 20


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS])
def test_where_there_are_no_locks_tracking_goes_on(number, tmp_path, monkeypatch):
    """A file system that cannot lock is no reason not to track, or to resume."""

    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "lockf", refuse)
    path = tmp_path / "run.zarr"
    walked(tracked(path), 0, 4).finish()
    assert walked(tracked(path, 4, resume=True), 4, 8).finish().steps == 8


def test_a_run_file_of_before_is_resumed(tmp_path):
    """A file without a lock, as earlier versions and `Run.save` write it, gets one."""
    path = tmp_path / "run.zarr"
    walked(tracked(None), 0, 4).finish().save(path)
    assert not list(path.rglob("lock"))
    assert lock.hold(path) is not None


@pytest.mark.filterwarnings("error")
def test_nobody_sees_the_lock(tmp_path):
    """While it is written and after, xarray and Zarr find the arrays of a saved run, unwarned."""
    path = tmp_path / "run.zarr"
    tracker = walked(tracked(path), 0, 4)

    def seen(path):
        with xarray.open_zarr(path, consolidated=False) as dataset:
            arrays = sorted(map(str, dataset.load().variables))
        group = zarr.open_group(path, mode="r", use_consolidated=False)
        return arrays, sorted(name for name, _ in group.members())

    during = seen(path)
    tracker.finish().save(tmp_path / "saved.zarr")
    assert during == seen(path) == seen(tmp_path / "saved.zarr")
