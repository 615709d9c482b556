"""The functional core: one step in, one record and the next state out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from attrs import evolve, field, frozen

from lca_core.errors import LeafError, RuleError
from lca_core.integrate import Fixed, mean_gradients
from lca_core.leafwise import difference, leaf_sums, moves, product
from lca_core.segment import Integral, Integrator, Segment, Status, noise_floor
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
    from lca_core.rules import Rule

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
"""One closed step: measure -> name -> number or small array, some still on the device."""

Compile: TypeAlias = Callable[[Callable[..., Any]], Callable[..., Any]]
"""Makes a faster function of one whose arguments and results are leaves in nested containers."""


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
class Look:
    """One measure's step as its starting rule sees it; nothing is decided on the host.

    Args:
        last: loss and gradient at the step's end.
        first: the same at its start under the end's buffers; None where they did not move.
        losses: before the step, at its start under the end's buffers, at its end; shape (3,).
        allocation: of every leaf, shape (leaves,), float64.
        coarse: the same under the rule's nested one; None where there is none.
        observed: the observers' arrays of this step.
        running: their running arrays behind it.
    """

    last: Evaluation
    first: Evaluation | None
    losses: Array
    allocation: Array
    coarse: Array | None
    observed: Mapping[str, Array]
    running: tuple[ObserverState, ...]


@frozen
class _Closed:
    """One measure's closed step: its arrays, the evaluation at its end, the running arrays."""

    arrays: Mapping[str, Any]
    last: Evaluation
    running: tuple[ObserverState, ...]


