"""The stateful shell for training loops."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from lca_core.audits import by_lot
from lca_core.errors import LCAError, NotRecordedError, RuleError
from lca_core.numbers import whole
from lca_core.overhead import Overhead, Stopwatch
from lca_core.points import point_at
from lca_core.waiting import Waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

    from lca_core.allocate import Allocator, Record
    from lca_core.closing import State
    from lca_core.layout import Layout
    from lca_core.pace import Pace
    from lca_core.plan import Plan
    from lca_core.remaking import Remaking
    from lca_core.run import Run
    from lca_core.typing import Params, Sink, Snapshot


class Tracker:
    """Closes one segment at every call of `step`, and hands over the `Run` at the end.

    Adapters make it (`lca_torch.track`, ...). Use it in a `with` block and what is recorded
    is safe whatever happens inside.

    Args:
        allocator: the functional core.
        state: its state at the first iterate.
        capture: takes what `step` is given and returns an owned `Snapshot`.
        sink: where closed segments go.
        pace: when closed segments go there.
        every: close a segment at every so many calls of `step`; its allocation still closes.
        iteration: calls of `step` that the state has seen.
        remaking: how to make the same core on samples of the data, for `plan`.
    """

    def __init__(
        self,
        allocator: Allocator,
        state: State,
        capture: Callable[..., Snapshot],
        sink: Sink,
        pace: Pace,
        *,
        every: int = 1,
        iteration: int = 0,
        remaking: Remaking | None = None,
    ) -> None:
        every = whole("every", every, 1, what="a number of steps")
        self._allocator = allocator
        self._state = state
        self._capture = capture
        self._sink = sink
        self._pace = pace
        self.every = every
        self._remaking = remaking
        self._waiting = Waiting(allocator.declare(), self._host)
        self._closed_at = iteration
        self._held: Snapshot | None = None
        self._newest: Record | None = None
        self._finished: Run | None = None
        self._stopwatch = Stopwatch(self._wait)
        self._closings = 0
        self._by_lot = 0.0
        self._spent: dict[str, float] = dict.fromkeys(allocator.measures, 1.0)
        self.iteration = iteration

    def __repr__(self) -> str:
        """Say where it stands."""
        return f"<Tracker: {self.iteration} steps, {self._state.index} segments>"

    def step(self, *source: Any) -> None:
        """Record that the optimizer has moved the parameters; call it after every update.

        Args:
            source: nothing in PyTorch and Keras; the new parameters in JAX.

        Raises:
            LeafError: the set of trainable parameters changed; nothing recorded is lost.
        """
        if self._finished is not None:
            msg = (
                "This tracker is finished; make a new one. A run that was written to a path goes "
                "on with path= and resume=True."
            )
            raise LCAError(msg)
        self.iteration += 1
        try:
            if self.iteration % self.every == 0:
                self._measure(*source)
            else:
                self._hold(*source)
        except BaseException:
            # A step that closed but could not be written stays pending: it counts.
            if self._closed_at != self.iteration:
                self.iteration -= 1
            raise

    def catch_up(self, *source: Any) -> None:
        """Close what is open, and what moved the model since as a step of its own.

        For who does not see every move, as a callback before the weights' average takes their
        place. A model that stands where its last step left it gets no step.

        Args:
            source: as for `step`.
        """
        self._stopwatch.disturbed()
        self._close_rest(*source)
        if not _same(self._capture(*source), self._state.snapshot, self._host):
            self.step(*source)

    def checkpoint(self, *source: Any) -> None:
        """Make everything up to now safe; call it just before saving the model.

        A run resumes at such a point when the model is restored to it. The last two are kept. It
        closes the segment that is open, which is then shorter than `every` steps.

        Args:
            source: as for `step`; what the last `step` was given by default.
        """
        self._stopwatch.disturbed()
        self._close_rest(*source)
        self._flush(keep=True)

    def finish(self, *source: Any) -> Run:
        """Close what is open and return the run.

        Args:
            source: as for `step`; what the last `step` was given by default.
        """
        if self._finished is None:
            self._close_rest(*source)
            self._flush(keep=True)
            self._finished = self._sink.run()
        return self._finished

    @property
    def run(self) -> Run:
        """The run; available after `finish` or the end of the `with` block."""
        if self._finished is None:
            msg = "The run is available after tracker.finish() or the end of the `with` block."
            raise LCAError(msg)
        return self._finished

    @property
    def layout(self) -> Layout:
        """The leaves."""
        return self._allocator.layout

    @property
    def segments(self) -> int:
        """Number of closed segments: rows of the run."""
        return self._state.index

    @property
    def overhead(self) -> Overhead:
        """What measuring has cost since the first measurement, which is left out: it compiles."""
        return self._stopwatch.overhead

    @property
    def iterate(self) -> Snapshot:
        """The newest closed iterate."""
        return self._state.snapshot

    def plan(
        self,
        budget: str | float | None = None,
        *,
        steps: int = 1_000,
        training_seconds: float | None = None,
        iterates: Sequence[Snapshot] = (),
    ) -> Plan:
        """Say what each way of measuring would cost and how exact it would be, in seconds.

        A few steps are closed on all examples and on samples, off the record: nothing of the
        training, of the record or of `overhead` changes. Call it before the first step with
        `training_seconds`, or after some steps, which time the training.

        Args:
            budget: "1.5x" or 1.5, time with measuring / time of the training alone, to choose by.
            steps: of the training, for the expected errors of its totals.
            training_seconds: of a step of the training alone; by default what `overhead` has
                measured.
            iterates: successive values of `iterate`, three or more, better nine, to measure on
                real steps. By default on short ones along the gradient, without the noise of the
                training's: real errors can be several times those expected, and segments of
                several steps can take more gradients.

        Returns:
            A table to print; `plan.best` is the choice within the budget.

        Raises:
            RuleError: the budget is no number above 1, or the training's own time is not known;
                `steps` is no whole number from 1 up, or `iterates` are too few or all the same.

        Example:
            >>> import numpy as np
            >>> from lca_core.reference import Polynomial, track
            >>> problem = Polynomial({"x": np.array([1.0, 2.0])}, power=3)
            >>> tracker = track({"train": problem}, {"x": np.ones(2)}, problem.layout)
            >>> plan = tracker.plan("2x", training_seconds=60.0)
            >>> plan.best.kind, plan.best.every
            ('all', 1)
        """
        from lca_core.plan import budgeted
        from lca_core.planning import Planning, check_iterates

        began, limit = time.perf_counter(), budgeted(budget)
        steps = whole("steps", steps, 1)
        check_iterates(iterates, self._allocator)
        overhead = self.overhead
        alone = overhead.usual if training_seconds is None else training_seconds
        if limit is not None and not alone > 0.0:
            msg = (
                f"A budget of {limit}x needs the time of the training alone, which is not known "
                f"after {self.iteration} steps: make a few first, or pass training_seconds=."
            )
            raise RuleError(msg)
        # Without those at the first iterate, which are counted as spent, and without lots.
        spent = sum(self._spent.values()) - len(self._spent) - self._by_lot
        gradients = spent / self._closings if self._closings else math.nan
        planning = Planning(
            self._allocator,
            self._state,
            self._remaking,
            gradients,
            overhead.measuring,
            iterates,
        )
        try:
            return planning.plan(alone=alone, steps=steps, budget=limit)
        finally:
            self._stopwatch.skip(time.perf_counter() - began)

    def last(self, measure: str | None = None) -> Mapping[str, float]:
        """Return loss, gap and evaluations of the newest closed step, for a progress line.

        With them comes what this tracker spent on average, the first iterate included:
        "gradients" a closed step (a segment, where `every` makes it several steps long).

        Args:
            measure: its name; the first one by default.

        Raises:
            NotRecordedError: there is no such measure.
        """
        measure = self._chosen(measure)
        if self._newest is None:
            loss = self._state.evaluations[measure].loss
            return {"loss": float(self._allocator.ops.to_numpy(loss))}
        record = self._newest[measure]
        numbers = {key: float(self._host(record[key])) for key in ("loss", "gap", "evaluations")}
        return {**numbers, "gradients": self._spent[measure] / self._closings}

    def newest(self, name: str, measure: str | None = None) -> np.ndarray | None:
        """Return one array of the newest closed step, as the run will hold it; None before it.

        "allocation" is on the host already; what observers add is fetched from the device.

        Args:
            name: "allocation" (by leaf, loss units), "helped" (by leaf), ...
            measure: its name; the first one by default.

        Raises:
            NotRecordedError: there is no such measure, or no such array.
        """
        measure = self._chosen(measure)
        recorded = [one.name for one in self._allocator.declare()]
        if name not in recorded:
            msg = f"The tracker records {recorded}, not '{name}'."
            raise NotRecordedError(msg)
        return None if self._newest is None else np.asarray(self._host(self._newest[measure][name]))

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Finish; after an error, keep what is recorded and let the error through."""
        if kind is not None:
            self._keep()
            return
        try:
            self.finish()
        except BaseException as failure:
            self._keep()
            failure.add_note(
                f"tracker.run holds the record up to step {self._closed_at} of {self.iteration}. "
                "Call tracker.finish() inside the block to handle this error and to try again."
            )
            raise

    def _chosen(self, measure: str | None) -> str:
        measures = list(self._allocator.measures)
        measure = measures[0] if measure is None else measure
        if measure not in measures:
            msg = f"The tracker has the measures {measures}, not '{measure}'."
            raise NotRecordedError(msg)
        return measure

    def _measure(self, *source: Any) -> None:
        """Close a segment, and take the time."""
        entered = time.perf_counter()
        snapshot = self._capture(*source)
        self._stopwatch.arrived(snapshot.params, self.iteration, entered)
        self._close(snapshot)
        self._stopwatch.left(snapshot.params, self.iteration)

    def _hold(self, *source: Any) -> None:
        """Keep a copy of a step that closes nothing, until the next: it may be the last one.

        Where nothing is given, the model itself is read when the segment closes.
        """
        entered = time.perf_counter()
        self._held = self._capture(*source) if source else None
        self._stopwatch.held(time.perf_counter() - entered)

    def _wait(self, params: Params) -> None:
        """Return when parameters are computed; the smallest stand for all."""
        ops = self._allocator.ops
        for name in self.layout.smallest_first[:1]:
            if name in params:  # what is missing is refused later, with its name
                ops.to_numpy(ops.sum(params[name]))

    def _close(self, snapshot: Snapshot) -> None:
        record, self._state = self._allocator.update(self._state, snapshot)
        self._waiting.add(self.iteration, record)
        self._newest, self._held = record, None
        self._closed_at = self.iteration
        self._closings += 1
        for measure, numbers in record.items():
            self._spent[measure] += float(self._host(numbers["evaluations"]))
            self._by_lot += by_lot(numbers)
        if self._pace.due(self._state.index, len(self._waiting)):
            self._flush()
        else:
            self._waiting.tidy()

    def _close_rest(self, *source: Any) -> None:
        if self._closed_at != self.iteration:
            held = None if source else self._held
            self._close(held or self._capture(*source))

    def _so_far(self) -> Run:
        """Return what is recorded, and go on; a look takes the place of no point to resume from."""
        self._flush(keep=not self._sink.durable)
        run: Run = self._sink.so_far()
        return run

    def _keep(self) -> None:
        """Finish with what is recorded; a segment that is still open is left out."""
        if self._finished is None:
            self._flush(keep=True)
            self._finished = self._sink.run()

    def _flush(self, *, keep: bool = False) -> None:
        with self._pace.writing():
            if len(self._waiting):
                self._sink.append(self._waiting.rows())
            if keep or self._sink.durable:
                self._sink.checkpoint(
                    point_at(self._allocator, self._state, iteration=self._closed_at, keep=keep)
                )
            # Only now are they safe; a sink that failed gets them again.
            self._waiting.clear()

    def _host(self, value: Any) -> Any:
        if isinstance(value, (bool, int, float, np.ndarray)):
            return value
        return self._allocator.ops.to_numpy(value)


def _same(one: Snapshot, other: Snapshot, host: Callable[[Any], np.ndarray]) -> bool:
    """Return whether two snapshots hold the same values; what is no number in both is the same."""
    pairs = ((one.params, other.params), (one.buffers, other.buffers))
    return all(
        np.array_equal(host(here[name]), host(there[name]), equal_nan=True)
        for here, there in pairs
        for name in there
    )
