"""Measure a few steps of every kind, off the record, to say what each would cost."""

from __future__ import annotations

import math
import time
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from attrs import evolve, field, frozen

from lca_core.errors import DataError, LossError, RuleError, UnsupportedError
from lca_core.leafwise import combine
from lca_core.move import Move
from lca_core.plan import Plan
from lca_core.walks import Route
from lca_core.ways import Noise, Way, rows

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lca_core.allocate import Allocator
    from lca_core.closing import State
    from lca_core.remaking import Remaking
    from lca_core.typing import ArrayOps, Params, Snapshot
    from lca_core.walks import Walk
    from lca_core.ways import Kind

SIZES = (100, 250, 1_000)
"""Examples of a sample; the first and the last are measured, those between them follow."""

_MOVES, _LENGTH = 4, 1e-3

_FEWEST = 3
"""Iterates of two steps: the first one also compiles."""

_LONG, _PATIENCE = 1.0, 8.0
"""Seconds: for a step that is measured rather than reckoned; and after which what is not needed is
left out, where compilers take their time."""


@frozen
class Planning:
    """What is known where a plan is made.

    Args:
        allocator: the core of the tracker.
        state: where it stands; it is not moved.
        remaking: how to make others; None where data cannot be sampled.
        gradients: of a closed step so far, of all measures; NaN before the first.
        measuring: seconds that a measurement takes in the training's own loop, where caches are
            cold; NaN before the first.
        iterates: successive ones of a real training; short steps along the gradient without.
    """

    allocator: Allocator
    state: State
    remaking: Remaking | None
    gradients: float = math.nan
    measuring: float = math.nan
    iterates: Sequence[Snapshot] = ()
    begin: float = field(factory=time.perf_counter)

    def plan(self, *, alone: float, steps: int, budget: float | None) -> Plan:
        """Walk, and return what each choice would cost.

        Args:
            alone: seconds a step of the training alone.
            steps: of the training.
            budget: the most that time / time of the training alone may be; None for no limit.
        """
        samples, unsampled = self._samples()
        whole = self._whole(samples["probe"])
        bare, colder = self._without_observers(whole), self._colder(whole)
        observers, noise = whole.closed - bare, _noise(whole, samples["redrawn"])
        whole = _slower(whole, colder)
        segments, bookkeeping = self._route.segments(whole), max(whole.bookkeeping, 0.0)
        ways = [self._way("all", self._examples, whole.closed, whole, _more(segments, whole.first))]
        gradient = _line({self._examples: whole.first, **_firsts(samples["probe"])})
        for kind, walked in samples.items():
            slower = {size: _slower(walk, colder) for size, walk in walked.items()}
            ways += self._sampled(kind, slower, whole, gradient)
        return Plan(
            rows(ways, noise, alone=alone, steps=steps, budget=budget),
            steps=steps,
            alone=alone,
            gradient=whole.first,
            bookkeeping=bookkeeping,
            observers=min(max(observers, 0.0), bookkeeping),
            budget=budget,
            segments=segments,
            followed=bool(self.iterates),
            unsampled=unsampled,
            finite=math.isfinite(whole.loss),
        )

    @cached_property
    def _route(self) -> Route:
        """Where all walks go along."""
        return Route(tuple(self.iterates) or self._along_the_gradient(), self.state.accounts)

    @property
    def _late(self) -> bool:
        return time.perf_counter() - self.begin > _PATIENCE

    @property
    def _examples(self) -> int:
        """How many the first measure holds; 0 where they are not picked one by one."""
        try:
            return self.remaking.examples if self.remaking else 0
        except DataError:
            return 0

    def _along_the_gradient(self) -> tuple[Snapshot, ...]:
        """Return iterates of short steps, each a thousandth of the parameters' length."""
        here, ops = self.state.snapshot, self.allocator.ops
        gradient = self._gradient()
        rate = _LENGTH * _norm(ops, here.params) / (_norm(ops, gradient) or 1.0)
        return tuple(
            evolve(here, params=combine([1.0, -k * rate], [here.params, gradient]))
            for k in range(_MOVES + 1)
        )

    def _gradient(self) -> Params:
        """Return that of a measure where the tracker stands; redrawn ones keep none."""
        for known in self.state.evaluations.values():
            if known.gradient:
                return known.gradient
        here = self.state.snapshot
        fresh = self._core_of_all(here).init(here)
        return next(one.gradient for one in fresh.evaluations.values())

    def _samples(self) -> tuple[dict[Kind, dict[int, Walk]], dict[Kind, str]]:
        """Return the walks on samples of both kinds, and why there are none of one."""
        found: dict[Kind, dict[int, Walk]] = {"probe": {}, "redrawn": {}}
        unsampled: dict[Kind, str] = {}
        for kind in found:
            try:
                found[kind] = self._walks(kind)
            # Streamed, no mean over examples, or not in this adapter.
            except (DataError, LossError, UnsupportedError) as error:
                unsampled[kind] = str(error)
        return found, unsampled

    def _walks(self, kind: Kind) -> dict[int, Walk]:
        """Walk on the smallest sample and on the largest, as far as there is time and data."""
        found: dict[int, Walk] = {}
        if self.remaking is None:
            return found
        sizes = [size for size in SIZES if size < self.remaking.examples]
        for size in dict.fromkeys((*sizes[:1], *sizes[-1:])):
            if found and (self._late or next(iter(found.values())).closed > _LONG / 10):
                break  # a larger one would take too long
            data = self.remaking.sampled(kind, size)
            found[size] = self._walk(self.remaking.make(data, self._route.iterates[0]))
        return found

    def _sampled(
        self,
        kind: Kind,
        walked: Mapping[int, Walk],
        whole: Walk,
        gradient: Callable[[int], float],
    ) -> list[Way]:
        """Return the ways of one kind; what lies between the sizes that were walked is read off."""
        if not walked:
            return []
        n, largest = self._examples, walked[max(walked)]
        points = {size: walk.closed for size, walk in walked.items()}
        closed = _line(points if len(points) > 1 else {n: whole.closed, **points})
        segments = self._route.segments(largest)
        return [
            self._way(kind, size, closed(size), largest, _more(segments, gradient(size)))
            for size in SIZES
            if size < n
        ]

    def _whole(self, probes: Mapping[int, Walk]) -> Walk:
        """Walk on all examples, or say what that would take where it would take too long."""
        if not probes:
            return self._walk(self._core_of_all(self._route.iterates[0]))
        n, largest = self._examples, probes[max(probes)]
        reckoned = evolve(largest, first=_line(_firsts(probes))(n))
        if reckoned.closed > _LONG:
            return reckoned
        return self._walk(self._core_of_all(self._route.iterates[0]))

    def _core_of_all(self, at: Snapshot) -> Allocator:
        """Return the tracker's own core, unless that looks at samples."""
        if self.remaking and self.remaking.samples:
            return self.remaking.make(self.remaking.sampled("all", 0), at)
        return self.allocator

    def _colder(self, whole: Walk) -> float:
        """Return the seconds that the bookkeeping of a step takes longer than on these walks.

        They close their steps one after the other, in warm caches; the tracker's own measurements
        come after steps of the training, and capture what they find.
        """
        if math.isnan(self.measuring):
            return 0.0
        samples = self.remaking is not None and self.remaking.samples
        own = self._walk(self.allocator) if samples else whole
        # What the gradients alone wander by is not bookkeeping.
        return max(min(self.measuring - own.closed, own.bookkeeping), 0.0)

    def _without_observers(self, whole: Walk) -> float:
        """Return the seconds of a closed step that keeps nothing beyond the ledger."""
        if not self.allocator.observers or self._late or whole.closed > _LONG:
            return math.nan
        return self._walk(evolve(self._core_of_all(self._route.iterates[0]), observers=())).closed

    def _walk(self, core: Allocator) -> Walk:
        """Walk; short steps of our own take the gradients that the training's have taken."""
        walked = self._route.walk(core)
        if self.iterates or core.redraws or math.isnan(self.gradients):
            return walked
        own = self.gradients / len(core.measures)
        return evolve(walked, gradients=max(walked.gradients, own))

    def _way(
        self, kind: Kind, n: int, seconds: float, walk: Walk, more: Mapping[int, float]
    ) -> Way:
        activations = self.remaking.activations if self.remaking else 0
        return Way(kind, n, self._examples, seconds, walk.memory + activations, more)


