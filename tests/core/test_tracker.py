"""The shell for training loops: counting, segments, endings, errors on the way."""

import weakref

import numpy as np
import pytest
from attrs import evolve

from lca_core import Adaptive, Allocator, Counts, Totals, Tracker
from lca_core.errors import LCAError, LeafError, NotRecordedError, RuleError
from lca_core.header import Header
from lca_core.memory import MemorySink
from lca_core.pace import Pace
from lca_core.reference import NumpyOps, Polynomial, track
from lca_core.reference.ops import snapshot
from lca_core.summary import books

PROBLEM = Polynomial({"x": np.array([1.0, 2.0])}, 2)


def point(t):
    """Return the iterate after t steps; the loss there is 3 t²."""
    return {"x": np.full(2, float(t))}


def tracked(start=0, **options):
    """Return a tracker that stands at an iterate."""
    return track({"train": PROBLEM}, point(start), PROBLEM.layout, **options)


def walked(tracker, begin, end):
    """Make the steps begin + 1 to end."""
    for t in range(begin + 1, end + 1):
        tracker.step(point(t))
    return tracker


@pytest.mark.parametrize("chunk", [1, 2, 3, 64])
def test_every_step_is_a_row(chunk):
    """T steps give T rows, T + 1 losses and the iterations 0..T, whatever the chunk."""
    run = walked(tracked(chunk=chunk), 0, 7).finish()
    assert run.steps == 7
    assert run.iteration.tolist() == list(range(8))
    assert run.loss("train") == pytest.approx([3.0 * t**2 for t in range(8)])
    assert run.total("train")["x"] == pytest.approx([49.0, 98.0])


@pytest.mark.parametrize(("every", "iterations"), [(2, [2, 4, 6, 7]), (3, [3, 6, 7]), (9, [7])])
def test_segments_of_several_steps_close(every, iterations):
    """One segment closes for k steps, and finish closes the rest: no loss change is lost."""
    tracker = walked(tracked(every=every), 0, 7)
    run = tracker.finish(point(7))
    assert run.iteration.tolist() == [0, *iterations]
    assert run.loss("train") == pytest.approx([3.0 * t**2 for t in [0, *iterations]])
    change = np.diff(run.loss("train"))
    assert run.allocation("train").values.sum(axis=1) == pytest.approx(change)
    assert run.total("train")["x"] == pytest.approx([49.0, 98.0])


@pytest.mark.parametrize("how", ["finish", "with", "checkpoint"])
def test_the_rest_needs_no_second_mention(how):
    """The open segment closes at the parameters of the last step, without naming them again."""
    tracker = tracked(every=4)
    if how == "with":
        with tracker:
            walked(tracker, 0, 6)
    else:
        walked(tracker, 0, 6)
        getattr(tracker, how)()
    run = tracker.finish()
    assert run.iteration.tolist() == [0, 4, 6]
    assert run.loss("train")[-1] == pytest.approx(3.0 * 36)


@pytest.mark.parametrize("given", [True, False])
def test_skipped_segments_keep_one_copy(given):
    """Between segments the newest step is copied and no other kept; what is not given is not."""
    captured, live = [], [0]

    def capture(params=None):
        made = snapshot(params or point(live[0]))
        captured.append((float(made.params["x"][0]), weakref.ref(made.params["x"])))
        return made

    core = Allocator(NumpyOps(), {"train": PROBLEM}, PROBLEM.layout, Adaptive())
    sink = MemorySink(Header(PROBLEM.layout, ("train",), core.declare(), {}, (0.0,)))
    tracker = Tracker(core, core.init(snapshot(point(0))), capture, sink, Pace(), every=5)
    for t in range(1, 15):
        live[0] = t
        tracker.step(*[point(t)] * given)
    assert [t for t, _ in captured] == (list(range(1, 15)) if given else [5, 10])
    assert [t for t, held in captured if held() is not None] == ([10, 14] if given else [10])


def test_finish_is_idempotent():
    """Finishing twice returns the same run; nothing is added."""
    tracker = walked(tracked(), 0, 3)
    run = tracker.finish()
    assert tracker.finish() is run
    assert tracker.run is run
    assert run.steps == 3


