"""A chunk is written while the training goes on: in order, bounded, and nothing is kept quiet."""

import subprocess
import sys
import textwrap
import threading
import time
import traceback

import numpy as np
import pytest

import lca_core
from lca_core import Adaptive, Allocator, Totals, Tracker, overhead
from lca_core.behind import Behind, wait_for_writers
from lca_core.header import Header
from lca_core.memory import MemorySink
from lca_core.reference import NumpyOps, Polynomial, track
from lca_core.reference.ops import snapshot
from lca_core.store import ZarrSink

PROBLEM = Polynomial({"x": np.array([1.0, 2.0])}, 2)


def point(t):
    """Return the iterate after t steps; the loss there is 3 t²."""
    return {"x": np.full(2, float(t))}


class Disk(MemorySink):
    """A durable sink that notes every call, waits for a gate, and fails when it is told to.

    As in a file, rows count from the next checkpoint on, and rows given again replace those that
    do not count.
    """

    durable = True

    def __init__(self, header):
        super().__init__(header)
        self.calls, self.threads, self.open = [], [], None
        self.gate, self.errors, self.where = threading.Event(), [], "append"
        self.gate.set()

    def append(self, rows):
        """Add rows."""
        self._called("append", rows["iteration"].tolist())
        self.open = rows

    def checkpoint(self, point):
        """Make the rows count."""
        self._called("checkpoint", point.rows)
        if self.open is not None:
            super().append(self.open)
        self.open = None
        super().checkpoint(point)

    def _called(self, what, of):
        assert self.gate.wait(30)
        self.calls.append((what, of))
        self.threads.append(threading.current_thread())
        if self.where == what and self.errors:
            raise self.errors.pop(0)


@pytest.fixture
def behind(monkeypatch):
    """Return a tracker with chunks of two, and the disk that it writes to behind the training."""
    # The first steps are samples of the training alone, before which a write is waited for.
    monkeypatch.setattr(overhead, "_FIRST", 0)
    core = Allocator(NumpyOps(), {"train": PROBLEM}, PROBLEM.layout, Adaptive(), (Totals(),))
    disk = Disk(Header(PROBLEM.layout, ("train",), core.declare(), {}, (0.0,)))
    yield (Tracker(core, core.init(snapshot(point(0))), snapshot, Behind(disk), chunk=2), disk)
    disk.gate.set()
    wait_for_writers()


def walked(tracker, begin, end):
    """Make the steps begin + 1 to end."""
    for t in range(begin + 1, end + 1):
        tracker.step(point(t))
    return tracker


def check_whole(run, last):
    """Every step is in the run, once, and the totals are those of all."""
    assert run.iteration.tolist() == list(range(last + 1))
    assert run.loss("train") == pytest.approx([3.0 * t**2 for t in range(last + 1)])
    assert run.total("train")["x"].sum() == pytest.approx(3.0 * last**2)


