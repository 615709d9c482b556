"""What measuring costs is measured: inside the tracker's calls against between them."""

import math
import time
from types import SimpleNamespace

import numpy as np
import pytest

from lca_core import overhead
from lca_core.reference import Polynomial, track


@pytest.fixture
def clock(monkeypatch):
    """Return a list of one time, which the stopwatch takes for now."""
    now = [0.0]
    fake = SimpleNamespace(perf_counter=lambda: now[0])
    monkeypatch.setattr(overhead, "time", fake)
    return now


class Timed(Polynomial):
    """A loss whose every evaluation takes a second of the fake clock."""

    def __call__(self, params, buffers):
        """Evaluate."""
        self.clock[0] += 1.0
        return super().__call__(params, buffers)


@pytest.mark.parametrize("every", [1, 3])
def test_seconds_inside_and_outside(clock, every):
    """After the first measurement every second is counted once, on its side."""
    problem = Timed({"x": np.ones(2)}, 2)
    object.__setattr__(problem, "clock", clock)
    tracker = track({"train": problem}, {"x": np.zeros(2)}, problem.layout, every=every)
    assert math.isnan(tracker.overhead.factor)
    assert math.isnan(tracker.overhead.seconds_a_step)
    inside = 0.0
    for t in range(1, 13):
        clock[0] += 10.0 if t > every else 500.0  # the first ones compile
        before = clock[0]
        tracker.step({"x": np.full(2, float(t))})
        inside += (clock[0] - before) * (t > every)
        if t == every:
            assert tracker.overhead.steps == 0
    found, steps = tracker.overhead, 12 - every
    assert found.outside == 10.0 * steps
    assert found.inside == inside > 0
    assert found.steps == steps
    assert found.factor == (10 * steps + inside) / (10 * steps)
    assert found.seconds_a_step == (10 * steps + inside) / steps


def test_checkpoints_are_measuring(clock, monkeypatch):
    """The time that a checkpoint takes is not the training's."""
    problem = Polynomial({"x": np.ones(2)}, 2)
    tracker = track({"train": problem}, {"x": np.zeros(2)}, problem.layout)
    tracker.step({"x": np.ones(2)})
    flush = tracker._flush
    monkeypatch.setattr(tracker, "_flush", lambda **how: (clock.__setitem__(0, 7.0), flush(**how)))
    tracker.checkpoint()
    assert (tracker.overhead.inside, tracker.overhead.outside) == (7.0, 0.0)


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
