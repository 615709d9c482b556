"""Measure a few steps of every kind, off the record, to say what each would cost."""

from __future__ import annotations

import math
import time
from functools import cached_property, partial
from itertools import accumulate, pairwise
from statistics import fmean, median
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import evolve, field, frozen

from lca_core.account import Account
from lca_core.audits import by_lot
from lca_core.errors import DataError, RuleError, UnsupportedError
from lca_core.estimating import SPREAD
from lca_core.leafwise import combine
from lca_core.move import Move
from lca_core.partition import Partition
from lca_core.plan import Noise, Plan, Way, rows
from lca_core.probes import FixedProbe, Redrawn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from lca_core.allocate import Allocator, Record
    from lca_core.closing import State
    from lca_core.plan import Kind
    from lca_core.typing import ArrayOps, Params, Snapshot

SIZES = (100, 250, 1_000)
"""Examples of a sample; the first and the last are measured, those between them follow."""

_MOVES, _LENGTH = 4, 1e-3
_SEGMENTS = 2
"""Of several steps, that are closed of every length."""

_FEWEST = 3
"""Iterates of two steps: the first one also compiles."""

_ENOUGH, _LONG, _PATIENCE = 0.5, 1.0, 8.0
"""Seconds: for the steps of a kind; for a step that is measured rather than reckoned; and after
which what is not needed is left out, where compilers take their time."""

_HOST = (bool, int, float, np.ndarray, np.generic)


@frozen
class Remaking:
    """How an adapter makes the same core on other data.

    Args:
        data: measure -> data, as the user passed them.
        count: data -> how many examples they hold.
        make: (measure -> data, a probe or partition of them; the iterate) -> the core.
        activations: bytes that the activations of one chunk take at most.
    """

    data: Mapping[str, Any] = field(repr=False)
    count: Callable[[Any], int]
    make: Callable[[Mapping[str, Any], Snapshot], Allocator]
    activations: int = 0

    def sampled(self, kind: Kind, n: int) -> dict[str, Any]:
        """Return the data with samples in their places; small measures stay whole.

        Args:
            kind: "all", "probe", or "redrawn" for the first measure and a probe of the others.
            n: examples.
        """
        whole = {name: _whole(one) for name, one in self.data.items()}
        first = next(iter(whole))

        def one(name: str, data: Any) -> Any:
            if kind == "all" or self.count(data) <= n:
                return data
            if kind == "redrawn" and name == first:
                return Redrawn(data, n)
            return FixedProbe(data, n)

        return {name: one(name, data) for name, data in whole.items()}

    @property
    def samples(self) -> bool:
        """Whether a measure is looked at through a sample already."""
        return any(isinstance(one, (FixedProbe, Redrawn)) for one in self.data.values())

    @property
    def examples(self) -> int:
        """How many the first measure holds."""
        return self.count(_whole(next(iter(self.data.values()))))


@frozen
class Walk:
    """A few closed steps, and how long they took.

    Args:
        allocator: the core that closed them.
        first: seconds of the gradients at one iterate, one a measure.
        bookkeeping: seconds of a closed step beside its gradients; below zero where those of
            `first` were slow.
        gradients: a step takes, a measure.
        allocated: sum of every step of the first measure, loss units, shape (steps,).
        subsamples: the same by subsample, shape (steps, subsamples); no columns without.
        memory: bytes of copies of the parameters at the peak.
        loss: of the first measure, in the end.
    """

    allocator: Allocator = field(repr=False)
    first: float
    bookkeeping: float
    gradients: float
    allocated: np.ndarray
    subsamples: np.ndarray
    memory: int
    loss: float

    @property
    def closed(self) -> float:
        """Seconds of a closed step."""
        return self.bookkeeping + self.gradients * self.first


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
        segments, bookkeeping = self._segments(whole), max(whole.bookkeeping, 0.0)
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
        )

    @cached_property
    def _path(self) -> tuple[Snapshot, ...]:
        """The iterates that are walked along."""
        return tuple(self.iterates) or self._along_the_gradient()

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
            except (DataError, UnsupportedError) as error:  # streamed, or not in this adapter
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
            found[size] = self._walk(self.remaking.make(data, self._path[0]))
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
        segments = self._segments(largest)
        return [
            self._way(kind, size, closed(size), largest, _more(segments, gradient(size)))
            for size in SIZES
            if size < n
        ]

    def _whole(self, probes: Mapping[int, Walk]) -> Walk:
        """Walk on all examples, or say what that would take where it would take too long."""
        if not probes:
            return self._walk(self._core_of_all(self._path[0]))
        n, largest = self._examples, probes[max(probes)]
        reckoned = evolve(largest, first=_line(_firsts(probes))(n))
        if reckoned.closed > _LONG:
            return reckoned
        return self._walk(self._core_of_all(self._path[0]))

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
        return self._walk(evolve(self._core_of_all(self._path[0]), observers=())).closed

    def _walk(self, allocator: Allocator) -> Walk:
        """Close the steps of a path, off the record."""
        ops, path = allocator.ops, self._path
        state, _ = _timed(lambda: self._begun(allocator), ops)
        state, first = _timed(lambda: self._begun(allocator), ops)
        first = min(first, _timed(lambda: self._begun(allocator), ops)[1])
        memory = _memory(allocator, state)
        records, state, seconds = _closed(allocator, state, path[1:])
        spent = [_gradients(record, needed=False) for record in records]
        beside = [took - n * first for took, n in zip(seconds, spent, strict=True)]
        gradients = fmean(map(_gradients, records))
        if not math.isnan(self.gradients) and not self.iterates and not allocator.redraws:
            gradients = max(gradients, self.gradients / len(allocator.measures))
        own = [record[allocator.measures[0]] for record in records]
        return Walk(
            allocator,
            first,
            # The first closed step also compiles.
            median(beside[1:] or beside),
            gradients,
            np.array([np.sum(one["allocation"]) for one in own]),
            np.array([np.sum(one.get(SPREAD, np.zeros((1, 0))), axis=0) for one in own]),
            memory,
            float(ops.to_numpy(state.evaluations[allocator.measures[0]].loss)),
        )

    def _begun(self, allocator: Allocator) -> State:
        """Return the state where a walk begins, with what the tracker's own steps have left open.

        Before the first of these there is room: a training's start is refined as the rest is not.
        """
        far = Account(travelled=math.inf)
        accounts = {name: self.state.accounts.get(name, far) for name in allocator.measures}
        return evolve(allocator.init(self._path[0]), accounts=accounts)

    def _segments(self, walk: Walk) -> dict[int, float]:
        """Return steps -> gradients that a segment of so many takes, a measure.

        The longer a segment, the more often it is refined. The longest go first: where there is
        no time for others, those count as these.
        """
        core, found, begin = walk.allocator, dict[int, float](), time.perf_counter()
        for steps in _doubled(len(self._path) - 1):
            if found and time.perf_counter() - begin > _ENOUGH:
                break
            ends = self._path[::steps][: _SEGMENTS + 1]
            records, _, _ = _closed(core, self._begun(core), ends[1:])
            found[steps] = fmean(map(_gradients, records))
        lengths = (1, *reversed(found))
        counts = accumulate((walk.gradients, *reversed(found.values())), max)
        return dict(zip(lengths, counts, strict=True))

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


