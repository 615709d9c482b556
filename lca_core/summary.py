"""The numbers that sum a run up: one line a layer, and one sentence on the books."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
from attrs import frozen

from lca_core.errors import NotRecordedError
from lca_core.segment import Status
from lca_core.words import counted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lca_core.probes import Probed
    from lca_core.run import Run

_NOT_CLOSED = {
    Status.CAP: "ran out of points with a gap left",
    Status.STALLED: "stalled at a gap that more points do not close",
    Status.NONFINITE: "came to a value that is not finite, and allocated nothing",
}


@frozen
class LayerLine:
    """What one layer did over a whole run; NaN stands for what is not known.

    Args:
        layer: its name, or "total".
        parameters: how many it has.
        lca: its allocation summed over all finite steps, loss units; negative helped.
        share: lca / everything allocated.
        per_parameter: lca / parameters, loss units.
        helping: helped / (helped + hurt), averaged over the steps on which something moved.
        error: the ± of lca, loss units: `Run.error`; of the total |Σ gap|, which is known, and for
            a redrawn measure the 95 % of sampling.
    """

    layer: str
    parameters: int
    lca: float
    share: float
    per_parameter: float
    helping: float
    error: float


@frozen
class Books:
    """How the books of one measure closed.

    Args:
        measure: its name.
        start, end: loss before the first and after the last step, loss units; that of a redrawn
            measure's samples.
        fall: the loss change from start to end; of a redrawn measure, as it was allocated.
        allocated: sum of all allocations, loss units; negative helped. NaN if none is known.
        buffers: the loss change that moving buffers caused, loss units.
        largest_gap: of all finite steps, loss units; NaN if there is none, or none is known.
        gradients: evaluated a step, the one at θ_0 included; NaN without steps.
        statuses: how many steps closed in which way.
        error: what sampling leaves open of `allocated`, 95 %, and integration where the rule knows
            that, loss units; 0 but for a redrawn measure.
        probe: the sample that was looked at; None for all data.
        seen: whether any step was looked at, and finite, where the measure was redrawn; else
            nothing is known of it.
        each: what was closed: see `each`.
    """

    measure: str
    start: float
    end: float
    fall: float
    allocated: float
    buffers: float
    largest_gap: float
    gradients: float
    statuses: Mapping[Status, int]
    error: float = 0.0
    probe: Probed | None = None
    seen: bool = True
    each: str = "step"

    @property
    def steps(self) -> int:
        """Number of steps, or segments."""
        return sum(self.statuses.values())

    @property
    def change(self) -> str:
        """The true loss change in words."""
        change = self.fall
        if not self.seen:
            return f"loss change is not known, as {self.unseen}"
        if not np.isfinite(change):
            return f"loss went from {number(self.start)} to {number(self.end)}"
        if change == 0.0:
            return f"loss stayed at {number(self.end)}"
        by = f"{number(abs(change))}"
        if self.estimated:
            by = f"an estimated {by}{self.within}"
        return f"loss {'fell' if change < 0.0 else 'rose'} by {by}"

    @property
    def estimated(self) -> bool:
        """Whether the measure was redrawn: then its books close on no loss but the samples' own."""
        return self.probe is not None and self.probe.redrawn

    @property
    def unseen(self) -> str:
        """Why nothing is known where `seen` is False, in words."""
        lost = self.statuses.get(Status.NONFINITE, 0)
        which = "looked at at finite values" if lost else "looked at"
        return f"no step of this measure was {which}"

    @property
    def within(self) -> str:
        """The ± of what was allocated to a redrawn measure, in words; "" for any other."""
        if not self.estimated:
            return ""
        if np.isnan(self.error):
            return ", ± unknown"
        return f" ± {self.error:.2g} (95 %)"

    @property
    def sums(self) -> str:
        """What was allocated, and what moving buffers did, in words."""
        about = "an estimated " * self.estimated
        buffers = f"; moving buffers caused {about}{number(self.buffers)}" if self.buffers else ""
        if np.isnan(self.allocated):
            return "no allocation is known"
        return f"allocations sum to {number(self.allocated)}{self.within}{buffers}"

    @property
    def cost(self) -> str:
        """What the books took, in words."""
        return f"{self.gradients:.2f} gradients a {self.each}"

    @property
    def closing(self) -> str:
        """How the steps closed, in words; of a redrawn measure, what the numbers are instead."""
        if not self.steps:
            return "no steps recorded"
        if not self.seen:
            return f"nothing was estimated, as {self.unseen}"
        if self.estimated:
            lost, words = self.statuses.get(Status.NONFINITE, 0), _NOT_CLOSED[Status.NONFINITE]
            left_out = f"; {lost:,} of {self._all} {words}" if lost else ""
            looked = f"estimated from {self._seen} a {self.each}"
            return f"{looked}, so nothing is said to close{left_out}"
        if self.probe is not None:
            return f"{self._closed}, on a fixed probe of {self._seen}"
        return self._closed

    @property
    def _seen(self) -> str:
        probe = self.probe
        return f"{probe.examples:,} of {probe.of:,} examples" if probe else "all examples"

    @property
    def _closed(self) -> str:
        closed = self.statuses.get(Status.OK, 0)
        if closed == self.steps:
            return f"all {self._all} closed" if closed > 1 else f"the only {self.each} closed"
        rest = [
            f"{self.statuses[status]:,} {words}"
            for status, words in _NOT_CLOSED.items()
            if status in self.statuses
        ]
        return "; ".join([f"{closed:,} of {self._all} closed", *rest])

    @property
    def _all(self) -> str:
        return counted(self.steps, self.each)


