"""What is kept of every step, beyond the ledger itself: one file an observer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lca_core.observers.axes import AxisSums
from lca_core.observers.counts import Counts
from lca_core.observers.dense import Dense
from lca_core.observers.distribution import Distribution
from lca_core.observers.oscillation import Oscillation
from lca_core.observers.sizes import Sizes
from lca_core.observers.tallies import Tallies
from lca_core.observers.totals import Totals
from lca_core.observers.units import UnitSums
from lca_core.observers.watch import Watch, WatchSample

if TYPE_CHECKING:
    from lca_core.layout import Layout
    from lca_core.typing import Observer

__all__ = [
    "EXTRA_OBSERVERS",
    "AxisSums",
    "Counts",
    "Dense",
    "Distribution",
    "Oscillation",
    "Sizes",
    "Tallies",
    "Totals",
    "UnitSums",
    "Watch",
    "WatchSample",
    "default_observers",
]

MOST_UNITS_BY_DEFAULT = 10_000

EXTRA_OBSERVERS: dict[str, type[Observer]] = {
    "tallies": Tallies,
    "oscillation": Oscillation,
    "sizes": Sizes,
    "distribution": Distribution,
}
"""Those that need no settings and are off by default, by name."""


def default_observers(layout: Layout) -> tuple[Observer, ...]:
    """Return `Totals`, `Counts`, and `UnitSums` where there are at most 10,000 units."""
    if layout.units > MOST_UNITS_BY_DEFAULT:
        return (Totals(), Counts())
    return (Totals(), Counts(), UnitSums())
