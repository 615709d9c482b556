"""What a run holds of every parameter, read in the portions in which it lies on the disk."""

from __future__ import annotations

from contextlib import suppress
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
from attrs import frozen

from lca_core.errors import FilmError, NotRecordedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lca_core.layout import Leaf
    from lca_core.results import DenseSeries
    from lca_core.run import Run


@frozen
class Record:
    """Every recorded parameter's allocation at every step.

    Args:
        run: a run with `Dense`.
        measure: its name.
        series: leaf -> its values.
    """

    run: Run
    measure: str
    series: tuple[tuple[Leaf, DenseSeries], ...]

    @classmethod
    def of(cls, run: Run, measure: str | None = None) -> Record:
        """Return what a run holds; of its first measure by default.

        Raises:
            NotRecordedError: there is no such measure, or nothing was recorded densely.
            FilmError: there is no step.
        """
        measure = measure or run.measures[0]
        run.status(measure)  # an unknown measure is refused here, not taken for a missing record
        series = []
        for leaf in run.layout.leaves:
            with suppress(NotRecordedError):
                series.append((leaf, run.dense(measure, leaf.name)))
        if not series:
            msg = (
                "A film needs every parameter's allocation at every step, which this run does not "
                "hold: record it with `lca run --dense`, or with the observer Dense() in Python."
            )
            raise NotRecordedError(msg)
        if not run.steps:
            msg = "The run has no steps yet: a film needs at least one."
            raise FilmError(msg)
        return cls(run, measure, tuple(series))

    @property
    def leaves(self) -> tuple[Leaf, ...]:
        """Those that were recorded."""
        return tuple(leaf for leaf, _ in self.series)

    @cached_property
    def finite(self) -> np.ndarray:
        """At which steps every loss and gradient was a number, shape (T,), bool."""
        return self.run.finite(self.measure)

    @cached_property
    def looked_at(self) -> np.ndarray:
        """Which steps were looked at, shape (T,), bool."""
        return self.run.looked_at(self.measure)

    @cached_property
    def seen(self) -> np.ndarray:
        """Of which steps anything is known, shape (T,), bool."""
        return self.run.seen(self.measure)

    @cached_property
    def changes(self) -> np.ndarray:
        """The loss change of every step, shape (T,); of a redrawn measure, as it was estimated.

        There a look has the change of all steps that it stands for, and the others have none.
        """
        run, measure = self.run, self.measure
        if run.redrawn(measure):
            allocated = run.allocation(measure, "leaf").values.sum(axis=1)
            return np.asarray(allocated + run.buffers(measure))
        with np.errstate(invalid="ignore"):  # from one infinity to another
            return np.diff(run.loss(measure))

    def portions(self, steps: range) -> Iterator[range]:
        """Cut steps where the record is cut: each portion is read at once, and nothing twice."""
        chunk = min(series.chunk for _, series in self.series)
        for _, some in groupby(steps, key=lambda step: step // chunk):
            found = list(some)
            yield range(found[0], found[-1] + 1, steps.step)

    def read(self, leaf: int, steps: range) -> np.ndarray:
        """Return the values of a leaf, shape (steps, *leaf.shape), float32."""
        series = self.series[leaf][1]
        return np.asarray(series[steps.start : steps.stop : steps.step])
