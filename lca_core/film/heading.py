"""What is written above the page, in whole clauses: a number that is cut would be another one."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

from attrs import frozen

from lca_core.film import lettering
from lca_core.film.lettering import fitting
from lca_core.summary import each
from lca_core.words import counted

if TYPE_CHECKING:
    from lca_core.film.record import Record
    from lca_core.film.sheet import Sheet

NOT_LOOKED_AT = "not looked at"
_LOST = ("not finite: nothing was allocated", "not finite")


@frozen
class Heading:
    """Two lines: what is shown, beside the counter of steps, and what a square is, beside the loss.

    Args:
        title: what is shown.
        square: what a square is.
        step: of the loss after a step, and its change; of a sample's loss, and what was allocated.
        lost: of a step that is not finite.
    """

    title: str
    square: str
    step: str
    lost: str

    @classmethod
    def of(cls, record: Record, pool: int, sheet: Sheet) -> Heading:
        """Return the longest that fits.

        Args:
            record: what is shown.
            pool: parameters to a side of a square.
            sheet: how a frame is divided.
        """
        room, size = sheet.subtitle.width - sheet.margin, sheet.small
        pairs = list(product(_squares(pool), _of_a_step(record)))
        square, (step, lost) = next(
            (
                (square, told)
                for square, told in pairs
                if lettering.width(square + told[0].format(-0.00012345, -1e-100), size) <= room
            ),
            pairs[-1],
        )
        return cls(_title(record, sheet), square, step, lost)


def _title(record: Record, sheet: Sheet) -> str:
    """Say of what the allocations are, as long as the way to the counter on the right."""
    last = f"{record.run.iteration[-1]:,}"
    counter = lettering.width(f"step {last} of {last}", sheet.large)
    shown, every = sum(leaf.size for leaf in record.leaves), record.run.layout.parameters
    count = f"{every:,}" if shown == every else f"{shown:,} of {every:,}"
    whose = f"{record.measure}: "
    told = (f"{whose}loss change allocated to ", f"{whose}LCA of ", whose, "")
    clauses = (*(f"{front}{count} parameters" for front in told), count)
    return fitting(clauses, sheet.large, sheet.title.left(counter + sheet.margin).width)


def _of_a_step(record: Record) -> tuple[tuple[str, str], ...]:
    """Return what may be said of a step, and of one that was lost, the longest first.

    The losses of two samples differ by the draw too: of these, what was allocated is the change.
    """
    long, short = _LOST
    probe = record.run.probe(record.measure)
    if probe is None or not probe.redrawn:
        return ("loss {0:.4g}, changed by {1:+.2e}", long), ("loss {0:.4g} ({1:+.2e})", short)
    sample = "loss of its sample {0:.4g}, estimated change"
    if probe.every == 1:
        return (f"{sample} {{1:+.2e}}", long), ("loss ≈ {0:.4g} (≈ {1:+.2e})", short)
    many = counted(probe.every, each(record.run))
    return (
        (f"{sample} of {many} {{1:+.2e}}", long),
        (f"loss ≈ {{0:.4g}} ({many} ≈ {{1:+.2e}})", short),
        (f"{many} ≈ {{1:+.2e}}", short),
    )


def _squares(pool: int) -> tuple[str, ...]:
    """Return what may be said of a square, the longest first; the last is not left out."""
    ways = "inputs go down, units to the right"
    if pool == 1:
        one = "every square is a parameter"
        return f"{one}; {ways}", one, "squares: parameters"
    of = f"{pool} × {pool}"
    one = f"every square sums {of} parameters"
    return f"{one}; {ways}", one, f"sums of {of} parameters", f"sums of {of}"