def test_a_run_without_steps():
    """A tracker that saw no step has a run with one loss and no rows."""
    run = tracked(2).finish()
    assert run.loss("train").tolist() == [12.0]
    assert run.allocation("train").values.shape == (0, 1)
    assert run.total("train")["x"].tolist() == [0.0, 0.0]
    assert run.error("train").values.tolist() == [0.0]
    assert run.helping("train").share.shape == (0, 1)
    assert "0 steps" in repr(run)


def test_no_step_after_finish():
    """A finished tracker refuses steps and says how to go on."""
    tracker = tracked()
    tracker.finish()
    with pytest.raises(LCAError, match=r"finished.*new one.*resume=True"):
        tracker.step(point(1))
    assert tracker.iteration == 0


def test_no_run_before_finish():
    """The run of an open tracker is refused with the way to get it."""
    with pytest.raises(LCAError, match=r"after tracker.finish\(\)"):
        _ = tracked().run


def test_with_block():
    """The end of a `with` block finishes the tracker."""
    with tracked() as tracker:
        walked(tracker, 0, 2)
    assert tracker.run.steps == 2


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt])
def test_an_error_in_the_block_keeps_the_record(kind):
    """Whatever ends the block, what was recorded is kept and the error comes through."""
    tracker = tracked(every=2, chunk=2)

    def loop():
        with tracker:
            walked(tracker, 0, 7)
            raise kind("the loop broke")

    with pytest.raises(kind, match="the loop broke"):
        loop()
    assert tracker.run.iteration.tolist() == [0, 2, 4, 6]
    assert tracker.run.total("train")["x"] == pytest.approx([36.0, 72.0])


def test_an_error_after_finish_changes_nothing():
    """An error raised after finish() inside the block leaves the finished run."""
    tracker = walked(tracked(), 0, 2)

    def loop():
        with tracker:
            tracker.finish()
            raise ValueError("late")

    with pytest.raises(ValueError, match="late"):
        loop()
    assert tracker.run is tracker.finish()
    assert tracker.run.steps == 2


def test_an_error_at_the_end_of_the_block_keeps_the_record():
    """If the last segment cannot close, the others are the run, and the error says what to do."""

    class Breaking(Polynomial):
        def __call__(self, params, buffers):
            if params["x"][0] == 5.0:
                msg = "out of memory"
                raise MemoryError(msg)
            return super().__call__(params, buffers)

    problem = Breaking({"x": np.array([1.0, 2.0])}, 2)
    tracker = track({"train": problem}, point(0), PROBLEM.layout, every=2)
    with (
        pytest.raises(MemoryError, match=r"out of memory(.|\n)*up to step 4 of 5.*try again"),
        tracker,
    ):
        walked(tracker, 0, 5)
    assert tracker.run.iteration.tolist() == [0, 2, 4]
    assert tracker.run.total("train")["x"] == pytest.approx([16.0, 32.0])


@pytest.mark.parametrize("bad", [{"x": np.zeros(3)}, {"y": np.zeros(2)}, {}])
def test_bad_input_does_not_count(bad):
    """Parameters that are refused are no step: the count stands, the next good step is right."""
    tracker = walked(tracked(), 0, 2)
    with pytest.raises(LeafError):
        tracker.step(bad)
    assert tracker.iteration == 2
    run = walked(tracker, 2, 4).finish()
    assert run.iteration.tolist() == [0, 1, 2, 3, 4]
    assert run.total("train")["x"] == pytest.approx([16.0, 32.0])


def test_a_failing_loss_does_not_count():
    """An oracle that raises makes no row, and the same step can be made again."""
    failures = [False, False, True, False, False]

    class Flaky(Polynomial):
        def __call__(self, params, buffers):
            if failures and failures.pop(0):
                msg = "out of memory"
                raise MemoryError(msg)
            return super().__call__(params, buffers)

    tracker = track({"train": Flaky({"x": np.array([1.0, 2.0])}, 2)}, point(0), PROBLEM.layout)
    tracker.step(point(1))
    with pytest.raises(MemoryError):
        tracker.step(point(2))
    tracker.step(point(2))
    run = tracker.finish()
    assert run.iteration.tolist() == [0, 1, 2]
    assert run.loss("train").tolist() == [0.0, 3.0, 12.0]


