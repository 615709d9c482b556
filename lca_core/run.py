"""A finished run: what happened to the loss, step by step, and who did it."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import field, frozen

from lca_core.draws import Drawn, Thinned, between_subsamples
from lca_core.errors import NotRecordedError
from lca_core.estimating import SPREAD, UNIT_SPREAD
from lca_core.integration_error import of_run
from lca_core.layout import counts_units
from lca_core.observers.distribution import ascending, edges
from lca_core.probes import Probed
from lca_core.results import DenseSeries, Grouped, Helping, Histogram, Tally, Turns, Watched
from lca_core.segment import Status

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    import xarray

    from lca_core.header import Header, Totals
    from lca_core.layout import By, Layout

_ALL = slice(None)

_OBSERVER_OF = {
    **dict.fromkeys(("unit_allocation", UNIT_SPREAD), "UnitSums()"),
    **dict.fromkeys(("helped", "hurt"), "Counts()"),
    **dict.fromkeys(("total", "total_rounding"), "Totals()"),
    **dict.fromkeys(("steps_moved", "sign_sum"), "Tallies()"),
    "axis_allocation": "AxisSums(axes)",
    **dict.fromkeys(("histogram", "histogram_rounding"), "Distribution()"),
    **dict.fromkeys(("motion_square", "gradient_square"), "Sizes()"),
    **dict.fromkeys(
        ("watched_weight", "watched_gradient", "watched_allocation"), "Watch(parameters)"
    ),
    **{
        f"{of}_{what}": "Oscillation()"
        for of in ("motion", "gradient", "allocation")
        for what in ("turned", "turns", "sign")
    },
}
"""Array -> the observer that declares or keeps it."""


@frozen(repr=False)
class Run:
    """The record of a training run, on the host.

    Every method takes the name of a measure ("train"); T is the number of closed segments.

    Args:
        header: what was known before the first step.
        rows: array name -> values of all segments, shape (T, measures, ...).
        totals: running arrays at the end.

    Example:
        >>> from lca_core.reference import demo_run
        >>> run = demo_run()
        >>> labels, values = run.allocation("train", by="layer")
        >>> labels
        ('fc1', 'fc2')
        >>> loss, gap = run.loss("train"), run.gap("train")
        >>> bool(abs(values.sum() + gap.sum() - (loss[-1] - loss[0])) < 1e-12)
        True
    """

    header: Header
    rows: Mapping[str, np.ndarray] = field(repr=False)
    totals: Totals = field(repr=False)

    def __repr__(self) -> str:
        """Say what it holds."""
        falls = (f"{m} {self.loss(m)[0]:.4g} -> {self.loss(m)[-1]:.4g}" for m in self.measures)
        size = f"{self.iteration[-1]} steps, {self.layout.parameters} parameters"
        return f"<Run: {size}, loss {', '.join(falls)}>"

    @property
    def layout(self) -> Layout:
        """The leaves."""
        return self.header.layout

    @property
    def measures(self) -> tuple[str, ...]:
        """Names of the measures."""
        return self.header.measures

    def parts(self, measure: str) -> dict[str, float]:
        """Return the measures that partition the data of this one, and their shares of it.

        Args:
            measure: its name.

        Returns:
            Name of the part -> its share; empty for a measure that was not partitioned.

        Example:
            >>> from lca_core.reference import demo_run
            >>> list(demo_run(by_class=True).parts("train"))
            ['train/class=0', 'train/class=1', 'train/class=2']
        """
        self._index(measure)
        return dict(self.config.get("parts", {}).get(measure, {}))

    def probe(self, measure: str) -> Probed | None:
        """Return through which sample a measure was looked at; None for all of its data.

        Args:
            measure: its name.
        """
        self._index(measure)
        told = self.config.get("probes", {}).get(measure)
        return Probed(**told) if told else None

    def redrawn(self, measure: str) -> bool:
        """Return whether a measure saw fresh examples at every step, so that it only estimates."""
        probe = self.probe(measure)
        return probe is not None and probe.redrawn

    @property
    def config(self) -> Mapping[str, Any]:
        """Settings and versions."""
        return self.header.config

    @property
    def steps(self) -> int:
        """Number of closed segments, T."""
        return len(self.rows["iteration"])

    @cached_property
    def iteration(self) -> np.ndarray:
        """Calls of `step` at every iterate, shape (T+1,), from 0."""
        return np.concatenate([[0], self.rows["iteration"]]).astype(np.int64)

    def loss(self, measure: str) -> np.ndarray:
        """Return the loss over the whole measure at every iterate, shape (T+1,), float64.

        That of a redrawn measure is an estimate at every step: the loss on its sample, averaged
        along it by the measure's rule (in its middle, by default); at θ_0, of the first sample
        there; and the last one known where a step was not looked at.
        """
        initial = self.header.initial_loss[self._index(measure)]
        return np.concatenate([[initial], self._row("loss", measure)])

    def gap(self, measure: str) -> np.ndarray:
        """Return true loss change minus everything allocated, shape (T,), loss units.

        NaN for a redrawn measure: nobody knows the true loss change.
        """
        return self._row("gap", measure)

    def buffers(self, measure: str) -> np.ndarray:
        """Return the loss change that moving buffers caused, shape (T,), loss units."""
        return self._row("buffers", measure)

    def noise(self, measure: str) -> np.ndarray:
        """Return the rounding floor of every gap, shape (T,), loss units."""
        return self._row("noise", measure)

    def status(self, measure: str) -> np.ndarray:
        """Return how the books closed at every step, shape (T,), values of `Status`."""
        return self._row("status", measure)

    def finite(self, measure: str) -> np.ndarray:
        """Return at which steps every loss and gradient was a number, shape (T,), bool."""
        return np.asarray(self.status(measure) != Status.NONFINITE)

    def looked_at(self, measure: str) -> np.ndarray:
        """Return which steps were looked at, shape (T,), bool.

        All of them, but for a measure of `Redrawn(..., every=k)`: there one of every k steps
        stands for the others, whose allocations and counts are 0. Weights, gradients and sizes of
        these are NaN, as they are not known.
        """
        if not self.redrawn(measure):
            return np.ones(self.steps, bool)
        return np.asarray(self.evaluations(measure) > 0)

    def seen(self, measure: str) -> np.ndarray:
        """Return which steps were looked at and came to finite values, shape (T,), bool.

        Of the others nothing is known: they are in no sum, mean or count.

        Args:
            measure: its name.

        Example:
            >>> from lca_core.reference import demo_run
            >>> demo_run(steps=3).seen("train").tolist()
            [True, True, True]
        """
        return np.asarray(self.finite(measure) & self.looked_at(measure))

    def stood_still(self, measure: str) -> np.ndarray:
        """Return on which steps no parameter moved, shape (T,), bool: exact zeros, known for sure.

        Never of a redrawn measure: zeros of a sample do not tell motion from a gradient of zero.

        Args:
            measure: its name.
        """
        columns = np.concatenate([self._row(name, measure) for name in ("allocation", "error")], 1)
        # A gradient may have been spent on buffers that moved; a step that moved takes more than
        # one before its error is known.
        still = (columns == 0.0).all(axis=1) & (self.evaluations(measure) < 1.5)
        return np.asarray(still & self.looked_at(measure))

    def audited(self, measure: str) -> np.ndarray:
        """Return which steps were refined by lot, once more than they needed, shape (T,), bool."""
        return self._row("audited", measure).astype(bool)

    def settled(self, measure: str) -> np.ndarray:
        """Return which steps closed by the finest rule that was looked at, shape (T,), bool.

        Of others their own comparison says more than any sample.
        """
        closed = self.status(measure) == Status.OK
        if "discarded" not in self.rows:  # in a file of an older version
            return np.asarray(closed)
        return np.asarray(closed & ~self._row("discarded", measure).astype(bool))

    def evaluations(self, measure: str) -> np.ndarray:
        """Return the gradients spent on every step, shape (T,); one more was spent on θ_0.

        Counted in passes over the measure's data, or over its sample.
        """
        return self._row("evaluations", measure)

    def allocation(self, measure: str, by: By = "layer") -> Grouped:
        """Return the allocation of every step, summed over groups; negative helped.

        Args:
            measure: its name.
            by: "leaf", "layer", "unit", a function of a `Leaf` that names its group, a regular
                expression, or `ByUnit`.

        Returns:
            Labels and values of shape (T, groups), float64, loss units.

        Raises:
            NotRecordedError: units were not recorded; pass the observer `UnitSums()`.
        """
        values = self._row("unit_allocation" if counts_units(by) else "allocation", measure)
        return Grouped(self.layout.labels(by), self.layout.group(values, by))

    def helping(self, measure: str, by: By = "layer") -> Helping:
        """Return how many parameters helped, hurt and stood still, per step and group.

        Steps that are not finite, or were not looked at, count nobody.

        Args:
            measure: its name.
            by: "leaf", "layer", a function of a `Leaf` that names its group, or a regular
                expression.
        """
        if counts_units(by):
            msg = "helping() counts by 'leaf' or 'layer'; counts by unit are not recorded."
            raise NotRecordedError(msg)
        seen = self.seen(measure)[:, None]
        helped = self.layout.group(self._row("helped", measure), by) * seen
        hurt = self.layout.group(self._row("hurt", measure), by) * seen
        unmoved = self.layout.group_sizes(by) * seen - helped - hurt
        return Helping(self.layout.labels(by), helped, hurt, unmoved)

    def reversed_signs(self, measure: str, by: By = "layer") -> Grouped:
        """Return how many parameters help by one rule and hurt by the finer one, per step.

        Args:
            measure: its name.
            by: "leaf", "layer", a function of a `Leaf` that names its group, or a regular
                expression.

        Returns:
            Labels and counts, shape (T, groups); NaN on steps that nothing finer looked at.
        """
        return Grouped(
            self.layout.labels(by), self.layout.group(self._by_leaf("reversed", measure, by), by)
        )

    def total(self, measure: str) -> dict[str, np.ndarray]:
        """Return every parameter's allocation summed over all finite steps.

        Returns:
            Leaf name -> array shaped like the leaf, float64, loss units.

        Raises:
            NotRecordedError: the observer `Totals()` was left out.
        """
        total, rounding = (self._kept(name, measure) for name in ("total", "total_rounding"))
        return {name: total[name] + rounding[name] for name in self.layout.names}

    def tallies(self, measure: str) -> dict[str, Tally]:
        """Return on how many finite steps every parameter helped and hurt.

        Returns:
            Leaf name -> `helped` and `hurt`, arrays shaped like the leaf, int64.

        Raises:
            NotRecordedError: the observer `Tallies()` was not asked for.
        """
        moved, balance = (self._kept(name, measure) for name in ("steps_moved", "sign_sum"))
        return {
            name: Tally(
                helped=((moved[name] - balance[name]) / 2).astype(np.int64),
                hurt=((moved[name] + balance[name]) / 2).astype(np.int64),
            )
            for name in self.layout.names
        }

    def size(self, measure: str, of: str = "motion", by: By = "layer") -> Grouped:
        """Return the length of every group's motion or mean gradient at every step.

        Args:
            measure: its name.
            of: "motion" (parameter units) or "gradient" (loss units per parameter unit).
            by: "leaf", "layer", a function of a `Leaf` that names its group, or a regular
                expression.

        Returns:
            Labels and Euclidean lengths of shape (T, groups), float64; NaN where a step was not
            looked at.

        Raises:
            NotRecordedError: the observer `Sizes()` was not asked for.
        """
        squares = self._by_leaf(f"{of}_square", measure, by)
        return Grouped(self.layout.labels(by), np.sqrt(self.layout.group(squares, by)))

    def turned(self, measure: str, of: str = "motion", by: By = "layer") -> Grouped:
        """Return how many parameters changed their sign at every step, since the last one seen.

        Args:
            measure: its name.
            of: "motion", "gradient" or "allocation".
            by: "leaf", "layer", a function of a `Leaf` that names its group, or a regular
                expression.

        Returns:
            Labels and counts of shape (T, groups), int64; 0 where a step was not looked at, or was
            not finite: they sum to those of `turns`.

        Raises:
            NotRecordedError: the observer `Oscillation()` was not asked for.
        """
        counts = self._by_leaf(f"{of}_turned", measure, by) * self.seen(measure)[:, None]
        return Grouped(self.layout.labels(by), self.layout.group(counts, by))

    def along(self, measure: str) -> Grouped:
        """Return the allocation of slices along chosen axes at every step.

        Raises:
            NotRecordedError: the observer `AxisSums(...)` was not asked for.
        """
        values = self._row("axis_allocation", measure)
        return Grouped(self.header.own_axes.get("slice", ()), values)

    def dense(self, measure: str, leaf: str, of: str = "allocation") -> DenseSeries:
        """Return a leaf's values at every step; of a run file, read as they are asked for.

        Where a step was not looked at, weights and gradients are NaN and allocations 0.

        Args:
            measure: its name.
            leaf: its name.
            of: "allocation", "weight" or "gradient".

        Raises:
            NotRecordedError: the observer `Dense()` was not asked for, or not for this.
        """
        kept = {(one.leaf, one.name.split("_")[1]): one for one in self.header.declared if one.leaf}
        if leaf not in self.layout.names:
            msg = f"There is no leaf '{leaf}'; there are {list(self.layout.names)}."
            raise NotRecordedError(msg)
        if (leaf, of) not in kept:
            msg = (
                f"The run does not hold the {of} of '{leaf}' at every step; it holds "
                f"{[f'{what} of {name}' for name, what in kept]}. Add Dense(['{leaf}'], ['{of}'])."
            )
            raise NotRecordedError(msg)
        one = kept[leaf, of]
        return DenseSeries((self.steps, *one.sizes), self.rows[one.name], self._index(measure))

    def to_xarray(self) -> xarray.Dataset:
        """Return all that was recorded step by step, with named dimensions and coordinates.

        Raises:
            MissingExtraError: xarray is not installed.
        """
        from lca_core.labelled import dataset

        return dataset(self)

    def watched(self, measure: str) -> Watched:
        """Return what was watched of chosen parameters at every step.

        Raises:
            NotRecordedError: the observer `Watch(...)` was not asked for.
        """
        names = ("weight", "gradient", "allocation")
        found = {name: self._row(f"watched_{name}", measure) for name in names}
        return Watched(self.header.own_axes.get("watched", ()), **found)

    def distribution(self, measure: str, by: By = "layer") -> Histogram:
        """Return how the allocations of all finite steps and parameters are distributed.

        Args:
            measure: its name.
            by: "leaf", "layer", a function of a `Leaf` that names its group, or a regular
                expression.

        Returns:
            Labels, edges in loss units, and counts of shape (groups, bins); see `Distribution`.

        Raises:
            NotRecordedError: the observer `Distribution()` was not asked for.
        """
        if counts_units(by):
            msg = "distribution() knows 'leaf' and 'layer'; units are not counted apart."
            raise NotRecordedError(msg)
        counts, rounding = (
            self._kept(name, measure) for name in ("histogram", "histogram_rounding")
        )
        by_leaf = [ascending(counts[name] + rounding[name]) for name in self.layout.names]
        grouped = self.layout.group(np.array(by_leaf).T, by).T
        return Histogram(self.layout.labels(by), edges(), grouped.astype(np.int64))

    def turns(self, measure: str, of: str = "motion") -> dict[str, Turns]:
        """Return how often every parameter changed its sign over the finite steps.

        Args:
            measure: its name.
            of: "motion", "gradient" or "allocation".

        Returns:
            Leaf name -> `count`, and whether it `ever` had a sign; arrays shaped like the leaf.

        Raises:
            NotRecordedError: the observer `Oscillation()` was not asked for.
        """
        counts, signs = (self._kept(f"{of}_{what}", measure) for what in ("turns", "sign"))
        return {
            name: Turns(counts[name].astype(np.int64), signs[name] != 0)
            for name in self.layout.names
        }

    def error(self, measure: str, by: By = "layer", steps: slice = _ALL) -> Grouped:
        """Return the ± of every group's allocation summed over the run, or over some steps of it.

        Audited steps, drawn at random and refined once more than they needed, judge the others;
        see `integration_error.of_integration`. That is the error of integration; a redrawn measure
        adds its `sampling_error`, and has that alone where its rule has no nested one.

        Args:
            measure: its name.
            by: "leaf", "layer", a function of a `Leaf` that names its group, or a regular
                expression.
            steps: `slice(-100, None)` for the last hundred.

        Returns:
            Labels and half-widths, shape (groups,), loss units; NaN where nothing is known: where
            steps have no comparison, and fewer than two others have one to judge them by.
        """
        if counts_units(by):
            msg = (
                "error() knows 'leaf' and 'layer'; the error of integration is not recorded by "
                "unit. sampling_error() is that of a redrawn measure's units."
            )
            raise NotRecordedError(msg)
        chosen = np.zeros(self.steps, bool)
        chosen[steps] = True
        labels, sampled = self.sampling_error(measure, by, steps)
        return Grouped(labels, of_run(self, measure, by, chosen) + sampled)

    def sampling_error(self, measure: str, by: By = "layer", steps: slice = _ALL) -> Grouped:
        r"""Return the 95 % that sampling alone leaves open of every group's sum over steps.

        .. math:: t_\nu \sqrt{\sum_t s_t^2}, \qquad
                  \nu = (m + 1) \frac{\big(\sum_t s_t^2\big)^2}{\sum_t s_t^4} - 2

        with the s_t of `standard_error`, whose draws are independent, and Student's t, since each
        is an estimate itself. Where one step of every k was looked at, blocks that the sum cuts
        add the luck of whether their look is in it.

        Args:
            measure: its name.
            by: as in `standard_error`.
            steps: `slice(-100, None)` for the last hundred.

        Returns:
            Labels and half-widths, shape (groups,), loss units; zeros for a measure that was not
            redrawn, NaN where no step was looked at, and where one was looked at in all.

        Raises:
            NotRecordedError: units were not recorded; pass the observer `UnitSums()`.

        Source: Satterthwaite (1946), Biometrics Bulletin 2, 110.
        """
        return Grouped(self.layout.labels(by), self.draws(measure, by).within(steps))

    def standard_error(self, measure: str, by: By = "layer") -> Grouped:
        r"""Return how far sampling alone may have moved every step's allocation.

        .. math:: s_t^2 = \Big(1 - \frac nN\Big) \frac1{m(m-1)} \sum_{k=1}^m (A_t^k - A_t)^2

        over the m subsamples of a step. Where only one step of several was looked at,
        (A_t - A_s)²/2 of it and the one before it, both counting for all of theirs: that is the
        luck of the examples and of the step. `sampling_error` adds them up.

        Args:
            measure: its name.
            by: "leaf", "layer", "unit", a function of a `Leaf` that names its group, a regular
                expression, or `ByUnit`.

        Returns:
            Labels and one standard error, shape (T, groups), loss units; zeros for a measure that
            was not redrawn, and for a step that another one stands for. NaN for the only step
            looked at, and for all where there was none.

        Raises:
            NotRecordedError: units were not recorded; pass the observer `UnitSums()`.

        Source: Cochran, Sampling Techniques (1977), sections 2.6, 8.11 and 11.2.
        """
        return Grouped(self.layout.labels(by), self.draws(measure, by).errors)

    def draws(self, measure: str, by: By = "layer") -> Drawn | Thinned:
        """Return the luck of a redrawn measure's samples; see `sampling_error`.

        Args:
            measure: its name.
            by: as in `standard_error`.
        """
        probe, finite = self.probe(measure), self.finite(measure)
        if probe is None or not probe.redrawn:
            none = np.zeros((self.steps, len(self.layout.labels(by))))
            return Drawn(none, finite, degrees=1)
        if probe.every > 1:
            looked = np.flatnonzero(self.seen(measure))
            return Thinned(self.allocation(measure, by).values, looked, probe.every)
        kept = self._row(UNIT_SPREAD if counts_units(by) else SPREAD, measure)
        parts = np.moveaxis(kept[..., : probe.subsamples], -1, -2)
        spread = between_subsamples(self.layout.group(parts, by), probe.unseen)
        return Drawn(spread, finite, degrees=probe.subsamples - 1)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the run as a Zarr group; `lca_core.load` reads it again.

        Raises:
            FileExistsError: there is something at `path`.
        """
        from lca_core import store

        store.save(self, path)

    def _index(self, measure: str) -> int:
        if measure not in self.measures:
            msg = f"The run holds the measures {list(self.measures)}, not '{measure}'."
            raise NotRecordedError(msg)
        return self.measures.index(measure)

    def _row(self, name: str, measure: str) -> np.ndarray:
        self._require(name, self.rows)
        return np.asarray(self.rows[name][:, self._index(measure)])

    def _by_leaf(self, name: str, measure: str, by: By) -> np.ndarray:
        if counts_units(by):
            msg = f"'{name}' is recorded by leaf: by must be 'leaf' or 'layer', got {by!r}."
            raise NotRecordedError(msg)
        return self._row(name, measure)

    def _kept(self, name: str, measure: str) -> dict[str, np.ndarray]:
        """Return a running array at the end of the run, leaf by leaf, float64."""
        running = self.totals[self.measures[self._index(measure)]]
        self._require(name, running)
        return {leaf: np.asarray(running[name][leaf], np.float64) for leaf in self.layout.names}

    def _require(self, name: str, held: Mapping[str, Any]) -> None:
        if name not in held:
            msg = (
                f"The run does not hold '{name}'; it was recorded with the observers "
                f"{self.config.get('observers', [])}. Add "
                f"{_OBSERVER_OF.get(name, 'the one that declares it')}."
            )
            raise NotRecordedError(msg)


def load(path: str | os.PathLike[str]) -> Run:
    """Read a run file, a finished one or one that is being written.

    Args:
        path: what `Run.save` or a tracker with `path=` wrote.

    Returns:
        The run up to its last write; totals of single parameters are read when asked. If the run
        is written twice before that, asking raises a `RunFileError`: load it again.

    Raises:
        FileNotFoundError: there is nothing at `path`.
        RunFileError: it is not a run file, or one of a newer version.
    """
    from lca_core import store

    return store.load(path)