def books(run: Run, measure: str) -> Books:
    """Return how the books closed; only finite steps allocate anything."""
    finite = run.finite(measure)
    loss, redrawn = run.loss(measure), run.redrawn(measure)
    gaps = run.gap(measure)[finite]
    known = not run.steps or bool(run.seen(measure).any())
    summed = float(run.allocation(measure, by="leaf").values[finite].sum())
    allocated = summed if known else float("nan")
    buffers = float(run.buffers(measure)[finite].sum())
    # Those of a whole are means over its parts: no whole numbers.
    spent = 1.0 + float(run.evaluations(measure).sum())
    return Books(
        measure=measure,
        start=float(loss[0]),
        end=float(loss[-1]),
        fall=allocated + buffers if redrawn else float(loss[-1] - loss[0]),
        allocated=allocated,
        buffers=buffers,
        largest_gap=float(np.abs(gaps).max()) if gaps.size else float("nan"),
        gradients=spent / run.steps if run.steps else float("nan"),
        statuses=Counter(Status(status) for status in run.status(measure).tolist()),
        error=float(run.error(measure, by=lambda _: "total").values[0]) if redrawn else 0.0,
        probe=run.probe(measure),
        seen=known or not redrawn,
        each=each(run),
    )


def closure(run: Run, measure: str) -> str:
    """Say in one line what the loss did, and whether the allocations account for it.

    Args:
        run: a finished run.
        measure: its name.

    Example:
        >>> from lca_core.summary import closure
        >>> from lca_core.reference import demo_run
        >>> closure(demo_run(steps=0), "train")
        'train: no steps recorded; loss stayed at 1.3544'
    """
    found = books(run, measure)
    if not found.steps:
        return f"{measure}: {found.closing}; {found.change}"
    if not found.seen:
        return f"{measure}: {found.change}"
    parts = [found.change, found.sums]
    if np.isfinite(found.largest_gap):
        parts.append(f"largest {found.each} gap {found.largest_gap:.2g}")
    parts += [found.cost, found.closing]
    return f"{measure}: {'; '.join(parts)}"


def each(run: Run) -> str:
    """Return what was measured at once: "step", or "segment" where some are several steps long.

    Args:
        run: a finished run.

    Example:
        >>> from lca_core.summary import each
        >>> from lca_core.reference import demo_run
        >>> each(demo_run(steps=5))
        'step'
    """
    return "step" if run.iteration[-1] == run.steps else "segment"


