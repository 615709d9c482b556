"""Close one step of one measure: look, refine where that will not do, or book exact zeros."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from attrs import evolve, field, frozen

from lca_core.account import Account
from lca_core.leafwise import combine, difference, product
from lca_core.ledger import entries, of_whole, stood_still
from lca_core.look import Look, Sight
from lca_core.segment import Integral, Integrator, Segment, Status, noise_floor
from lca_core.typing import (
    ArrayOps,
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
    from lca_core.move import Move

Compile: TypeAlias = Callable[[Callable[..., Any]], Callable[..., Any]]
"""Makes a faster function of one whose arguments and results are leaves in nested containers."""

Shares: TypeAlias = Mapping[str, float]
"""Measures that are closed together -> their shares of the whole that they make."""


@frozen
class State:
    """What one step leaves for the next.

    Args:
        index: closed steps so far.
        snapshot: the last iterate.
        evaluations: loss and gradient there, by measure.
        running: the observers' running arrays, by measure.
        accounts: what the steps so far have left open, by measure.
    """

    index: int
    snapshot: Snapshot
    evaluations: Mapping[str, Evaluation]
    running: Mapping[str, tuple[ObserverState, ...]]
    accounts: Mapping[str, Account] = field(factory=dict)

    def account(self, measure: str) -> Account:
        """Return what the steps so far of a measure have left open."""
        return self.accounts.get(measure, Account())


@frozen
class Closed:
    """One measure's closed step.

    Args:
        arrays: what the run file holds of it.
        last: loss and gradient at the step's end.
        coarser: the average gradient by the rule that the used one is compared with, which is the
            used one where there is no other; of parts of a whole, empty for others.
        mean: the same by the rule that was used; empty likewise.
        running: the observers' running arrays behind it.
        change: what a tolerance is relative to, |ΔL| or less, loss units; NaN where no books are
            to close.
    """

    arrays: Mapping[str, Any]
    last: Evaluation
    coarser: Params
    mean: Params
    running: tuple[ObserverState, ...]
    change: float


@frozen
class _Seen:
    """A look, with its few numbers on the host: three losses, allocation of the leaves (n, leaves).

    The second row is that of the nested rule, where there is one. `within` is |ΔL| of the whole
    that the measure is a part of.
    """

    look: Look
    losses: Sequence[float]
    leaves: np.ndarray
    within: float = math.inf

    @property
    def change(self) -> float:
        """ΔL under the end's buffers."""
        return self.losses[2] - self.losses[1]

    @property
    def scale(self) -> float:
        """What a tolerance is relative to; see `Segment`."""
        return min(abs(self.change), self.within)