def check_iterates(iterates: Sequence[Snapshot], core: Allocator) -> None:
    """Raise a `RuleError` unless iterates are those of steps, the first of which compiles."""
    for one in iterates:
        core.layout.check(one.params)
    if 0 < len(iterates) < _FEWEST:
        msg = (
            f"iterates must be {_FEWEST} or more successive values of tracker.iterate, got "
            f"{len(iterates)}: take one after every step, or pass none."
        )
        raise RuleError(msg)
    steps = (Move(*ends, core.ops, core.layout) for ends in pairwise(iterates))
    if iterates and not any(step.params for step in steps):
        msg = (
            f"No parameter moves between the {len(iterates)} iterates, which must be successive: "
            "take tracker.iterate anew after every step."
        )
        raise RuleError(msg)


def _firsts(walks: Mapping[int, Walk]) -> dict[int, float]:
    return {size: walk.first for size, walk in walks.items()}


def _slower(walk: Walk, seconds: float) -> Walk:
    return evolve(walk, bookkeeping=walk.bookkeeping + seconds)


def _more(segments: Mapping[int, float], gradient: float) -> dict[int, float]:
    """Return steps -> seconds that a segment of so many takes beyond that of one step."""
    return {steps: (count - segments[1]) * gradient for steps, count in segments.items()}


def _norm(ops: ArrayOps, leaves: Params) -> float:
    squares = [ops.sum(leaf * leaf) for leaf in leaves.values()]
    return math.sqrt(sum(float(ops.to_numpy(one)) for one in squares))


def _line(points: Mapping[int, float]) -> Callable[[int], float]:
    """Return examples -> seconds, as a line through two points, or from zero through one.

    Example:
        >>> _line({100: 2.0, 1000: 11.0})(250), _line({100: 2.0})(250)
        (3.5, 5.0)
    """
    if not points:
        return lambda _: math.nan
    (few, least), (many, most) = min(points.items()), max(points.items())
    if few == many:
        return lambda n: least * n / few
    slope = max(most - least, 0.0) / (many - few)
    return lambda n: least + slope * (n - few)


def _noise(whole: Walk, redrawn: Mapping[int, Walk]) -> Noise:
    """Return what samples do to the sum of a step, from the spread of subsamples."""
    if not redrawn:
        return Noise()
    # The mean over n/m examples varies by σ² m/n.
    variances = [
        np.var(walk.subsamples, axis=1, ddof=1) * n / walk.subsamples.shape[1]
        for n, walk in redrawn.items()
    ]
    of_one = float(np.concatenate(variances).mean())
    return Noise(float(whole.allocated.mean()), of_one, whole.loss)