def span(run: Run) -> str:
    """Say over how many steps, and how many of them were measured together.

    Args:
        run: a finished run.

    Example:
        >>> from lca_core.summary import span
        >>> from lca_core.reference import demo_run
        >>> span(demo_run(steps=5))
        '5 steps'
    """
    trained = counted(int(run.iteration[-1]), "step")
    if each(run) == "step":
        return trained
    return f"{trained}, measured {counted(run.steps, 'time')}"


def layer_lines(run: Run, measure: str, by: str = "layer") -> list[LayerLine]:
    """Return what every layer did over the whole run, and a last line named "total".

    Args:
        run: a finished run.
        measure: its name.
        by: "layer" or "leaf".

    Example:
        >>> from lca_core.summary import layer_lines
        >>> from lca_core.reference import demo_run
        >>> [line.layer for line in layer_lines(demo_run(), "train")]
        ['fc1', 'fc2', 'total']
    """
    finite = run.finite(measure)
    labels, values = run.allocation(measure, by)
    found = books(run, measure)
    unknown = not found.seen or (run.steps > 0 and not finite.any())
    lca = _with_total(np.where(unknown, np.nan, values[finite].sum(axis=0)))
    sizes = _with_total(run.layout.group_sizes(by))
    gap = np.where(unknown, np.nan, abs(run.gap(measure)[finite].sum()))
    known = found.error if found.estimated else float(gap)
    columns = zip(
        (*labels, "total"),
        sizes.tolist(),
        lca.tolist(),
        _ratio(lca, np.full_like(lca, lca[-1])).tolist(),
        _ratio(lca, sizes).tolist(),
        _mean_helping(run, measure, by).tolist(),
        [*run.error(measure, by).values.tolist(), known],
        strict=True,
    )
    return [LayerLine(*column) for column in columns]


def booked_loss(run: Run, measure: str) -> np.ndarray:
    r"""Return L_0 plus all that was allocated, and that moving buffers caused, shape (T+1,).

    .. math:: L_0 + \sum_{s \le t} \Big(\sum_i A_{s,i} + B_s\Big)

    It lies on the loss where the books close; of a redrawn measure it is an estimate, whose L_0 is
    that of the first sample. NaN after steps that are not finite, whose own part
    is in no later value, and after all steps where none was looked at.

    Args:
        run: a finished run.
        measure: its name.

    Example:
        >>> from lca_core.summary import booked_loss
        >>> from lca_core.reference import demo_run
        >>> run = demo_run()
        >>> bool(abs(booked_loss(run, "train") - run.loss("train")).max() < 0.002)
        True
    """
    finite = run.finite(measure)
    caused = np.zeros(len(finite))
    allocated = run.allocation(measure, "leaf").values[finite].sum(axis=1)
    caused[finite] = allocated + run.buffers(measure)[finite]
    start = run.loss(measure)[:1]
    since = start + np.cumsum(caused)
    return np.concatenate([start, np.where(finite & run.seen(measure).any(), since, np.nan)])


def number(value: float) -> str:
    """Write five significant digits, trailing zeros too, so that two numbers can be compared."""
    return format(value, "#.5g").rstrip(".") if value else "0"


def _with_total(values: np.ndarray) -> np.ndarray:
    return np.concatenate([values, values.sum(axis=-1, keepdims=True)], axis=-1)


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Divide; NaN where there is nothing to divide by, and no zero below zero."""
    quotient = np.full(numerator.shape, np.nan)
    np.divide(numerator, denominator, out=quotient, where=denominator != 0)
    return np.asarray(quotient + 0.0)


def _mean_helping(run: Run, measure: str, by: str) -> np.ndarray:
    """Return helped / (helped + hurt) averaged over steps, shape (groups + total,)."""
    try:
        counts = run.helping(measure, by)
    except NotRecordedError:
        return np.full(len(run.layout.labels(by)) + 1, np.nan)
    helped, hurt = _with_total(counts.helped), _with_total(counts.hurt)
    shares = _ratio(helped.astype(np.float64), helped + hurt)
    return _ratio(np.nansum(shares, axis=0), np.isfinite(shares).sum(axis=0))