@frozen
class Closing:
    """How steps are closed; it knows no measure, only the oracles that it is handed.

    Args:
        ops: the framework's array functions.
        layout: the leaves.
        integrator: `Adaptive(...)` or `Fixed(rule)`.
        observers: what else to keep.
        compile: the framework's compiler.
        wholes: whole -> part -> its share.
    """

    ops: ArrayOps
    layout: Layout
    integrator: Integrator
    observers: tuple[Observer, ...]
    compile: Compile
    wholes: Mapping[str, Shares]

    @cached_property
    def sight(self) -> Sight:
        """How a step is first looked at."""
        return Sight(self.ops, self.layout, self.integrator.rule, self.observers)

    @cached_property
    def evaluate(self) -> Callable[..., Evaluation]:
        """(oracle, params, buffers) -> loss and gradient, compiled."""
        return self.compile(_evaluated)

    def close(
        self,
        oracles: Mapping[str, GradientOracle],
        shares: Shares,
        state: State,
        move: Move,
    ) -> dict[str, Closed]:
        """Close measures that share a whole, each as tightly as the whole asks for.

        Args:
            oracles: measure -> its loss and gradient; those not in `shares` are left alone.
            shares: the measures to close.
            state: where they stand.
            move: the step.
        """
        if not move.params:
            return {part: self._stand(oracles[part], part, state, move) for part in shares}
        seen = {part: self._see(oracles[part], part, state, move) for part in shares}
        change = sum(share * seen[part].change for part, share in shares.items())
        return {
            part: self._settle(oracles[part], part, _within(seen.pop(part), change), (state, move))
            for part in shares
        }

    def sum_up(self, whole: str, closed: Mapping[str, Closed], state: State, move: Move) -> Closed:
        """Close a whole by its closed parts."""
        shares, running = self.wholes[whole], state.running[whole]
        last, mean, observed, new_running = self._mixes[whole, not move.params](
            {part: (closed[part].last, closed[part].mean) for part in shares},
            (move.start.params, move.end.params),
            running,
        )
        parts = {part: closed[part].arrays for part in shares}
        coarser = combine(list(shares.values()), [closed[part].coarser for part in shares])
        numbers = of_whole(shares, parts, self.integrator.judge)
        change = abs(float(numbers["gap"] + numbers["allocation"].sum()))
        if np.isfinite(numbers["reversed"]).all() and move.params:
            displacement = difference(move.end.params, move.start.params)
            numbers["reversed"] = self.ops.to_numpy(self._reversals(displacement, coarser, mean))
        new_running = running if _lost(numbers) else new_running
        return Closed({**numbers, **observed}, last, coarser, mean, new_running, change)

    @cached_property
    def _looks(self) -> Mapping[tuple[bool, bool], Callable[..., Look]]:
        """Whether buffers moved, and whether it is of a part -> the compiled look at a step."""
        return {
            (moved, part): self.compile(
                partial(self.sight.look, buffers_moved=moved, keep_mean=part)
            )
            for moved in (False, True)
            for part in (False, True)
        }

    @cached_property
    def parts(self) -> frozenset[str]:
        """The measures whose average gradients make that of a whole."""
        return frozenset(part for shares in self.wholes.values() for part in shares)

    @cached_property
    def _watch(self) -> Callable[..., Any]:
        # The view as a tuple: compilers know no containers of ours.
        return self.compile(lambda view, running: self.sight.observe(StepView(*view), running))

    @cached_property
    def _reversals(self) -> Callable[..., Any]:
        return self.compile(self.sight.reversals)

    @cached_property
    def _mixes(self) -> Mapping[tuple[str, bool], Callable[..., Any]]:
        """Whole, and whether the parameters stood still -> the compiled mix of its parts."""
        return {
            (whole, stood): self.compile(partial(self.sight.mix, shares, stood=stood))
            for whole, shares in self.wholes.items()
            for stood in (False, True)
        }

    @cached_property
    def _unknown(self) -> np.ndarray:
        """What a step that was not refined says of its leaves, made once: shape (leaves,)."""
        unknown = np.full(len(self.layout.leaves), np.nan)
        unknown.flags.writeable = False
        return unknown

    def _see(self, oracle: GradientOracle, measure: str, state: State, move: Move) -> _Seen:
        """Look once, and bring the few numbers to the host."""
        look = self._looks[move.buffers, measure in self.parts](
            oracle, move.start, move.end, state.evaluations[measure], state.running[measure]
        )
        parts = (look.losses, look.allocation, look.coarse)
        figures = self.ops.to_numpy(self.ops.concat([part for part in parts if part is not None]))
        losses, leaves = figures[:3].tolist(), figures[3:].reshape(-1, len(self.layout.leaves))
        return _Seen(look, losses, leaves)

    def _settle(
        self,
        oracle: GradientOracle,
        measure: str,
        seen: _Seen,
        step: tuple[State, Move],
    ) -> Closed:
        """Ask whether the look will do; integrate where it does not."""
        state, move = step
        integral = self._at_first_sight(seen, oracle.eps, state.index, state.account(measure))
        if integral is None:
            # What observers made of the look goes before more is made.
            seen = evolve(seen, look=evolve(seen.look, observed={}, running=()))
            return self._refine(oracle, measure, seen, step)
        look, running = seen.look, state.running[measure]
        numbers = self._entries(seen, oracle.eps, integral, self._unknown, move)
        new_running = running if _lost(numbers) else look.running
        arrays, mean = {**numbers, **look.observed}, look.mean
        return Closed(arrays, look.last, mean, mean, new_running, seen.scale)

    def _refine(
        self,
        oracle: GradientOracle,
        measure: str,
        seen: _Seen,
        step: tuple[State, Move],
    ) -> Closed:
        """Integrate, and show the observers what came of it."""
        (state, move), look = step, seen.look
        running, end = state.running[measure], move.end
        segment = Segment(
            index=state.index,
            start=move.start.params,
            displacement=difference(end.params, move.start.params),
            evaluate=lambda params: self.evaluate(oracle, params, end.buffers),
            first=look.first or state.evaluations[measure],
            last=look.last,
            eps=oracle.eps,
            ops=self.ops,
            within=seen.within,
            account=state.account(measure),
        )
        integral = self.integrator(segment)
        displacement, mean = segment.displacement, integral.mean_gradient
        turned = self._turned(displacement, integral)
        coarser = integral.coarser or mean
        if measure not in self.parts:  # what nobody needs goes before observers make more
            integral, coarser = evolve(integral, mean_gradient={}, coarser={}), {}
        allocation = product(displacement, mean)
        view = (allocation, mean, displacement, look.last.gradient, end.params)
        observed, new_running = self._watch(view, running)
        numbers = self._entries(seen, oracle.eps, integral, turned, move)
        new_running = running if _lost(numbers) else new_running
        mean = mean if measure in self.parts else {}
        arrays = {**numbers, **observed}
        return Closed(arrays, look.last, coarser, mean, new_running, segment.scale)

    def _turned(self, displacement: Params, integral: Integral) -> np.ndarray:
        """Count the signs that the used rule turned round; NaN where there is no coarser one."""
        if not integral.coarser:
            return self._unknown
        turned = self._reversals(displacement, integral.coarser, integral.mean_gradient)
        return self.ops.to_numpy(turned)

    def _entries(
        self, seen: _Seen, eps: float, integral: Integral, turned: np.ndarray, move: Move
    ) -> dict[str, Any]:
        moved = move.buffers
        return entries(seen.losses, eps, integral, turned, gradients=1 + moved, moved=moved)

    def _stand(self, oracle: GradientOracle, measure: str, state: State, move: Move) -> Closed:
        """Allocate exact zeros to a step on which no parameter moved."""
        before, end, moved = state.evaluations[measure], move.end, move.buffers
        last = self.evaluate(oracle, end.params, end.buffers) if moved else before
        losses = self.ops.to_numpy(self.ops.concat([before.loss, last.loss, last.loss])).tolist()
        # The displacement itself is the exact zero, whatever the gradient.
        zeros = difference(end.params, move.start.params)
        running = state.running[measure]
        view = (zeros, last.gradient, zeros, last.gradient, end.params)
        observed, new_running = self._watch(view, running)
        change = losses[2] - losses[1]
        integral = stood_still(len(self.layout.leaves), self.integrator.rule, change)
        none = np.zeros(len(self.layout.leaves))
        numbers = entries(losses, oracle.eps, integral, none, gradients=int(moved), moved=moved)
        new_running = running if _lost(numbers) else new_running
        arrays, mean = {**numbers, **observed}, last.gradient
        return Closed(arrays, last, mean, mean, new_running, change)

    def _at_first_sight(
        self, seen: _Seen, eps: float, index: int, account: Account
    ) -> Integral | None:
        """Return the integral by the rule that every step begins with, if it will do."""
        rule, allocation = self.integrator.rule, seen.leaves[0]
        gap = seen.change - sum(allocation.tolist())  # few numbers: quicker than numpy's
        status = self.integrator.settle(
            index,
            change=seen.scale,
            gap=gap,
            noise=noise_floor(eps, seen.losses[1:]),
            account=account,
        )
        if status is None:
            return None
        nested = len(seen.leaves) > 1
        return Integral(
            mean_gradient={},
            leaf_allocation=allocation,
            leaf_error=allocation - seen.leaves[1] if nested else self._unknown,
            gap=gap,
            rule=rule,
            evaluations=rule.inside,
            status=status,
        )


def _within(seen: _Seen, change: float) -> _Seen:
    """Ask of a part that it closes as tightly as a change of its whole asks for."""
    return _Seen(seen.look, seen.losses, seen.leaves, abs(change))


def _lost(numbers: Mapping[str, Any]) -> bool:
    """Whether a step counts nowhere, not in the observers' running arrays either."""
    return bool(numbers["status"] == Status.NONFINITE)


def _evaluated(oracle: GradientOracle, params: Params, buffers: Params) -> Evaluation:
    return oracle(params, buffers)
