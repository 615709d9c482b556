"""The half of a step that a framework can compile: nothing in it is decided on the host."""

from __future__ import annotations

from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from attrs import frozen

from lca_core.clashes import called
from lca_core.integrate import along_ends, mean_gradients, mean_of_ends
from lca_core.leafwise import combine, difference, each, leaf_sums, product, weighted
from lca_core.packed import Deferred, made
from lca_core.returned import check_returned
from lca_core.segment import Segment
from lca_core.typing import (
    Array,
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
    from collections.abc import Mapping

    from lca_core.layout import Layout
    from lca_core.rules import Rule


@frozen
class Look:
    """One measure's step as its starting rule sees it; nothing is decided on the host.

    Args:
        last: loss and gradient at the step's end.
        first: the same at its start under the end's buffers; None where they did not move.
        mean: the average gradient along the step; empty where nobody asks for it, or where the
            ends alone give it.
        losses: before the step, at its start under the end's buffers, at its end; shape (3,).
        allocation: of every leaf, shape (leaves,), float64.
        coarse: the same under the rule's nested one; None where there is none.
        observed: the observers' arrays of this step.
        running: their running arrays behind it.
    """

    last: Evaluation
    first: Evaluation | None
    mean: Params
    losses: Array
    allocation: Array
    coarse: Array | None
    observed: Mapping[str, Array]
    running: tuple[ObserverState, ...]


@frozen
class Sight:
    """How a step is looked at: by one rule, and by the observers.

    Args:
        ops: the framework's array functions.
        layout: the leaves.
        rule: the one that every step begins with.
        observers: what else to see.
    """

    ops: ArrayOps
    layout: Layout
    rule: Rule
    observers: tuple[Observer, ...]

    def look(
        self,
        oracle: GradientOracle,
        start: Snapshot,
        end: Snapshot,
        before: Evaluation,
        running: tuple[ObserverState, ...],
        *,
        buffers_moved: bool,
        keep_mean: bool,
    ) -> Look:
        """Apply the integrator's starting rule, and show the step to the observers."""
        first = oracle(start.params, end.buffers) if buffers_moved else before
        last = oracle(end.params, end.buffers)
        seen = self._by_ends if self.rule.inside == 0 else self._by_points
        mean, allocation, coarse = seen(oracle, start, end, (first, last))
        motion = _motion(start.params, end.params)
        view = StepView(allocation, mean, motion, last.gradient, end.params)
        observed, new_running = self.observe(view, running)
        return Look(
            last=last,
            first=first if buffers_moved else None,
            mean=made(mean) if keep_mean or self.rule.inside else {},
            losses=self.ops.concat([before.loss, first.loss, last.loss]),
            allocation=leaf_sums(self.ops, allocation),
            coarse=coarse,
            observed=observed,
            running=new_running,
        )

    def _by_ends(
        self,
        _: GradientOracle,
        start: Snapshot,
        end: Snapshot,
        evaluated: tuple[Evaluation, Evaluation],
    ) -> tuple[Params, Params, Array | None]:
        """Return the average gradient, the allocation, and the nested rule's leaf by leaf.

        Few ask for the average gradient, which is as large as the model.
        """
        gradients = (evaluated[0].gradient, evaluated[1].gradient)
        ends = (start.params, end.params)
        nested = self.rule.nested
        return (
            Deferred(lambda: mean_of_ends(self.rule, *gradients)),
            along_ends(self.rule, ends, gradients),
            leaf_sums(self.ops, along_ends(nested, ends, gradients)) if nested else None,
        )

    def _by_points(
        self,
        oracle: GradientOracle,
        start: Snapshot,
        end: Snapshot,
        evaluated: tuple[Evaluation, Evaluation],
    ) -> tuple[Params, Params, Array | None]:
        """Return the same by a rule that looks inside of the step too.

        The displacement ends here, before observers make more; see `_motion`.
        """
        first, last = evaluated
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
        mean, nested = mean_gradients(segment, self.rule)
        coarse = leaf_sums(self.ops, product(nested, segment.displacement)) if nested else None
        return mean, product(segment.displacement, mean), coarse

    def reversals(self, displacement: Params, coarser: Params, finer: Params) -> Array:
        """Count the parameters of every leaf whose allocation changed its sign with the rule.

        Args:
            displacement: Δ.
            coarser: the average gradient by one rule.
            finer: the same by another.

        Returns:
            Shape (leaves,).
        """
        sign = self.ops.sign
        # Signs, not products of allocations: those underflow.
        turned = each(
            lambda d, a, b: abs(sign(d)) * sign(a) * sign(b) < 0, displacement, coarser, finer
        )
        return leaf_sums(self.ops, turned)

    def mix(
        self,
        shares: Mapping[str, float],
        parts: Mapping[str, tuple[Evaluation, Params]],
        ends: tuple[Params, Params],
        running: tuple[ObserverState, ...],
        *,
        stood: bool,
    ) -> tuple[Evaluation, Params, dict[str, Array], tuple[ObserverState, ...]]:
        """Average the parts of a whole, and show it to the observers.

        Args:
            shares: part -> its share.
            parts: part -> loss and gradient at the step's end, and the average gradient.
            ends: θ_t and θ_{t+1}.
            running: the observers' running arrays of the whole.
            stood: no parameter moved.
        """
        start, end = ends
        last = mean_evaluation(shares, {part: one for part, (one, _) in parts.items()})
        mean = combine(list(shares.values()), [parts[part][1] for part in shares])
        moved = difference(end, start)
        allocation = moved if stood else product(moved, mean)
        del moved  # as in `_by_points`
        view = StepView(allocation, mean, _motion(start, end), last.gradient, end)
        return last, mean, *self.observe(view, running)

    def look_at_whole(
        self,
        shares: Mapping[str, float],
        looks: Mapping[str, Look],
        ends: tuple[Params, Params],
        running: tuple[ObserverState, ...],
    ) -> Look:
        """Return the look at a whole, made of those at its parts."""
        looks = {part: looks[part] for part in shares}
        last, _, observed, new_running = self.mix(
            shares,
            {part: (look.last, look.mean) for part, look in looks.items()},
            ends,
            running,
            stood=False,
        )
        firsts = {part: look.first for part, look in looks.items() if look.first is not None}
        coarse = [look.coarse for look in looks.values() if look.coarse is not None]
        weights = list(shares.values())
        return Look(
            last=last,
            first=mean_evaluation(shares, firsts) if firsts else None,
            mean={},
            losses=weighted(weights, [look.losses for look in looks.values()]),
            allocation=weighted(weights, [look.allocation for look in looks.values()]),
            coarse=weighted(weights, coarse) if coarse else None,
            observed=observed,
            running=new_running,
        )

    def record(self, before: Evaluation, look: Look) -> dict[str, Any]:
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

    def observe(
        self, view: StepView, states: tuple[ObserverState, ...]
    ) -> tuple[dict[str, Array], tuple[ObserverState, ...]]:
        """Return what the observers note of a step, and their new running arrays.

        Raises:
            ObserverError: one returns other arrays than it declared.
        """
        arrays: dict[str, Array] = {}
        new_states = []
        for observer, (who, declared), state in zip(
            self.observers, self._declared, states, strict=True
        ):
            observed, new_state = observer.update(self.ops, self.layout, view, state)
            check_returned(who, declared, observed)
            arrays.update(observed)
            new_states.append(new_state)
        return arrays, tuple(new_states)

    @cached_property
    def _declared(self) -> list[tuple[str, dict[str, tuple[int, ...]]]]:
        """What messages call the observers, and the shapes of their arrays."""
        shapes = (
            {one.name: one.shape(self.layout) for one in observer.declare(self.layout)}
            for observer in self.observers
        )
        return list(zip(called(self.observers), shapes, strict=True))


def _motion(start: Params, end: Params) -> Params:
    """Return the displacement for observers that ask for it: it is as large as the model."""
    return Deferred(lambda: difference(end, start))


def mean_evaluation(shares: Mapping[str, float], parts: Mapping[str, Any]) -> Evaluation:
    """Return loss and gradient of a whole."""
    weights, ends = list(shares.values()), [parts[part] for part in shares]
    return Evaluation(
        weighted(weights, [end.loss for end in ends]),
        combine(weights, [end.gradient for end in ends]),
    )
