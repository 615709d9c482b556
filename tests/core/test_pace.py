"""When closed segments are written: so seldom that nobody waits, so often that little is lost."""

import itertools
from contextlib import suppress
from types import SimpleNamespace

import numpy as np
import pytest
import zarr

import lca_core
from lca_core import Dense, pace
from lca_core.errors import RuleError
from lca_core.pace import SHARE, Pace
from lca_core.reference import Polynomial, track


@pytest.fixture
def clock(monkeypatch):
    """Return a clock that stands still until it is moved."""
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(pace, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    return clock


def written(clock, step, write, seconds):
    """Return the times of all writes in so many seconds of steps, and what they took together."""
    one, begin, times, waiting, segments = Pace(), clock.now, [], 0, 0
    while clock.now - begin < seconds:
        clock.now += step
        waiting, segments = waiting + 1, segments + 1
        if one.due(segments, waiting):
            with one.writing():
                clock.now += write
            times.append(clock.now - begin)
            waiting = 0
    return times, write * len(times)


@pytest.mark.parametrize(
    ("step", "write"), [(0.003, 0.001), (0.003, 0.1), (0.05, 3.0), (2.0, 0.1), (2.0, 3.0)]
)
def test_writing_keeps_to_its_share(clock, step, write):
    """However long steps and writes take, writing is 1 % of the time, and does not stop."""
    seconds = 1_000.0 * max(write, 0.1)
    times, spent = written(clock, step, write, seconds)
    assert spent <= SHARE * seconds + write
    gaps = np.diff(times)
    # Not longer than the share asks for, and the steps before and after; or 64 at first.
    assert gaps.max() <= write / SHARE + write + 2 * step


@pytest.mark.parametrize(("step", "first"), [(0.01, 0.64), (3.0, 12.0)])
def test_the_first_write_comes_early(clock, step, first):
    """What a write takes is not known before: after 64 segments or ten seconds, one tells it."""
    times, _ = written(clock, step, 1.0, 20.0)
    assert times[0] == pytest.approx(first + 1.0)


def test_a_write_that_fails_is_not_tried_at_every_step(clock):
    """A full disk would cost a write a step; the next comes when its time has come."""
    one = Pace()
    with suppress(OSError), one.writing():
        clock.now += 1.0
        raise OSError
    assert not one.due(70, 70)
    clock.now += 1.0 / SHARE
    assert one.due(71, 71)


def test_what_is_asked_for_is_done(clock):
    """With `chunk`, the number alone counts, whatever the time."""
    one = Pace(3)
    assert [n for n in range(1, 10) if one.due(n, 1)] == [3, 6, 9]
    clock.now += 1e6
    assert not one.due(10, 1)


def tracked(path, size, steps, **options):
    """Track short steps of a polynomial in so many numbers; return the tracker."""
    problem = Polynomial({"x": np.ones(size)}, power=2)
    tracker = track({"train": problem}, {"x": np.ones(size)}, problem.layout, path=path, **options)
    for t in range(steps):
        tracker.step({"x": np.full(size, 1.0 - 0.001 * t)})
    return tracker


def test_memory_is_bounded(monkeypatch, tmp_path):
    """Where a segment is large, few wait, however seldom it should be written."""
    ticks = itertools.count(0.0, 0.001)  # a write takes 1 ms, so 100 ms should lie between two
    monkeypatch.setattr(pace, "time", SimpleNamespace(perf_counter=lambda: next(ticks)))
    monkeypatch.setattr(pace, "_WAITING", 10 * (4 * 10_000 + pace._RECORD + 500))
    tracked(tmp_path / "run.zarr", 10_000, 25, observers=(Dense(),))
    assert lca_core.load(tmp_path / "run.zarr").steps == 20


@pytest.mark.parametrize(
    ("size", "asked", "chunk"),
    [(10, None, 1024), (100_000, None, 41), (10, 5, 5), (100_000, 10**9, 41)],
)
def test_a_file_is_cut_for_its_reader(size, asked, chunk, tmp_path):
    """Small rows lie together by the thousand, or as they are written; large ones by 16 MiB."""
    tracked(tmp_path / "run.zarr", size, 3, observers=(Dense(),), chunk=asked).finish()
    group = zarr.open_group(tmp_path / "run.zarr", mode="r")
    assert group["gap"].chunks[0] == pytest.approx(chunk, abs=1)


def test_a_saved_run_is_cut_for_its_reader_too(tmp_path):
    """What was recorded in memory lies in pieces of 16 MiB as well, however large a step is."""
    tracked(None, 100_000, 45, observers=(Dense(),)).finish().save(tmp_path / "run.zarr")
    group = zarr.open_group(tmp_path / "run.zarr", mode="r")
    assert group["gap"].chunks[0] == pytest.approx(41, abs=1)


@pytest.mark.parametrize("wrong", [0, -2])
def test_a_chunk_has_steps(wrong):
    """Less than one segment between two writes is refused, before a file is there."""
    with pytest.raises(RuleError, match=f"chunk must be .* 1 up, got {wrong}"):
        Pace(wrong)
