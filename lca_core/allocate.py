"""The functional core: one step in, one record and the next state out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from attrs import evolve, field, frozen

from lca_core.errors import LeafError, RuleError
from lca_core.integrate import Fixed
from lca_core.leafwise import combine, difference, moves, product
from lca_core.ledger import LEDGER, entries, of_whole, stood_still
from lca_core.look import Look, Sight, mean_evaluation
from lca_core.segment import Integral, Integrator, Segment, Status, noise_floor
from lca_core.typing import (
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
class _Seen:
    """A look, with its few numbers on the host: losses (3,), allocation of the leaves (n, leaves).

    The second row is that of the nested rule, where there is one.
    """

    look: Look
    losses: np.ndarray
    leaves: np.ndarray

    @property
    def change(self) -> float:
        """ΔL under the end's buffers."""
        return float(self.losses[2] - self.losses[1])


@frozen
class _Closed:
    """One measure's closed step: its arrays, and what the next step and a whole need of it.

    `first` is the average gradient by the rule that every step begins with, `mean` the final one.
    """

    arrays: Mapping[str, Any]
    last: Evaluation
    first: Params
    mean: Params
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
        wholes: further measures, each the mean of others that partition its data: name ->
            {name of a part: its share}. They cost no gradient.

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
    wholes: Mapping[str, Mapping[str, float]] = field(factory=dict)

    @cached_property
    def measures(self) -> tuple[str, ...]:
        """Names of all measures, in order: a whole, its parts, the next."""
        whole_of = {part: whole for whole, shares in self.wholes.items() for part in shares}
        both = ((whole_of.get(name, name), name) for name in self.oracles)
        return tuple(dict.fromkeys(name for pair in both for name in pair))

    def eps(self, measure: str) -> float:
        """Return the machine epsilon of a measure's loss."""
        return max(self.oracles[part].eps for part in self._shares(measure))

    def init(self, snapshot: Snapshot) -> State:
        """Evaluate the first iterate; one gradient a measure.

        Args:
            snapshot: θ_0, owned by the caller's promise.

        Raises:
            LeafError: its leaves are not those of the layout.
        """
        snapshot = self._in_order(snapshot)
        running = tuple(observer.init(self.ops, snapshot.params) for observer in self.observers)
        evaluations = {
            measure: self._evaluate(oracle, snapshot.params, snapshot.buffers)
            for measure, oracle in self.oracles.items()
        }
        for whole, shares in self.wholes.items():
            parts = {part: evaluations[part] for part in shares}
            evaluations[whole] = self.compile(partial(mean_evaluation, shares))(parts)
        return State(
            index=0,
            snapshot=snapshot,
            evaluations=evaluations,
            running=dict.fromkeys(self.measures, running),
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
        stood = not self._params_moved(before.params, after.params)
        close = self._stand if stood else self._close
        closed: dict[str, _Closed] = {}
        for measure in self.measures:
            if measure not in closed:  # a part is closed with its whole
                closed |= close(self._shares(measure), state, snapshot, moved=buffers)
            if measure in self.wholes:
                closed[measure] = self._sum_up(measure, closed, state, snapshot, stood=stood)
        record = {measure: closed[measure].arrays for measure in self.measures}
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
        looks: dict[str, Look] = {}
        for measure, oracle in self.oracles.items():
            before, running = state.evaluations[measure], state.running[measure]
            looks[measure] = self._sight.look(
                oracle,
                state.snapshot,
                snapshot,
                before,
                running,
                buffers_moved=bool(snapshot.buffers),
            )
        ends = (state.snapshot.params, snapshot.params)
        for whole, shares in self.wholes.items():
            running = state.running[whole]
            looks[whole] = self._sight.look_at_whole(shares, looks, ends, running)
        record = {
            measure: self._sight.record(state.evaluations[measure], looks[measure])
            for measure in self.measures
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
        if tuple(snapshot.params) == self.layout.names:
            return snapshot
        return evolve(snapshot, params={k: snapshot.params[k] for k in self.layout.names})

    def _shares(self, measure: str) -> Mapping[str, float]:
        return self.wholes.get(measure, {measure: 1.0})

    @cached_property
    def _sight(self) -> Sight:
        return Sight(self.ops, self.layout, self.integrator.rule, self.observers)

    @cached_property
    def _evaluate(self) -> Callable[..., Evaluation]:
        return self.compile(_evaluated)

    @cached_property
    def _looks(self) -> Mapping[bool, Callable[..., Look]]:
        """Whether buffers moved -> the compiled look at a step."""
        return {
            moved: self.compile(partial(self._sight.look, buffers_moved=moved))
            for moved in (False, True)
        }

    @cached_property
    def _watch(self) -> Callable[..., Any]:
        # The view as a tuple: compilers know no containers of ours.
        return self.compile(lambda view, running: self._sight.observe(StepView(*view), running))

    @cached_property
    def _reversals(self) -> Callable[..., Any]:
        return self.compile(self._sight.reversals)

    @cached_property
    def _mixes(self) -> Mapping[tuple[str, bool], Callable[..., Any]]:
        """Whole, and whether the parameters stood still -> the compiled mix of its parts."""
        return {
            (whole, stood): self.compile(partial(self._sight.mix, shares, stood=stood))
            for whole, shares in self.wholes.items()
            for stood in (False, True)
        }

    def _close(
        self, shares: Mapping[str, float], state: State, end: Snapshot, *, moved: bool
    ) -> dict[str, _Closed]:
        """Look at measures that share a whole; where one asks for more, let it go on from there."""
        seen = {part: self._see(part, state, end, moved=moved) for part in shares}
        change = sum(share * seen[part].change for part, share in shares.items())
        return {
            part: self._settle(part, one, abs(change), state, end, moved=moved)
            for part, one in seen.items()
        }

    def _see(self, measure: str, state: State, end: Snapshot, *, moved: bool) -> _Seen:
        """Look once, and bring the few numbers to the host."""
        look = self._looks[moved](
            self.oracles[measure],
            state.snapshot,
            end,
            state.evaluations[measure],
            state.running[measure],
        )
        parts = (look.losses, look.allocation, look.coarse)
        figures = self.ops.to_numpy(self.ops.concat([part for part in parts if part is not None]))
        return _Seen(look, figures[:3], figures[3:].reshape(-1, len(self.layout.leaves)))

    def _settle(
        self, measure: str, seen: _Seen, within: float, state: State, end: Snapshot, *, moved: bool
    ) -> _Closed:
        """Ask whether the look will do; integrate where it does not."""
        oracle, running, look = self.oracles[measure], state.running[measure], seen.look
        observed, new_running, mean = look.observed, look.running, look.mean
        integral = self._at_first_sight(seen, within, state.index, oracle.eps)
        turned = np.full(len(self.layout.leaves), np.nan)
        if integral is None:
            segment = Segment(
                index=state.index,
                start=state.snapshot.params,
                displacement=difference(end.params, state.snapshot.params),
                evaluate=lambda params: self._evaluate(oracle, params, end.buffers),
                first=look.first or state.evaluations[measure],
                last=look.last,
                eps=oracle.eps,
                ops=self.ops,
                within=within,
            )
            integral = self.integrator(segment)
            displacement, mean = segment.displacement, integral.mean_gradient
            allocation = product(displacement, mean)
            view = (allocation, mean, displacement, look.last.gradient, end.params)
            observed, new_running = self._watch(view, running)
            turned = self.ops.to_numpy(self._reversals(displacement, look.mean, mean))
        finite = integral.status is not Status.NONFINITE
        numbers = entries(
            seen.losses, oracle.eps, integral, turned, gradients=1 + moved, moved=moved
        )
        new_running = new_running if finite else running
        return _Closed({**numbers, **observed}, look.last, look.mean, mean, new_running)

    def _stand(
        self, shares: Mapping[str, float], state: State, end: Snapshot, *, moved: bool
    ) -> dict[str, _Closed]:
        """Allocate exact zeros to a step on which no parameter moved."""
        return {part: self._stand_still(part, state, end, moved=moved) for part in shares}

    def _stand_still(self, measure: str, state: State, end: Snapshot, *, moved: bool) -> _Closed:
        oracle, before = self.oracles[measure], state.evaluations[measure]
        last = self._evaluate(oracle, end.params, end.buffers) if moved else before
        losses = self.ops.to_numpy(self.ops.concat([before.loss, last.loss, last.loss]))
        # The displacement itself is the exact zero, whatever the gradient.
        zeros = difference(end.params, state.snapshot.params)
        running = state.running[measure]
        view = (zeros, last.gradient, zeros, last.gradient, end.params)
        observed, new_running = self._watch(view, running)
        change = float(losses[2] - losses[1])
        integral = stood_still(len(self.layout.leaves), self.integrator.rule, change)
        finite = integral.status is Status.OK
        none = np.zeros(len(self.layout.leaves))
        numbers = entries(losses, oracle.eps, integral, none, gradients=int(moved), moved=moved)
        new_running = new_running if finite else running
        return _Closed({**numbers, **observed}, last, last.gradient, last.gradient, new_running)

    def _sum_up(
        self,
        whole: str,
        closed: Mapping[str, _Closed],
        state: State,
        end: Snapshot,
        *,
        stood: bool,
    ) -> _Closed:
        """Close a whole by its closed parts."""
        shares, running = self.wholes[whole], state.running[whole]
        last, mean, observed, new_running = self._mixes[whole, stood](
            {part: (closed[part].last, closed[part].mean) for part in shares},
            (state.snapshot.params, end.params),
            running,
        )
        parts = {part: closed[part].arrays for part in shares}
        first = combine(list(shares.values()), [closed[part].first for part in shares])
        numbers = of_whole(shares, parts, self.integrator.judge)
        if np.isfinite(numbers["reversed"]).all() and not stood:
            displacement = difference(end.params, state.snapshot.params)
            numbers["reversed"] = self.ops.to_numpy(self._reversals(displacement, first, mean))
        finite = numbers["status"] != Status.NONFINITE
        new_running = new_running if finite else running
        return _Closed({**numbers, **observed}, last, first, mean, new_running)

    def _at_first_sight(
        self, seen: _Seen, within: float, index: int, eps: float
    ) -> Integral | None:
        """Return the integral by the rule that every step begins with, if it will do."""
        rule, allocation = self.integrator.rule, seen.leaves[0]
        gap = seen.change - float(allocation.sum())
        status = self.integrator.settle(
            index,
            change=min(abs(seen.change), within),
            gap=gap,
            noise=noise_floor(eps, seen.losses[1:]),
        )
        if status is None:
            return None
        nested = len(seen.leaves) > 1
        return Integral(
            mean_gradient={},
            leaf_allocation=allocation,
            leaf_error=allocation - seen.leaves[1] if nested else np.full_like(allocation, np.nan),
            gap=gap,
            rule=rule,
            evaluations=rule.inside,
            status=status,
        )

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
