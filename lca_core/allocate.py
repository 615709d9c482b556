"""The functional core: one step in, one record and the next state out."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import evolve, frozen

from lca_core.errors import LeafError
from lca_core.leafwise import difference, moves, product
from lca_core.rules import TRAPEZOID
from lca_core.segment import Integral, Integrator, Segment, Status
from lca_core.typing import (
    Array,
    ArrayOps,
    Declared,
    Evaluation,
    GradientOracle,
    Observer,
    ObserverState,
    Params,
    Snapshot,
    StepView,
)

if TYPE_CHECKING:
    from lca_core.layout import Layout

LEDGER = (
    Declared("loss", (), "float64"),
    Declared("gap", (), "float64"),
    Declared("buffers", (), "float64"),
    Declared("noise", (), "float64"),
    Declared("allocation", ("leaf",), "float64"),
    Declared("error", ("leaf",), "float64"),
    Declared("evaluations", (), "int32"),
    Declared("status", (), "int8"),
    Declared("audited", (), "bool"),
)
"""What every step of every measure adds to the run file, whatever the observers add.

`loss` at the step's end, `gap` = ΔL - Σ allocation - buffers, `buffers` = the part of ΔL
that moving buffers caused, `noise` = the rounding floor of the gap (all in loss units),
`allocation` and `error` by leaf, gradient `evaluations`, `status`, and whether the step was
refined by lot (`audited`).
"""

Record = Mapping[str, Mapping[str, Any]]
"""One closed step: measure -> name -> small array, still on the device where it was made."""


@frozen
class State:
    """What one step leaves for the next.

    Args:
        index: closed steps so far.
        snapshot: the last iterate.
        evaluations: loss and gradient there, by measure.
        running: the observers' running arrays, by measure.
    """

    index: int
    snapshot: Snapshot
    evaluations: Mapping[str, Evaluation]
    running: Mapping[str, tuple[ObserverState, ...]]


@frozen
class _Move:
    """From one iterate to the next, the same for all measures."""

    index: int
    start: Snapshot
    end: Snapshot
    displacement: Params
    params: bool
    buffers: bool


@frozen
class _Closed:
    """One measure's closed step: its arrays, the evaluation at its end, the running arrays."""

    arrays: Mapping[str, Any]
    last: Evaluation
    running: tuple[ObserverState, ...]


