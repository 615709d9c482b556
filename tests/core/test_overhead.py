"""What measuring costs is measured: all that passes against the training alone."""

import math
import time
from types import SimpleNamespace

import numpy as np
import pytest

from lca_core import overhead, tracker
from lca_core.reference import NumpyOps, Polynomial, track


@pytest.fixture
def clock(monkeypatch):
    """Return a list of one time, which the stopwatch takes for now."""
    now = [0.0]
    fake = SimpleNamespace(perf_counter=lambda: now[0])
    monkeypatch.setattr(overhead, "time", fake)
    monkeypatch.setattr(tracker, "time", fake)
    return now


class Timed(Polynomial):
    """A loss whose every evaluation takes a second of the fake clock."""

    def __call__(self, params, buffers):
        """Evaluate."""
        self.clock[0] += 1.0
        return super().__call__(params, buffers)


class Lazy(NumpyOps):
    """An asynchronous device: what was put off happens when somebody waits."""

    def __init__(self, clock):
        self.clock, self.due = clock, 0.0

    def to_numpy(self, array):
        """Wait."""
        self.clock[0], self.due = self.clock[0] + self.due, 0.0
        return super().to_numpy(array)


def timed(clock, **options):
    """Return a tracker of a loss that takes its time."""
    problem = Timed({"x": np.ones(2)}, 2)
    object.__setattr__(problem, "clock", clock)
    return track({"train": problem}, {"x": np.zeros(2)}, problem.layout, **options)


@pytest.mark.parametrize("every", [1, 3])
def test_seconds_of_all_and_of_training_alone(clock, every):
    """After the first measurement: all time that passed, and 10 s a step of training."""
    tracker = timed(clock, every=every)
    assert math.isnan(tracker.overhead.factor)
    assert math.isnan(tracker.overhead.seconds_a_step)
    for t in range(1, 91):
        clock[0] += 10.0 if t > every else 500.0  # the first ones compile
        tracker.step({"x": np.full(2, float(t))})
        if t == every:
            began = clock[0]
            assert tracker.overhead.steps == 0
    found = tracker.overhead
    assert (found.seconds, found.steps) == (clock[0] - began, 90 - every)
    assert found.alone == 10.0
    assert found.factor == pytest.approx(found.seconds / (10.0 * found.steps))
    assert found.factor > 1.03


def test_what_is_usual(clock):
    """The median of the samples: what is slow at first, or once in a while, does not count."""
    tracker = timed(clock)
    assert math.isnan(tracker.overhead.usual)
    assert math.isnan(tracker.overhead.measuring)
    for t in range(1, 30):
        clock[0] += 500.0 if t < 4 else 10.0
        tracker.step({"x": np.full(2, float(t))})
    found = tracker.overhead
    assert (found.usual, found.measuring) == (10.0, 1.0)
    assert found.alone > 10.0


def test_training_that_is_still_under_way_is_training(clock, monkeypatch):
    """A loop that returns before its device is done is timed as one that waits."""
    tracker, lazy = timed(clock), Lazy(clock)
    monkeypatch.setattr(type(tracker._allocator), "ops", lazy)
    for t in range(1, 41):
        clock[0] += 1.0  # the host
        lazy.due += 9.0  # the device
        tracker.step({"x": np.full(2, float(t))})
    assert tracker.overhead.alone == 10.0


def test_copies_between_segments_are_measuring(clock, monkeypatch):
    """Steps that close nothing are copied, which is no training: it is part of the measurement."""
    tracker = timed(clock, every=3)
    capture = tracker._capture

    def slow(*source):
        clock[0] += 5.0
        return capture(*source)

    monkeypatch.setattr(tracker, "_capture", slow)
    for t in range(1, 31):
        clock[0] += 10.0
        tracker.step({"x": np.full(2, float(t))})
    assert (tracker.overhead.alone, tracker.overhead.usual) == (10.0, 10.0)
    assert tracker.overhead.measuring == 3 * 5.0 + 1.0


def test_samples_are_few(clock, monkeypatch):
    """Waiting is for samples only."""
    tracker = timed(clock)
    waits = []
    monkeypatch.setattr(tracker._stopwatch, "_wait", waits.append)
    for t in range(1, 1001):
        tracker.step({"x": np.full(2, float(t))})
    assert len(waits) <= 2 * (8 + 1000 / 16)


def test_checkpoints_are_not_training(clock, monkeypatch):
    """The time that a checkpoint takes is in all of it, but not in that of training alone."""
    tracker = timed(clock)
    flush = tracker._flush

    def slow(**how):
        clock[0] += 70.0
        flush(**how)

    for t in range(1, 5):
        clock[0] += 10.0
        tracker.step({"x": np.full(2, float(t))})
        if t == 2:
            monkeypatch.setattr(tracker, "_flush", slow)
            tracker.checkpoint()
            monkeypatch.setattr(tracker, "_flush", flush)
    assert tracker.overhead.alone == 10.0
    assert tracker.overhead.seconds > 100.0


def test_a_loop_that_sleeps():
    """On the real clock: a training that sleeps, measured by a loss that sleeps as long."""

    class Slow(Polynomial):
        def __call__(self, params, buffers):
            time.sleep(0.01)
            return super().__call__(params, buffers)

    problem = Slow({"x": np.ones(2)}, 2)
    tracker = track({"train": problem}, {"x": np.zeros(2)}, problem.layout)
    for t in range(1, 11):
        time.sleep(0.01)
        tracker.step({"x": np.full(2, 0.1 * t)})
    gradients = tracker.last()["evaluations"]
    assert 1.0 + 0.5 * gradients < tracker.overhead.factor < 1.0 + 4.0 * gradients


def test_measuring_never_saves_time():
    """A pause of the machine in a sample makes no measured training quicker than one alone."""
    assert overhead.Overhead(seconds=10.0, steps=10, alone=1.5).factor == 1.0
    assert math.isnan(overhead.Overhead(seconds=10.0, steps=10).factor)