def test_a_refused_step_is_not_what_the_end_closes_at():
    """After a step that did not count, the rest closes at the last one that did."""
    tracker = walked(tracked(every=4), 0, 7)
    with pytest.raises(LeafError):
        tracker.step({"x": np.zeros(3)})
    run = tracker.finish()
    assert run.iteration.tolist() == [0, 4, 7]
    assert run.loss("train").tolist() == [0.0, 48.0, 147.0]


class Failing(MemorySink):
    """A durable sink of which one call fails, as on a full disk."""

    durable = True
    fails = 0
    where = "checkpoint"

    def append(self, rows):
        """Add rows, which count from the next checkpoint on."""
        self._strike("append")
        self.open = rows

    def checkpoint(self, point):
        """Make the rows count."""
        self._strike("checkpoint")
        if getattr(self, "open", None) is not None:
            super().append(self.open)
        self.open = None
        super().checkpoint(point)

    def _strike(self, where):
        if self.where == where and self.fails > 0:
            self.fails -= 1
            msg = "disk full"
            raise OSError(msg)


@pytest.mark.parametrize("where", ["append", "checkpoint"])
@pytest.mark.parametrize("go_on", [True, False])
def test_a_full_disk_loses_nothing(where, go_on):
    """If writing fails, steps stay pending, each with its number; the next write has them all."""
    core = Allocator(NumpyOps(), {"train": PROBLEM}, PROBLEM.layout, Adaptive(), (Totals(),))
    sink = Failing(Header(PROBLEM.layout, ("train",), core.declare(), {}, (0.0,)))
    sink.where = where
    tracker = Tracker(core, core.init(snapshot(point(0))), snapshot, sink, Pace(2))
    walked(tracker, 0, 3)
    sink.fails = 1
    with pytest.raises(OSError, match="disk full"):
        tracker.step(point(4))
    assert tracker.iteration == 4
    if go_on:
        walked(tracker, 4, 7)
    last = 7 if go_on else 4
    run = tracker.finish()
    assert run.iteration.tolist() == list(range(last + 1))
    assert run.loss("train") == pytest.approx([3.0 * t**2 for t in range(last + 1)])


@pytest.mark.parametrize("chunk", [1, 2, 64])
def test_last_is_the_newest_step(chunk):
    """last() reports loss, gap and evaluations of the newest segment, flushed or not."""
    tracker = tracked(1, chunk=chunk)
    assert tracker.last() == {"loss": 3.0}
    for t in range(2, 6):
        tracker.step(point(t))
        last = tracker.last()
        assert last == {
            "loss": 3.0 * t**2,
            "gap": pytest.approx(0.0, abs=1e-12),
            "evaluations": last["evaluations"],
            "gradients": last["gradients"],
        }
        assert last["evaluations"] in (1, 2)
        assert tracker.last("train") == last
    tracker.checkpoint()
    assert tracker.last() == last


def test_last_has_the_average_cost():
    """Gradients a closed step, the first iterate's included, as the closing line has them."""
    tracker = walked(tracked(1, every=2), 1, 9)
    gradients = tracker.last()["gradients"]
    assert gradients == books(tracker.finish(), "train").gradients


def test_newest_is_the_last_row():
    """newest() has the arrays of the newest closed step, whatever has been written of it."""
    tracker = tracked(1, every=2, chunk=2, observers=[Counts()])
    assert tracker.newest("allocation") is None
    walked(tracker, 1, 6)
    newest = {name: tracker.newest(name, "train") for name in ("allocation", "helped", "hurt")}
    run = walked(tracker, 6, 8).finish()
    for name, values in newest.items():
        np.testing.assert_array_equal(values, run.rows[name][1, 0])
    for what in (("nothing", "train"), ("allocation", "val")):
        with pytest.raises(NotRecordedError, match=r"'nothing'|'val'"):
            tracker.newest(*what)


def test_last_of_an_unknown_measure():
    """A measure that is not tracked is refused by name, before and after the first step."""
    tracker = tracked()
    for _ in range(2):
        with pytest.raises(NotRecordedError, match=r"\['train'\].*'val'"):
            tracker.last("val")
        tracker.step(point(1))