def ours():
    """Return the threads of this library that are alive."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("lca")]


def test_the_training_does_not_wait_for_one_write(behind):
    """While a chunk is being written, the training makes the steps of the next one."""
    tracker, disk = behind
    disk.gate.clear()
    walked(tracker, 0, 3)
    assert disk.calls == []
    assert len(ours()) == 1
    disk.gate.set()
    check_whole(walked(tracker, 3, 5).finish(), 5)
    assert threading.main_thread() not in disk.threads[:4]


def test_rows_and_checkpoints_keep_their_order(behind):
    """Every chunk is followed by its checkpoint, chunk after chunk, the asked ones among them."""
    tracker, disk = behind
    walked(tracker, 0, 3).checkpoint()
    walked(tracker, 3, 5).finish()
    assert disk.calls == [
        *(("append", [1, 2]), ("checkpoint", 2)),
        *(("append", [3]), ("checkpoint", 3)),
        *(("append", [4]), ("checkpoint", 4)),
        *(("append", [5]), ("checkpoint", 5)),
    ]


def test_a_slow_disk_is_waited_for(behind):
    """With one chunk being written, the next one waits for it: nothing piles up."""
    tracker, disk = behind
    disk.gate.clear()
    walked(tracker, 0, 3)
    trainer = threading.Thread(target=walked, args=(tracker, 3, 12))
    trainer.start()
    trainer.join(0.3)
    assert trainer.is_alive()
    assert tracker.iteration == 4
    assert len(ours()) == 1
    disk.gate.set()
    trainer.join(30)
    check_whole(tracker.finish(), 12)


def test_at_most_one_chunk_is_not_safe(behind, monkeypatch):
    """On a disk slower than the training, what was handed over before the newest chunk is safe."""
    tracker, disk = behind
    called = disk._called
    monkeypatch.setattr(disk, "_called", lambda *what: (time.sleep(0.01), called(*what)))
    for t in range(1, 25):
        tracker.step(point(t))
        safe = max((rows for what, rows in list(disk.calls) if what == "checkpoint"), default=0)
        assert safe >= t // 2 * 2 - 2
    check_whole(tracker.finish(), 24)


@pytest.mark.parametrize("ask", ["checkpoint", "finish", "leave", "break off"])
def test_all_is_written_before_it_returns(behind, ask):
    """checkpoint(), finish() and the end of the block, by an error too, leave nothing to write."""
    tracker, disk = behind
    disk.gate.clear()
    threading.Timer(0.1, disk.gate.set).start()
    if ask in {"leave", "break off"}:
        try:
            with tracker:
                walked(tracker, 0, 3)
                assert ask == "leave"
        except AssertionError:
            assert ask == "break off"
    else:
        getattr(walked(tracker, 0, 3), ask)()
    assert disk.calls[-2:] == [("append", [3]), ("checkpoint", 3)]
    assert ours() == []
    check_whole(tracker.finish(), 3)


@pytest.mark.parametrize("where", ["append", "checkpoint"])
@pytest.mark.parametrize("go_on", [True, False])
def test_an_error_is_raised_once_and_nothing_is_lost(behind, where, go_on):
    """The error itself comes out of the next flush, with its traceback; later ones write all."""
    tracker, disk = behind
    error = OSError("disk full")
    disk.where, disk.errors = where, [error]
    walked(tracker, 0, 3)
    with pytest.raises(OSError, match="disk full") as caught:
        tracker.step(point(4))
    assert caught.value is error
    assert "_called" in {frame.name for frame in traceback.extract_tb(error.__traceback__)}
    assert tracker.iteration == 4
    last = 9 if go_on else 4
    check_whole(walked(tracker, 4, last).finish(), last)
    assert ours() == []


def test_a_disk_that_stays_full_is_told_of_again(behind):
    """Every second flush says so, and finish too; once there is room, all is written."""
    tracker, disk = behind
    disk.errors = [OSError(f"full {i}") for i in range(3)]
    walked(tracker, 0, 3)
    with pytest.raises(OSError, match="full 0"):
        tracker.step(point(4))
    walked(tracker, 4, 7)
    with pytest.raises(OSError, match="full 1"):
        tracker.step(point(8))
    with pytest.raises(OSError, match="full 2"):
        tracker.finish()
    check_whole(tracker.finish(), 8)


def test_an_error_that_has_passed_is_no_loss(behind):
    """finish() tries again what failed before: where that works, the run is whole."""
    tracker, disk = behind
    disk.errors = [OSError("disk full")]
    check_whole(walked(tracker, 0, 3).finish(), 3)


def test_what_is_handed_over_is_owned(behind):
    """Parameters changed in place while their chunk is being written do not change the record."""
    tracker, disk = behind
    disk.gate.clear()
    model = point(0)
    for t in range(1, 4):
        model["x"][:] = t
        tracker.step(model)
    model["x"][:] = np.nan
    disk.gate.set()
    check_whole(tracker.finish(), 3)


def test_loading_and_resuming_wait_for_a_write_of_this_process(tmp_path, monkeypatch):
    """A loop that was left without an end is found as it was handed over, at once."""
    path = tmp_path / "run.zarr"
    monkeypatch.setattr(overhead, "_FIRST", 0)
    write = ZarrSink.append
    monkeypatch.setattr(ZarrSink, "append", lambda *given: (time.sleep(0.05), write(*given)))
    for begin in range(0, 24, 4):
        tracker = track(
            {"train": PROBLEM}, point(begin), PROBLEM.layout, path=path, chunk=4, resume=True
        )
        assert tracker.iteration == begin
        walked(tracker, begin, begin + 4)
    check_whole(lca_core.load(path), 24)


def test_a_process_that_ends_without_finish_ends(tmp_path):
    """The interpreter waits for the chunk under way and exits; the chunk is in the file."""
    script = """
        import sys, time
        import numpy as np
        from lca_core import overhead
        from lca_core.reference import Polynomial, track
        from lca_core.store import ZarrSink
        overhead._FIRST, write = 0, ZarrSink.append
        ZarrSink.append = lambda *given: (time.sleep(0.3), write(*given))
        problem = Polynomial({"x": np.ones(2)}, 2)
        tracker = track({"train": problem}, {"x": np.zeros(2)}, problem.layout, path=sys.argv[1],
                        chunk=2)
        for t in range(1, 6):
            tracker.step({"x": np.full(2, float(t))})
    """
    path = tmp_path / "run.zarr"
    command = [sys.executable, "-c", textwrap.dedent(script), str(path)]
    done = subprocess.run(command, timeout=60, check=True, capture_output=True, text=True)
    assert done.stderr == ""
    assert lca_core.load(path).steps == 4


def test_samples_of_the_training_alone_are_undisturbed(behind, monkeypatch):
    """The stopwatch times the training alone only while nothing is being written."""
    tracked, disk = behind
    monkeypatch.setattr(overhead, "_FIRST", 40)
    busy = []
    arrived = tracked._stopwatch.arrived

    def look(*args):
        if tracked._stopwatch._sampled:
            busy.append(len(ours()))
        arrived(*args)

    monkeypatch.setattr(tracked._stopwatch, "arrived", look)
    called = disk._called
    monkeypatch.setattr(disk, "_called", lambda *what: (time.sleep(0.005), called(*what)))
    walked(tracked, 0, 30)
    assert len(busy) > 20
    assert set(busy) == {0}