def _whole(data: Any) -> Any:
    """Return all examples of what may be a sample or a partition of them."""
    return data.data if isinstance(data, (FixedProbe, Redrawn, Partition)) else data


def _closed(
    allocator: Allocator, state: State, ends: Sequence[Snapshot]
) -> tuple[list[Record], State, list[float]]:
    """Close steps to their ends, as many as there is time for; return records and seconds."""
    records, seconds = [], list[float]()
    for snapshot in ends:
        update = partial(allocator.update, state, snapshot)
        (record, state), took = _timed(update, allocator.ops)
        records.append(record)
        seconds.append(took)
        if sum(seconds[1:]) > _ENOUGH:
            break
    return records, state, seconds


def _gradients(record: Record, *, needed: bool = True) -> float:
    """Return how many gradients a closed step took, a measure; or would have without the lot."""
    return fmean(float(one["evaluations"]) - needed * by_lot(one) for one in record.values())


def _doubled(most: int) -> list[int]:
    """Return the powers of two from the largest within `most` down to 2.

    Example:
        >>> _doubled(9)
        [8, 4, 2]
    """
    return [1 << k for k in range(most.bit_length() - 1, 0, -1)]


def _firsts(walks: Mapping[int, Walk]) -> dict[int, float]:
    return {size: walk.first for size, walk in walks.items()}


def _slower(walk: Walk, seconds: float) -> Walk:
    return evolve(walk, bookkeeping=walk.bookkeeping + seconds)


def _more(segments: Mapping[int, float], gradient: float) -> dict[int, float]:
    """Return steps -> seconds that a segment of so many takes beyond that of one step."""
    return {steps: (count - segments[1]) * gradient for steps, count in segments.items()}


def _timed(work: Callable[[], Any], ops: ArrayOps) -> tuple[Any, float]:
    """Return what work returns, and the seconds until the device has done it."""
    begin = time.perf_counter()
    done = work()
    for array in _arrays(done):
        ops.to_numpy(array)
    return done, time.perf_counter() - begin


def _arrays(done: Any) -> Iterator[Any]:
    """Yield the small arrays of a state, or of a record and its state: others follow them."""
    record, state = done if isinstance(done, tuple) else ({}, done)
    for numbers in record.values():
        yield from (one for one in numbers.values() if not isinstance(one, _HOST))
    yield from (one.loss for one in state.evaluations.values())


def _norm(ops: ArrayOps, leaves: Params) -> float:
    squares = [ops.sum(leaf * leaf) for leaf in leaves.values()]
    return math.sqrt(sum(float(ops.to_numpy(one)) for one in squares))


def _line(points: Mapping[int, float]) -> Callable[[int], float]:
    """Return examples -> seconds, as a line through two points, or from zero through one."""
    if not points:
        return lambda _: math.nan
    (few, least), (many, most) = min(points.items()), max(points.items())
    if few == many:
        return lambda n: least * n / few
    slope = max(most - least, 0.0) / (many - few)
    return lambda n: least + slope * (n - few)


def _memory(allocator: Allocator, state: State) -> int:
    """Return the bytes of all copies of the parameters, where a step is closed.

    Of the iterate two, and of a step between them one; of every measure its gradient and what
    observers keep, before the step and behind it; of the measure that is refined, the displacement,
    the gradient on average and at one more point, the allocation, and what arithmetic goes through;
    of one that is redrawn, the gradient of every subsample.
    """
    each = {
        leaf.name: math.prod(leaf.shape) * (8 if leaf.dtype == "float64" else 4)
        for leaf in allocator.layout.leaves
    }
    copy = sum(each.values())
    kept = sum(
        each.get(name, 0)
        for states in state.running.values()
        for running in states
        for leaves in running.values()
        for name in leaves
    )
    held = len(allocator.measures) - len(allocator.redraws)
    fresh = max((one.drawing.subsamples for one in allocator.redraws.values()), default=0)
    return (3 + 2 * held + 5 + fresh) * copy + 2 * kept


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
