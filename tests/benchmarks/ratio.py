"""The ratio of two times, taken in turn in one process: the only thing that is compared."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

FEWEST_ROUNDS = 5


class Ratio(NamedTuple):
    """How long something takes, in units of a yardstick.

    Args:
        ratio: the median over all rounds.
        low, high: quartiles.
        rounds: how many there were.
        yardstick: seconds of one call of the yardstick, the median.
    """

    ratio: float
    low: float
    high: float
    rounds: int
    yardstick: float


def seconds(function: Callable[[], Any]) -> float:
    """Return how long one call takes."""
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


def in_turn(
    yardstick: Callable[[], Any],
    measured: Callable[[], Any],
    *,
    before: Callable[[], Any] = lambda: None,
    budget: float = 12.0,
) -> Ratio:
    """Return how long `measured` takes, in units of `yardstick`.

    Each call is set against the calls of the yardstick just before and after it: the machine's
    speed drifts. The number of rounds depends on the clock alone, never on what was found.

    Args:
        yardstick: what counts as 1; it returns when its work is done.
        measured: likewise.
        before: called before `measured`, outside of its time.
        budget: seconds to spend, after a first call of each that is left out.
    """
    for warm_up in (before, measured, yardstick):
        warm_up()
    end = time.perf_counter() + budget
    units, ratios = [seconds(yardstick)], []
    while len(ratios) < FEWEST_ROUNDS or time.perf_counter() < end:
        before()
        took = seconds(measured)
        units.append(seconds(yardstick))
        ratios.append(2 * took / (units[-2] + units[-1]))
    low, median, high = statistics.quantiles(ratios, n=4)
    return Ratio(median, low, high, len(ratios), statistics.median(units))