def _as_it_is(function: Callable[..., Any]) -> Callable[..., Any]:
    return function


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
        compile: the framework's compiler (`jax.jit`, `tf.function`), so that the usual step is
            one call; nothing by default.

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
    compile: Compile = field(default=_as_it_is, repr=False)

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
                measure: self._evaluate(oracle, snapshot.params, snapshot.buffers)
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
        before, after = state.snapshot, snapshot
        buffers = self._buffers_moved(before.buffers, after.buffers)
        close = self._close if self._params_moved(before.params, after.params) else self._stand
        closed = {
            measure: close(measure, state, snapshot, moved=buffers) for measure in self.oracles
        }
        record = {measure: one.arrays for measure, one in closed.items()}
        return record, State(
            index=state.index + 1,
            snapshot=snapshot,
            evaluations={measure: one.last for measure, one in closed.items()},
            running={measure: one.running for measure, one in closed.items()},
        )

    def trace(self, state: State, snapshot: Snapshot) -> tuple[Record, State]:
        """Do as `update` does, without a decision on the host: for code that is compiled whole.

        Every step costs its gradients, moved or not, and a step that is not finite spoils the
        running totals. The record has no status: it is for the reader of `gap` to judge.

        Args:
            state: from `init` or the last `trace`.
            snapshot: θ_{t+1}.

        Raises:
            RuleError: the integrator decides while it goes; pass `Fixed(rule)`.
        """
        if not isinstance(self.integrator, Fixed):
            msg = f"A compiled step needs Fixed(rule), got {self.integrator}."
            raise RuleError(msg)
        snapshot = self._in_order(snapshot)
        looks = {
            measure: self._look(
                oracle,
                state.snapshot,
                snapshot,
                state.evaluations[measure],
                state.running[measure],
                buffers_moved=bool(snapshot.buffers),
            )
            for measure, oracle in self.oracles.items()
        }
        record = {
            measure: self._native(state.evaluations[measure], look)
            for measure, look in looks.items()
        }
        return record, State(
            index=state.index + 1,
            snapshot=snapshot,
            evaluations={measure: look.last for measure, look in looks.items()},
            running={measure: look.running for measure, look in looks.items()},
        )

    def declare(self) -> tuple[Declared, ...]:
        """Return every array that a step adds to the run file."""
        observed = [array for obs in self.observers for array in obs.declare(self.layout)]
        return (*LEDGER, *observed)

    def _in_order(self, snapshot: Snapshot) -> Snapshot:
        """Check the leaves, and put them in the layout's order: rows have no other names."""
        self.layout.check(snapshot.params)
        return evolve(snapshot, params={k: snapshot.params[k] for k in self.layout.names})

    @cached_property
    def _evaluate(self) -> Callable[..., Evaluation]:
        return self.compile(_evaluated)

    @cached_property
    def _looks(self) -> Mapping[bool, Callable[..., Look]]:
        """Whether buffers moved -> the compiled look at a step."""
        return {
            moved: self.compile(partial(self._look, buffers_moved=moved)) for moved in (False, True)
        }

    @cached_property
    def _watch(self) -> Callable[..., Any]:
        # The view as a tuple: compilers know no containers of ours.
        return self.compile(lambda view, running: self._observe(StepView(*view), running))

    def _look(
        self,
        oracle: GradientOracle,
        start: Snapshot,
        end: Snapshot,
        before: Evaluation,
        running: tuple[ObserverState, ...],
        *,
        buffers_moved: bool,
    ) -> Look:
        """Apply the integrator's starting rule, and show the step to the observers."""
        first = oracle(start.params, end.buffers) if buffers_moved else before
        last = oracle(end.params, end.buffers)
        segment = Segment(
            index=0,
            start=start.params,
            displacement=difference(end.params, start.params),
            evaluate=partial(oracle, buffers=end.buffers),
            first=first,
            last=last,
            eps=oracle.eps,
            ops=self.ops,
        )
        mean, nested = mean_gradients(segment, self.integrator.rule)
        allocation = product(segment.displacement, mean)
        view = StepView(allocation, mean, segment.displacement, last.gradient, end.params)
        observed, new_running = self._observe(view, running)
        return Look(
            last=last,
            first=first if buffers_moved else None,
            losses=self.ops.concat([before.loss, first.loss, last.loss]),
            allocation=leaf_sums(self.ops, allocation),
            coarse=leaf_sums(self.ops, product(nested, segment.displacement)) if nested else None,
            observed=observed,
            running=new_running,
        )

    def _close(self, measure: str, state: State, end: Snapshot, *, moved: bool) -> _Closed:
        """Look once; where the integrator asks for more, let it go on from there."""
        oracle, before = self.oracles[measure], state.evaluations[measure]
        running = state.running[measure]
        look = self._looks[moved](oracle, state.snapshot, end, before, running)
        losses, integral = self._settled(look, state.index, oracle.eps)
        observed, new_running = look.observed, look.running
        if integral is None:
            segment = Segment(
                index=state.index,
                start=state.snapshot.params,
                displacement=difference(end.params, state.snapshot.params),
                evaluate=lambda params: self._evaluate(oracle, params, end.buffers),
                first=look.first or before,
                last=look.last,
                eps=oracle.eps,
                ops=self.ops,
            )
            integral = self.integrator(segment)
            displacement, mean = segment.displacement, integral.mean_gradient
            allocation = product(displacement, mean)
            view = (allocation, mean, displacement, look.last.gradient, end.params)
            observed, new_running = self._watch(view, running)
        finite = integral.status is not Status.NONFINITE
        return _Closed(
            {
                **_entries(losses, oracle.eps, integral, gradients=1 + moved, moved=moved),
                **observed,
            },
            look.last,
            new_running if finite else running,
        )

    def _stand(self, measure: str, state: State, end: Snapshot, *, moved: bool) -> _Closed:
        """Allocate exact zeros to a step on which no parameter moved."""
        oracle, before = self.oracles[measure], state.evaluations[measure]
        last = self._evaluate(oracle, end.params, end.buffers) if moved else before
        losses = self.ops.to_numpy(self.ops.concat([before.loss, last.loss, last.loss]))
        # The displacement itself is the exact zero, whatever the gradient.
        zeros = difference(end.params, state.snapshot.params)
        running = state.running[measure]
        view = (zeros, last.gradient, zeros, last.gradient, end.params)
        observed, new_running = self._watch(view, running)
        change = float(losses[2] - losses[1])
        integral = _stood_still(len(self.layout.leaves), self.integrator.rule, change)
        finite = integral.status is Status.OK
        return _Closed(
            {
                **_entries(losses, oracle.eps, integral, gradients=int(moved), moved=moved),
                **observed,
            },
            last,
            new_running if finite else running,
        )

    def _settled(self, look: Look, index: int, eps: float) -> tuple[np.ndarray, Integral | None]:
        """Bring the look's few numbers to the host, and ask whether they will do."""
        parts = (look.losses, look.allocation, look.coarse)
        figures = self.ops.to_numpy(self.ops.concat([part for part in parts if part is not None]))
        losses, leaves = figures[:3], figures[3:].reshape(-1, len(self.layout.leaves))
        rule, allocation = self.integrator.rule, leaves[0]
        change = float(losses[2] - losses[1])
        gap = change - float(allocation.sum())
        status = self.integrator.settle(
            index, change=change, gap=gap, noise=noise_floor(eps, losses[1:])
        )
        if status is None:
            return losses, None
        unknown = np.full_like(allocation, np.nan)
        return losses, Integral(
            mean_gradient={},
            leaf_allocation=allocation,
            leaf_error=unknown if look.coarse is None else allocation - leaves[1],
            gap=gap,
            rule=rule,
            evaluations=rule.inside,
            status=status,
        )

    def _native(self, before: Evaluation, look: Look) -> dict[str, Any]:
        """Return a look as a record that never left the device."""
        first, last = look.first or before, look.last
        nested = {} if look.coarse is None else {"error": look.allocation - look.coarse}
        return {
            "loss": last.loss,
            "gap": last.loss - first.loss - self.ops.sum(look.allocation),
            "buffers": first.loss - before.loss,
            "allocation": look.allocation,
            **nested,
            **look.observed,
        }

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

    def _params_moved(self, start: Params, end: Params) -> bool:
        cheapest_first = self.layout.smallest_first
        return any(moves(self.ops, end[name] - start[name]) for name in cheapest_first)


def _evaluated(oracle: GradientOracle, params: Params, buffers: Params) -> Evaluation:
    return oracle(params, buffers)


def _stood_still(leaves: int, rule: Rule, change: float) -> Integral:
    """Return exact zeros; the change is 0, or not a number."""
    return Integral(
        mean_gradient={},
        leaf_allocation=np.zeros(leaves),
        leaf_error=np.zeros(leaves),
        gap=change,
        rule=rule,
        evaluations=0,
        status=Status.OK if np.isfinite(change) else Status.NONFINITE,
    )


def _entries(
    losses: np.ndarray, eps: float, integral: Integral, *, gradients: int, moved: bool
) -> dict[str, Any]:
    """Return what `LEDGER` declares.

    Args:
        losses: before the step, at its start under the end's buffers, at its end.
        eps: of the oracle.
        integral: how the books closed.
        gradients: spent on the ends.
        moved: whether the buffers did.
    """
    return {
        "loss": float(losses[2]),
        "gap": integral.gap,
        "buffers": float(losses[1] - losses[0]) if moved else 0.0,
        "noise": noise_floor(eps, losses[1:]),
        "allocation": integral.leaf_allocation,
        "error": integral.leaf_error,
        "evaluations": integral.evaluations + gradients,
        "status": int(integral.status),
        "audited": integral.audited,
    }
