"""Close one step of a redrawn measure: an estimate, and what each subsample says of it."""

from __future__ import annotations

import math
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import field, frozen

from lca_core.closing import Closed
from lca_core.leafwise import add, combine, difference, leaf_sums, product, scale, weighted
from lca_core.look import Sight
from lca_core.observers.units import UnitSums
from lca_core.segment import Status
from lca_core.typing import Declared, Evaluation, StepView

if TYPE_CHECKING:
    from collections.abc import Callable

    from lca_core.closing import Compile, State
    from lca_core.layout import Layout
    from lca_core.move import Move
    from lca_core.redraws import Redraws
    from lca_core.rules import Rule
    from lca_core.typing import (
        Array,
        ArrayOps,
        Observer,
        ObserverState,
        Params,
        Sample,
        Snapshot,
    )

SPREAD = "subsample_allocation"
"""The array of the run file that holds the allocation of every subsample, by leaf."""

UNIT_SPREAD = "subsample_unit_allocation"
"""The same by unit, where units are recorded."""

SAMPLE_GAP = "sample_gap"
"""What the allocation of a sample leaves over of the change of its own loss, at both of whose ends
it was looked at."""


@frozen
class Estimating:
    """How a step of a redrawn measure is closed; it knows no measure, only what it is handed.

    Args:
        ops: the framework's array functions.
        layout: the leaves.
        observers: what else to keep.
        compile: the framework's compiler.
        subsamples: the most that a redrawn measure has; 0 where there is none.
        ends: whether one of them is looked at at both ends of a step.
    """

    ops: ArrayOps
    layout: Layout
    observers: tuple[Observer, ...]
    compile: Compile
    subsamples: int
    ends: bool = False
    _looks: dict[tuple[Rule, int], Callable[..., Any]] = field(factory=dict, init=False, repr=False)

    def declare(self) -> tuple[Declared, ...]:
        """Return what a run holds beyond the ledger where some of its measures are redrawn."""
        labels = tuple(map(str, range(self.subsamples)))
        by_leaf = Declared(SPREAD, ("leaf", "subsample"), "float64", labels)
        by_unit = Declared(UNIT_SPREAD, ("unit", "subsample"), "float64", labels)
        gap = Declared(SAMPLE_GAP, (), "float64", sums=False)
        if not self.subsamples:
            return ()
        return (by_leaf, *([by_unit] if self._by_unit else []), *([gap] if self.ends else []))

    def at_first(self, redraws: Redraws, point: Snapshot) -> Evaluation:
        """Estimate the loss at the first iterate.

        Args:
            redraws: the measure.
            point: θ_0.
        """
        return Evaluation(self._mean_loss(redraws.at(0), point.params, point.buffers), {})

    def close(self, redraws: Redraws, measure: str, state: State, move: Move) -> Closed:
        """Look at the step through a sample of its own, or leave it to another step.

        Args:
            redraws: the measure.
            measure: its name.
            state: where it stands.
            move: the step.
        """
        running, before = state.running[measure], state.evaluations[measure]
        if not redraws.looks_at(state.index):
            return Closed(self._passed_over(redraws, before), before, {}, {}, running, math.nan)
        sample, start, end = redraws.at(state.index), move.start, move.end
        look = self._look((redraws.rule, redraws.every))
        figures, loss, observed, new_running = look(sample, start.params, end, running)
        moved = 0.0
        if move.buffers:
            there, here = (
                self._mean_loss(sample, start.params, one.buffers) for one in (end, start)
            )
            losses = self.ops.to_numpy(self.ops.concat([there, here]))
            moved = redraws.every * float(losses[0] - losses[1])
        numbers = self._entries(redraws, self.ops.to_numpy(figures), moved)
        numbers["evaluations"] += 2 * move.buffers
        finite = numbers["status"] != Status.NONFINITE
        return Closed(
            {**numbers, **observed},
            Evaluation(loss, {}),
            {},
            {},
            new_running if finite else running,
            math.nan,
        )

    @cached_property
    def _by_unit(self) -> bool:
        return any(isinstance(observer, UnitSums) for observer in self.observers)

    def _look(self, how: tuple[Rule, int]) -> Callable[..., Any]:
        """Return the compiled half of a step, which decides nothing on the host."""
        if how not in self._looks:
            rule, every = how
            sight = Sight(self.ops, self.layout, rule, self.observers)
            self._looks[how] = self.compile(partial(self._estimate, (sight, every)))
        return self._looks[how]

    def _estimate(
        self,
        how: tuple[Sight, int],
        sample: Sample,
        start: Params,
        end: Snapshot,
        running: tuple[ObserverState, ...],
    ) -> tuple[Array, Array, dict[str, Array], tuple[ObserverState, ...]]:
        """Go along the step with every subsample.

        Args:
            how: where to look and for whom, and how many steps this one stands for.
            sample: losses and gradients of the subsamples.
            start: θ_t.
            end: θ_{t+1}.
            running: the observers' running arrays.

        Returns:
            The mean loss, losses at every node of every subsample and then all their sums, flat;
            the mean loss again; what the observers note, and their new running arrays.
        """
        (sight, every), along = how, difference(end.params, start)
        rule = sight.rule
        losses, sums, shares = [], [], []
        mean: Params = {}
        for s, weight in zip(rule.nodes, rule.weights, strict=True):
            found = sample(add(start, scale(s, along)), end.buffers)
            losses += [one.loss for one in found]
            sums += [self._sums(product(along, one.gradient)) for one in found]
            here = [weight / len(found)] * len(found)
            shares += here
            part = combine(here, [one.gradient for one in found])
            mean = add(mean, part) if mean else part
        view = StepView(scale(every, product(along, mean)), mean, along, mean, end.params)
        observed, new_running = sight.observe(view, running)
        loss = weighted(shares, losses)
        return self.ops.concat([loss, *losses, *sums]), loss, observed, new_running

    def _sums(self, leaves: Params) -> Array:
        """Return the sum of every unit, or of every leaf where units are not recorded."""
        if not self._by_unit:
            return leaf_sums(self.ops, leaves)
        slots = self.layout.leaves
        return self.ops.concat(
            [self.ops.sum(leaves[leaf.name], keep=leaf.unit_axis) for leaf in slots]
        )

    @cached_property
    def _mean_loss(self) -> Callable[..., Any]:
        return self.compile(_mean_loss)

    def _entries(self, redraws: Redraws, figures: np.ndarray, moved: float) -> dict[str, Any]:
        """Return what `LEDGER` and `declare` promise.

        Args:
            redraws: the measure.
            figures: the mean loss, losses at every node of every subsample, then all their sums.
            moved: what moving buffers caused.
        """
        rule, nested, m = redraws.rule, redraws.rule.nested, redraws.drawing.subsamples
        looks = len(rule.nodes) * m
        losses, flat = figures[1 : 1 + looks].reshape(-1, m), figures[1 + looks :]
        sums = flat.reshape(-1, m, flat.size // looks) * redraws.every
        by_leaf = self._by_leaf(sums)
        parts = np.tensordot(rule.weights, by_leaf, 1)
        error = np.full(len(self.layout.leaves), np.nan)
        if nested is not None:
            there = [rule.nodes.index(node) for node in nested.nodes]
            error = (parts - np.tensordot(nested.weights, by_leaf[there], 1)).mean(axis=0)
        spread = {SPREAD: self._filled(parts)}
        if self._by_unit:
            spread[UNIT_SPREAD] = self._filled(np.tensordot(rule.weights, sums, 1))
        if self.ends:
            spread[SAMPLE_GAP] = _gap(redraws, losses.mean(axis=1), parts.mean(axis=0).sum())
        finite = np.isfinite(figures).all() and np.isfinite(moved)
        return {
            **self._ledger(float(figures[0]), parts.mean(axis=0), error),
            "buffers": moved,
            "evaluations": float(len(rule.nodes)),
            "status": int(Status.ESTIMATED if finite else Status.NONFINITE),
            **spread,
        }

    def _passed_over(self, redraws: Redraws, before: Evaluation) -> dict[str, Any]:
        """Return what a step has that another one stands for; the loss is the last one known."""
        none = self._nothing["allocation"]
        error = none if redraws.rule.nested else np.full_like(none, np.nan)
        return {**self._nothing, "loss": before.loss, "error": error}

    @cached_property
    def _nothing(self) -> dict[str, Any]:
        """Zeros for what adds up over steps, and NaN for what is not known; made once."""
        none = np.zeros(len(self.layout.leaves))
        arrays = [
            *(array for one in self.observers for array in one.declare(self.layout)),
            *self.declare(),
        ]
        observed = {
            one.name: np.full(one.shape(self.layout), 0.0 if one.sums else np.nan) for one in arrays
        }
        return {**self._ledger(np.nan, none, none), **observed}

    def _ledger(self, loss: float, allocation: np.ndarray, error: np.ndarray) -> dict[str, Any]:
        return {
            "loss": loss,
            "gap": np.nan,
            "buffers": 0.0,
            "noise": np.nan,
            "allocation": allocation,
            "error": error,
            "evaluations": 0.0,
            "status": int(Status.ESTIMATED),
            "audited": False,
            "reversed": np.full(len(allocation), np.nan),
            "discarded": False,
        }

    def _filled(self, parts: np.ndarray) -> np.ndarray:
        """Return subsamples along the last axis, NaN beyond a measure's own."""
        values = np.full((parts.shape[1], self.subsamples), np.nan)
        values[:, : len(parts)] = parts.T
        return values

    def _by_leaf(self, sums: np.ndarray) -> np.ndarray:
        """Add up the last axis, units, into leaves."""
        if not self._by_unit:
            return sums
        ends = np.cumsum([leaf.units for leaf in self.layout.leaves])[:-1]
        return np.stack([one.sum(axis=-1) for one in np.split(sums, ends, axis=-1)], axis=-1)


def _gap(redraws: Redraws, losses: np.ndarray, allocated: float) -> np.ndarray:
    """Return what is left over of the change of the sample's loss; NaN where no end is seen.

    Args:
        redraws: the measure.
        losses: at every node.
        allocated: the sum of all leaves.
    """
    if not redraws.sees_ends:
        return np.array(np.nan)
    first, last = (losses[redraws.rule.nodes.index(end)] for end in (0.0, 1.0))
    return np.array(redraws.every * (last - first) - allocated)


def _mean_loss(sample: Sample, params: Params, buffers: Params) -> Any:
    losses = [one.loss for one in sample(params, buffers)]
    return weighted([1.0 / len(losses)] * len(losses), losses)
