"""The functional core: one step in, one record and the next state out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import evolve, field, frozen

from lca_core.clashes import called, check_apart, check_names
from lca_core.closing import Closed, Closing, Compile, Shares, State
from lca_core.errors import RuleError, UnsupportedError
from lca_core.estimating import Estimating
from lca_core.integrate import Fixed
from lca_core.ledger import ITERATION, LEDGER
from lca_core.look import Look, mean_evaluation
from lca_core.move import Move
from lca_core.packed import lie_alike
from lca_core.redraws import Redraws

if TYPE_CHECKING:
    from typing import Self

    from lca_core.layout import Layout
    from lca_core.segment import Integrator
    from lca_core.typing import ArrayOps, Declared, GradientOracle, Observer, Snapshot

Record = Mapping[str, Mapping[str, Any]]
"""One closed step: measure -> name -> number or small array, some still on the device."""


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
        oracles: measure name -> loss and gradient over its whole data, or `Redraws` of it.
        layout: the leaves.
        integrator: `Adaptive(...)` or `Fixed(rule)`.
        observers: what else to keep.
        compile: the framework's compiler (`jax.jit`, `tf.function`), so that the usual step is
            one call; nothing by default.
        wholes: further measures, each the mean of others that partition its data: name ->
            {name of a part: its share}. They cost no gradient.

    Raises:
        ObserverError: two observers declare an array of one name, or one declares a name that
            every run file has for itself.

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
    oracles: Mapping[str, GradientOracle | Redraws]
    layout: Layout
    integrator: Integrator
    observers: tuple[Observer, ...] = ()
    compile: Compile = field(default=_as_it_is, repr=False)
    wholes: Mapping[str, Shares] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        own = (ITERATION, *LEDGER, *self._estimating.declare())
        observed = (observer.declare(self.layout) for observer in self.observers)
        declared = [("the ledger", own), *zip(called(self.observers), observed, strict=True)]
        check_apart((who, [one.name for one in arrays]) for who, arrays in declared)
        check_names(declared)

    @cached_property
    def measures(self) -> tuple[str, ...]:
        """Names of all measures, in order: a whole, its parts, the next."""
        whole_of = {part: whole for whole, shares in self.wholes.items() for part in shares}
        both = ((whole_of.get(name, name), name) for name in self.oracles)
        return tuple(dict.fromkeys(name for pair in both for name in pair))

    def eps(self, measure: str) -> float:
        """Return the machine epsilon of a measure's loss."""
        return max(self.oracles[part].eps for part in self._shares(measure))

    @cached_property
    def redraws(self) -> Mapping[str, Redraws]:
        """The measures that are looked at through fresh examples at every step."""
        return {k: one for k, one in self.oracles.items() if isinstance(one, Redraws)}

    def along(self, every: int) -> Self:
        """Return the same core for segments of so many steps; redrawn measures look otherwise."""
        longer = {measure: one.along(every) for measure, one in self.redraws.items()}
        return evolve(self, oracles={**self.oracles, **longer}) if longer else self

    def init(self, snapshot: Snapshot) -> State:
        """Evaluate the first iterate; one gradient a measure.

        Args:
            snapshot: θ_0, owned by the caller's promise.

        Raises:
            LeafError: its leaves are not those of the layout.
            ObserverError: two observers keep running arrays of one name.
        """
        snapshot = self._in_order(snapshot)
        running = tuple(observer.init(self.ops, snapshot.params) for observer in self.observers)
        check_apart(zip(called(self.observers), running, strict=True))
        evaluations = {
            measure: self._closing.evaluate(oracle, snapshot.params, snapshot.buffers)
            for measure, oracle in self._steady.items()
        }
        for whole, shares in self.wholes.items():
            parts = {part: evaluations[part] for part in shares}
            evaluations[whole] = self.compile(partial(mean_evaluation, shares))(parts)
        for measure, redraws in self.redraws.items():
            evaluations[measure] = self._estimating.at_first(redraws, snapshot)
        return State(
            index=0,
            snapshot=snapshot,
            # In one order from the start: compilers take another one for another state.
            evaluations={measure: evaluations[measure] for measure in self.measures},
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
            ObserverError: an observer returns other arrays than it declared; likewise.
        """
        if not lie_alike(snapshot.params, state.snapshot.params):
            snapshot = self._in_order(snapshot)
        move = Move(state.snapshot, snapshot, self.ops, self.layout)
        closed: dict[str, Closed] = {}
        for measure in self.measures:
            if measure in self.redraws:
                one = self.redraws[measure]
                closed[measure] = self._estimating.close(one, measure, state, move)
                continue
            if measure not in closed:  # a part is closed with its whole
                closed |= self._closing.close(self._steady, self._shares(measure), state, move)
            if measure in self.wholes:
                closed[measure] = self._closing.sum_up(measure, closed, state, move)
        record = {
            measure: {**self._no_spread, **closed[measure].arrays} for measure in self.measures
        }
        return record, State(
            index=state.index + 1,
            snapshot=snapshot,
            evaluations={measure: closed[measure].last for measure in self.measures},
            running={measure: closed[measure].running for measure in self.measures},
            accounts={
                measure: state.account(measure).after(change=one.change, gap=one.arrays["gap"])
                for measure, one in closed.items()
            },
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
            UnsupportedError: a measure is redrawn, which the host does.
        """
        if self.redraws:
            msg = (
                f"A compiled step cannot draw examples anew, as {list(self.redraws)} asks for. "
                "Use `track`, or a FixedProbe."
            )
            raise UnsupportedError(msg)
        if not isinstance(self.integrator, Fixed):
            msg = f"A compiled step needs Fixed(rule), got {self.integrator}."
            raise RuleError(msg)
        snapshot = self._in_order(snapshot)
        looks: dict[str, Look] = {}
        for measure, oracle in self._steady.items():
            before, running = state.evaluations[measure], state.running[measure]
            looks[measure] = self._closing.sight.look(
                oracle,
                state.snapshot,
                snapshot,
                before,
                running,
                buffers_moved=bool(snapshot.buffers),
                keep_mean=measure in self._closing.parts,
            )
        ends = (state.snapshot.params, snapshot.params)
        for whole, shares in self.wholes.items():
            running = state.running[whole]
            looks[whole] = self._closing.sight.look_at_whole(shares, looks, ends, running)
        record = {
            measure: self._closing.sight.record(state.evaluations[measure], looks[measure])
            for measure in self.measures
        }
        return record, State(
            index=state.index + 1,
            snapshot=snapshot,
            evaluations={measure: looks[measure].last for measure in self.measures},
            running={measure: looks[measure].running for measure in self.measures},
        )

    def declare(self) -> tuple[Declared, ...]:
        """Return every array that a step adds to the run file."""
        observed = [array for obs in self.observers for array in obs.declare(self.layout)]
        return (*LEDGER, *self._estimating.declare(), *observed)

    def _in_order(self, snapshot: Snapshot) -> Snapshot:
        """Check the leaves, and put them in the layout's order: rows have no other names."""
        self.layout.check(snapshot.params)
        if tuple(snapshot.params) == self.layout.names:
            return snapshot
        return evolve(snapshot, params={k: snapshot.params[k] for k in self.layout.names})

    def _shares(self, measure: str) -> Shares:
        return self.wholes.get(measure, {measure: 1.0})

    @cached_property
    def _steady(self) -> Mapping[str, GradientOracle]:
        """The measures that see the same examples all along."""
        return {k: one for k, one in self.oracles.items() if not isinstance(one, Redraws)}

    @cached_property
    def _closing(self) -> Closing:
        return Closing(
            self.ops, self.layout, self.integrator, self.observers, self.compile, self.wholes
        )

    @cached_property
    def _estimating(self) -> Estimating:
        most = max((one.drawing.subsamples for one in self.redraws.values()), default=0)
        ends = any(one.sees_ends for one in self.redraws.values())
        return Estimating(self.ops, self.layout, self.observers, self.compile, most, ends)

    @cached_property
    def _no_spread(self) -> Mapping[str, Any]:
        """The arrays of redrawn measures, for those that have no sampling error."""
        arrays = self._estimating.declare()
        return {one.name: np.full(one.shape(self.layout), np.nan) for one in arrays}
