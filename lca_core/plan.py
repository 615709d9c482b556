"""What each way of measuring would cost, and how exact it would be: a table, and a choice."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from attrs import asdict, field, frozen

from lca_core.errors import RuleError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lca_core.ways import Choice, Kind

WITHIN = 0.05
"""An error of the total that is small enough to ask for the finest steps instead."""

_KINDS: dict[Kind, str] = {"probe": "examples drawn once", "redrawn": "fresh examples"}

_LOST = (
    "The loss is not finite where this was measured: of such a training no step can be allocated, "
    "and only the times mean anything."
)
_UNFOLLOWED = (
    "Without iterates= the plan makes short steps of its own, without the noise of the training's: "
    "real errors can be several times these, and segments of several steps can take more "
    "gradients. To know, pass successive values of tracker.iterate."
)


@frozen
class Plan:
    """What measuring would cost, choice by choice; `print` shows the table.

    Args:
        rows: the choices.
        steps: of the training that errors are expected for.
        alone: seconds a step of the training alone; NaN where it is not known.
        gradient: seconds that one gradient takes, over all examples of all measures.
        bookkeeping: seconds of a closed step over all examples beside its gradients.
        observers: seconds of these that observers take; NaN where there was no time to see.
        budget: the most that time / time of the training alone may be; None for no limit.
        segments: steps -> gradients that a segment of so many takes, a measure.
        followed: whether it was made on steps of the training; if not, errors are rough.
        unsampled: kind -> why no samples of it are planned.
        finite: whether the loss was a number at the end of the walk.
    """

    rows: tuple[Choice, ...]
    steps: int
    alone: float
    gradient: float
    bookkeeping: float
    observers: float
    budget: float | None = None
    segments: Mapping[int, float] = field(factory=dict)
    followed: bool = True
    unsampled: Mapping[Kind, str] = field(factory=dict)
    finite: bool = True

    @property
    def best(self) -> Choice | None:
        """The choice within the budget; None where nothing is within it, or the loss is no number.

        Among those whose totals are expected within 5 %, the finest steps, or such as are at most
        twice as long; of these the smallest error, then the finest, then the least time. Where
        nothing is so exact, the smallest error.
        """
        if not self.finite:
            return None
        within = [row for row in self.rows if self.budget is None or row.factor <= self.budget]
        good = [row for row in within if row.error <= WITHIN]
        if good:
            fine = 2 * min(row.every for row in good)
            among = [row for row in good if row.every <= fine]
            return min(among, key=lambda row: (row.error, row.every, row.seconds))
        known = [row for row in within if not math.isnan(row.error)]
        return min(known or within, key=lambda row: (row.error, row.every), default=None)

    @property
    def recommendation(self) -> str:
        """One sentence on the best choice."""
        limit = "Without a limit on" if self.budget is None else f"Within {times(self.budget)}"
        best = self.best
        if best is None:
            return f"{limit} the training's own time, none of this will do."
        often = "at every step" if best.every == 1 else f"at every {best.every} steps"
        return (
            f"{limit} the training's own time: look at {best.what} {often} "
            f"({times(best.factor)}); {_promise(best, self._some)}.{_doubt(best)}"
        )

    @property
    def remarks(self) -> tuple[str, ...]:
        """What to know before the table is believed, in sentences."""
        kinds: dict[str, list[str]] = {}
        for kind, reason in self.unsampled.items():
            kinds.setdefault(reason, []).append(_KINDS[kind])
        unsampled = [f"Not planned, {' and '.join(k)}: {reason}" for reason, k in kinds.items()]
        lost = () if self.finite else (_LOST,)
        return (*lost, *unsampled, *(() if self.followed else (_UNFOLLOWED,)))

    def __str__(self) -> str:
        """Return what a step takes, the table, the recommendation, and remarks."""
        text = "\n".join((self.costs, "", *self.table(), "", self.recommendation))
        return "\n".join((text, *self.remarks))

    @property
    def costs(self) -> str:
        """What a step takes, in a sentence."""
        alone = "not known yet" if math.isnan(self.alone) else f"{_span(self.alone)} a step"
        observers = (
            "" if math.isnan(self.observers) else f", {_span(self.observers)} of it for observers"
        )
        return (
            f"Training alone: {alone}. One gradient over all examples: {_span(self.gradient)}; "
            f"bookkeeping of a measured step: {_span(self.bookkeeping)}{observers}."
            f"{_refined(self.segments)}"
        )

    @property
    def _some(self) -> str:
        """How an expected error is called."""
        return "some" if self.followed else "roughly"

    def table(self) -> tuple[str, ...]:
        """Return the lines of the table, the best choice marked."""
        error = "total, 1 s.e." if self.followed else "total, roughly 1 s.e."
        head = ("", "examples", "every", "time/training", "a step", "memory", error)
        cells = [
            (
                "*" if row == self.best else "",
                row.what,
                f"{row.every}",
                times(row.factor),
                _span(row.seconds),
                _size(row.memory),
                _accuracy(row),
            )
            for row in self.rows
        ]
        return _lines((head, *cells))

    def to_json(self) -> dict[str, Any]:
        """Return all of it as JSON values; what is not known is None."""
        best = None if self.best is None else self.rows.index(self.best)
        values: dict[str, Any] = _known({**asdict(self), "best": best})
        return values


def budgeted(budget: str | float | None) -> float | None:
    """Read a budget: "1.5x", "1.5" or 1.5 are half the training's own time on top of it.

    Raises:
        RuleError: it is no number above 1.

    Example:
        >>> from lca_core.plan import budgeted
        >>> budgeted("1.5x")
        1.5
    """
    if budget is None:
        return None
    try:
        factor = float(re.sub("[xX×]$", "", str(budget).strip()))
    except ValueError:
        factor = math.nan
    if not 1.0 < factor < math.inf:
        msg = (
            "A budget is time with measuring / time of the training alone, a number above 1, "
            f"such as '1.5x'; got {budget!r}."
        )
        raise RuleError(msg)
    return factor


def times(factor: float) -> str:
    """Write how many times something is; ? where it is not known."""
    if math.isnan(factor):
        return "?"
    return f"{factor:.2f}×" if factor < 10.0 else f"{factor:.0f}×"


def _refined(segments: Mapping[int, float]) -> str:
    """Say how many gradients segments take."""
    if not segments:
        return ""
    counts = ", ".join(f"{count:.2g} for {steps}" for steps, count in segments.items())
    return f" Gradients of a segment, by its steps, audits aside: {counts}."


def _doubt(choice: Choice) -> str:
    """Say so where 95 % reach beyond zero."""
    if not 1.96 * choice.error >= 1.0:
        return ""
    return " That tells nothing, not even the sign of the total: give it a larger budget."


def _promise(choice: Choice, some: str) -> str:
    if choice.kind == "all":
        return "the books close on the full loss"
    error = "unknown" if math.isnan(choice.error) else f"{some} {_percent(choice.error)}"
    if choice.kind == "probe":
        return f"the books close on the probe; its totals are off the full ones by {error}"
    aside = ", the error of integration along such segments aside" if choice.every > 1 else ""
    return f"the standard error of the total over the run is {error} of it{aside}"


def _accuracy(choice: Choice) -> str:
    if choice.kind == "all":
        return "closes"
    error = "?" if math.isnan(choice.error) else f"± {_percent(choice.error)}"
    return f"{error}, closes on itself" if choice.kind == "probe" else error


def _percent(share: float) -> str:
    return f"{100.0 * share:.2g} %" if share < 0.1 else f"{100.0 * share:.0f} %"


def _span(seconds: float) -> str:
    for unit, length in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= length:
            number = seconds / length
            return f"{number:.2g} {unit}" if number < 100.0 else f"{number:.0f} {unit}"
    return "?" if math.isnan(seconds) else f"{seconds / 1e-6:.0f} µs"


def _size(number: int) -> str:
    for unit, length in (("GB", 1e9), ("MB", 1e6)):
        if number >= length:
            return f"{number / length:.3g} {unit}"
    return f"{number / 1e3:.0f} kB"


def _known(value: Any) -> Any:
    """Replace NaN, which JSON does not have."""
    if isinstance(value, dict):
        return {name: _known(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_known(part) for part in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _lines(cells: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Align columns: words to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    left = (0, 1, 6)

    def line(row: Sequence[str]) -> str:
        aligned = [
            cell.ljust(width) if i in left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        return "  ".join(aligned).rstrip()

    return tuple(map(line, cells))
