"""A few steps, closed off the record: what they take, and what they allocate."""

from __future__ import annotations

import math
import time
from functools import partial
from itertools import accumulate
from statistics import fmean, median
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import evolve, field, frozen

from lca_core.account import Account
from lca_core.audits import by_lot
from lca_core.estimating import SPREAD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from lca_core.allocate import Allocator, Record
    from lca_core.closing import State
    from lca_core.typing import ArrayOps, Snapshot

_SEGMENTS = 2
"""Of several steps, that are closed of every length."""

_ENOUGH = 0.5
"""Seconds for the steps of a kind."""

_HOST = (bool, int, float, np.ndarray, np.generic)


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
class Route:
    """Iterates to walk along, and how books are kept on the way.

    Args:
        iterates: successive ones, two or more.
        accounts: what the tracker's own steps have left open, by measure.
    """

    iterates: Sequence[Snapshot]
    accounts: Mapping[str, Account]

    def walk(self, core: Allocator) -> Walk:
        """Close its steps, off the record."""
        ops = core.ops
        state, _ = _timed(lambda: self._begun(core), ops)
        state, first = _timed(lambda: self._begun(core), ops)
        first = min(first, _timed(lambda: self._begun(core), ops)[1])
        memory = _memory(core, state)
        records, state, seconds = _closed(core, state, self.iterates[1:])
        if len(records) < len(self.iterates) - 1:
            # Time ran out, maybe since a step compiled, as the first that is refined does.
            records, state, seconds = _closed(core, self._begun(core), self.iterates[1:])
        spent = [_gradients(record, needed=False) for record in records]
        beside = [took - n * first for took, n in zip(seconds, spent, strict=True)]
        own = [record[core.measures[0]] for record in records]
        return Walk(
            core,
            first,
            # The first closed step also compiles.
            median(beside[1:] or beside),
            fmean(map(_gradients, records)),
            np.array([np.sum(one["allocation"]) for one in own]),
            np.array([np.sum(one.get(SPREAD, np.zeros((1, 0))), axis=0) for one in own]),
            memory,
            float(ops.to_numpy(state.evaluations[core.measures[0]].loss)),
        )

    def segments(self, walk: Walk) -> dict[int, float]:
        """Return steps -> gradients that a segment of so many takes, a measure.

        The longer a segment, the more often it is refined. The longest go first: where there is
        no time for others, those count as these.

        Args:
            walk: along it, by the core that is asked.
        """
        core, found, begin = walk.allocator.along(2), dict[int, float](), time.perf_counter()
        for steps in _doubled(len(self.iterates) - 1):
            if found and time.perf_counter() - begin > _ENOUGH:
                break
            ends = self.iterates[::steps][: _SEGMENTS + 1]
            records, _, _ = _closed(core, self._begun(core), ends[1:])
            found[steps] = fmean(map(_gradients, records))
        lengths = (1, *reversed(found))
        counts = accumulate((walk.gradients, *reversed(found.values())), max)
        return dict(zip(lengths, counts, strict=True))

    def _begun(self, core: Allocator) -> State:
        """Return the state where a walk begins, with what the tracker's own steps have left open.

        Before the first of these there is room: a training's start is refined as the rest is not.
        """
        far = Account(travelled=math.inf)
        accounts = {name: self.accounts.get(name, far) for name in core.measures}
        return evolve(core.init(self.iterates[0]), accounts=accounts)


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