@frozen
class Allocator:
    r"""Allocate the loss change of every step to every parameter, for several measures at once.

    .. math:: A_{t,i} = \left(\int_0^1 \partial_i L(\theta_t + s\Delta_t)\,ds\right) \Delta_{t,i}

    A pair of functions without hidden state: `state = init(snapshot)`, then
    `record, state = update(state, snapshot)` after every step.

    Args:
        ops: the framework's array functions.
        oracles: measure name -> loss and gradient over its whole data.
        layout: the leaves.
        integrator: `Adaptive(...)` or `Fixed(rule)`.
        observers: what else to keep.

    Example:
        >>> import numpy as np
        >>> from lca_core import Adaptive, Allocator, Snapshot
        >>> from lca_core.reference import NumpyOps, Quadratic
        >>> problem = Quadratic(np.diag([1.0, 4.0]), np.zeros(2))
        >>> allocator = Allocator(NumpyOps(), {"train": problem}, problem.layout, Adaptive())
        >>> state = allocator.init(Snapshot({"x": np.array([1.0, 1.0])}))
        >>> record, state = allocator.update(state, Snapshot({"x": np.array([0.0, 0.5])}))
        >>> float(record["train"]["allocation"][0])
        -2.0

    Source: LCA paper, section 2, equations 1 to 3.
    """

    ops: ArrayOps
    oracles: Mapping[str, GradientOracle]
    layout: Layout
    integrator: Integrator
    observers: tuple[Observer, ...] = ()

    def init(self, snapshot: Snapshot) -> State:
        """Evaluate the first iterate; one gradient a measure.

        Args:
            snapshot: θ_0, owned by the caller's promise.

        Raises:
            LeafError: its leaves are not those of the layout.
        """
        snapshot = self._in_order(snapshot)
        running = tuple(observer.init(self.ops, snapshot.params) for observer in self.observers)
        return State(
            index=0,
            snapshot=snapshot,
            evaluations={
                measure: oracle(snapshot.params, snapshot.buffers)
                for measure, oracle in self.oracles.items()
            },
            running=dict.fromkeys(self.oracles, running),
        )

    def update(self, state: State, snapshot: Snapshot) -> tuple[Record, State]:
        """Close the step from the state's iterate to this one.

        Args:
            state: from `init` or the last `update`.
            snapshot: θ_{t+1}.

        Returns:
            The record of the step, and the state for the next.

        Raises:
            LeafError: the leaves are not those of the layout; the state stays usable.
        """
        snapshot = self._in_order(snapshot)
        move = self._move(state, snapshot)
        closed = {measure: self._close(measure, state, move) for measure in self.oracles}
        record = {measure: one.arrays for measure, one in closed.items()}
        return record, State(
            index=state.index + 1,
            snapshot=snapshot,
            evaluations={measure: one.last for measure, one in closed.items()},
            running={measure: one.running for measure, one in closed.items()},
        )

    def declare(self) -> tuple[Declared, ...]:
        """Return every array that a step adds to the run file."""
        observed = [array for obs in self.observers for array in obs.declare(self.layout)]
        return (*LEDGER, *observed)

    def _in_order(self, snapshot: Snapshot) -> Snapshot:
        """Check the leaves, and put them in the layout's order: rows have no other names."""
        self.layout.check(snapshot.params)
        return evolve(snapshot, params={k: snapshot.params[k] for k in self.layout.names})

    def _move(self, state: State, end: Snapshot) -> _Move:
        displacement = difference(end.params, state.snapshot.params)
        cheapest_first = (displacement[name] for name in self.layout.smallest_first)
        return _Move(
            index=state.index,
            start=state.snapshot,
            end=end,
            displacement=displacement,
            params=any(moves(self.ops, leaf) for leaf in cheapest_first),
            buffers=self._buffers_moved(state.snapshot.buffers, end.buffers),
        )

    def _close(self, measure: str, state: State, move: _Move) -> _Closed:
        """Allocate one measure's loss change of a step: the buffers' part, then the rest."""
        oracle, before = self.oracles[measure], state.evaluations[measure]
        evaluate = partial(oracle, buffers=move.end.buffers)
        first = evaluate(move.start.params) if move.buffers else before
        last = evaluate(move.end.params) if move.params else first
        segment = Segment(
            index=move.index,
            start=move.start.params,
            displacement=move.displacement,
            evaluate=evaluate,
            first=first,
            last=last,
            eps=oracle.eps,
            ops=self.ops,
        )
        integral = self.integrator(segment) if move.params else _stood_still(segment)
        # Where nothing moved, the displacement itself is the exact zero, whatever the gradient.
        gradient, displacement = integral.mean_gradient, move.displacement
        allocation = product(displacement, gradient) if move.params else displacement
        view = StepView(allocation, gradient, displacement)
        observed, running = self._observe(view, state.running[measure])
        arrays = {
            "loss": last.loss,
            "gap": integral.gap,
            "buffers": first.loss - before.loss if move.buffers else 0.0,
            "noise": segment.noise,
            "allocation": integral.leaf_allocation,
            "error": integral.leaf_error,
            "evaluations": integral.evaluations + int(move.params) + int(move.buffers),
            "status": int(integral.status),
            "audited": integral.audited,
            **observed,
        }
        finite = integral.status is not Status.NONFINITE
        return _Closed(arrays, last, running if finite else state.running[measure])

    def _observe(
        self, view: StepView, states: tuple[ObserverState, ...]
    ) -> tuple[dict[str, Array], tuple[ObserverState, ...]]:
        arrays: dict[str, Array] = {}
        new_states = []
        for observer, state in zip(self.observers, states, strict=True):
            observed, new_state = observer.update(self.ops, self.layout, view, state)
            arrays.update(observed)
            new_states.append(new_state)
        return arrays, tuple(new_states)

    def _buffers_moved(self, start: Params, end: Params) -> bool:
        if start.keys() != end.keys():
            msg = (
                f"The model's buffers changed from {sorted(start)} to {sorted(end)}. "
                "Start a new tracker when the model's structure changes."
            )
            raise LeafError(msg)
        if not start:
            return False
        # Comparisons, not differences: a mask that holds infinities stands still.
        changes = [self.ops.sum(end[k] < start[k]) + self.ops.sum(end[k] > start[k]) for k in start]
        if np.any(self.ops.to_numpy(self.ops.concat(changes)) != 0):
            return True
        # A NaN compares with nothing: it shows in the sums.
        before, after = (
            self.ops.to_numpy(self.ops.concat([self.ops.sum(side[k]) for k in start]))
            for side in (start, end)
        )
        return bool(np.any(np.isnan(before) != np.isnan(after)))


def _stood_still(segment: Segment) -> Integral:
    """Allocate exact zeros to a step on which no parameter moved."""
    zeros = np.zeros(len(segment.start))
    finite = np.isfinite(segment.change)
    return Integral(
        mean_gradient=segment.first.gradient,
        leaf_allocation=zeros,
        leaf_error=zeros,
        gap=segment.change,
        rule=TRAPEZOID,
        evaluations=0,
        status=Status.OK if finite else Status.NONFINITE,
    )