@pytest.mark.parametrize("name", ["every", "chunk"])
@pytest.mark.parametrize("value", [0, -3])
def test_settings_are_checked(name, value, tmp_path):
    """Segments and chunks have at least one step; where they have none, no file is begun."""
    with pytest.raises(RuleError, match=f"{name} must be a number of steps from 1 up, got {value}"):
        tracked(path=tmp_path / "run.zarr", **{name: value})
    assert not list(tmp_path.iterdir())


def test_it_says_where_it_stands():
    """The tracker's text counts steps and segments."""
    tracker = walked(tracked(every=3), 0, 7)
    assert repr(tracker) == "<Tracker: 7 steps, 2 segments>"


@pytest.mark.parametrize("how", ["finish", "with", "checkpoint"])
@pytest.mark.parametrize("every", [1, 2, 3, 9])
def test_caller_may_reuse_its_arrays(every, how):
    """Training in place, with one array throughout, is recorded right, however it ends."""
    x = point(0)
    tracker = tracked(every=every)
    for _ in range(5):
        x["x"] += 1.0
        tracker.step(x)
    x["x"] += 100.0
    if how == "with":
        with tracker:
            pass
    else:
        getattr(tracker, how)()
    run = tracker.finish()
    closed = sorted({*range(0, 6, every), 5})
    assert run.iteration.tolist() == closed
    assert run.loss("train").tolist() == [3.0 * t**2 for t in closed]
    assert run.total("train")["x"] == pytest.approx([25.0, 50.0])


def test_checkpoints_close_segments():
    """checkpoint() closes the open segment, so that a run can go on from exactly there."""
    tracker = walked(tracked(every=4), 0, 5)
    tracker.checkpoint(point(5))
    run = walked(tracker, 5, 9).finish(point(9))
    assert run.iteration.tolist() == [0, 4, 5, 8, 9]
    assert run.total("train")["x"] == pytest.approx([81.0, 162.0])


def test_leaves_keep_the_order_of_the_layout():
    """Rows follow the layout, in whatever order the parameters or the gradient come."""

    class Reversed(Polynomial):
        def __call__(self, params, buffers):
            evaluation = super().__call__(params, buffers)
            backwards = dict(reversed(list(evaluation.gradient.items())))
            return evolve(evaluation, gradient=backwards)

    leaves = {"a": np.array([1.0]), "b": np.array([10.0, -10.0]), "c": np.array(-100.0)}
    problem = Reversed(leaves, 1)
    start = {name: np.zeros(leaf.shape) for name, leaf in leaves.items()}
    tracker = track({"train": problem}, dict(reversed(list(start.items()))), problem.layout)
    for t in (1.0, 2.0):
        tracker.step({name: np.full(leaves[name].shape, t) for name in ("b", "c", "a")})
    run = tracker.finish()
    assert run.allocation("train", by="leaf").values.tolist() == [[1.0, 0.0, -100.0]] * 2
    assert run.allocation("train", by="unit").values.tolist() == [[1.0, 10.0, -10.0, -100.0]] * 2
    assert run.helping("train", by="leaf").hurt.tolist() == [[1, 1, 0]] * 2
    assert run.helping("train", by="leaf").helped.tolist() == [[0, 1, 1]] * 2
    assert run.total("train")["b"].tolist() == [20.0, -20.0]


def test_who_did_not_see_a_move_catches_up():
    """A move since the last step is a step; a model that stands, at NaN too, gets none."""
    tracker = walked(tracked(), 0, 3)
    tracker.catch_up(point(3))
    assert tracker.segments == 3
    tracker.catch_up(point(5))
    lost = {"x": np.full(2, np.nan)}
    tracker.catch_up(lost)
    tracker.catch_up(lost)
    run = tracker.finish(lost)
    assert run.iteration.tolist() == [0, 1, 2, 3, 4, 5]
    assert run.loss("train")[:5] == pytest.approx([3.0 * t**2 for t in (0, 1, 2, 3, 5)])


def test_a_move_that_was_not_seen_belongs_to_what_is_open():
    """Catching up closes an open segment where the model stands, and adds none."""
    tracker = walked(tracked(every=4), 0, 6)
    tracker.catch_up(point(8))
    run = tracker.finish(point(8))
    assert run.iteration.tolist() == [0, 4, 6]
    assert run.loss("train")[-1] == pytest.approx(3.0 * 64)
