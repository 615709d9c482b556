"""Audits: on which steps the lot falls, and what these say of the others."""

from __future__ import annotations

import random
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from lca_core.draws import between_steps
from lca_core.uncertainty import of_neighbours, roots_of_sums

if TYPE_CHECKING:
    from collections.abc import Mapping

_SHORTEST = 4
"""Steps of the first blocks: with fewer, early forecasts of time would be too long."""


def falls_on(index: int, every: int) -> bool:
    """Return whether the lot falls on a step: on one of every block, the same whenever it is asked.

    Args:
        index: number of the step in the run, from 0.
        every: steps of the longest blocks.

    Example:
        >>> from lca_core.audits import falls_on
        >>> [step for step in range(40) if falls_on(step, every=16)]
        [3, 5, 9, 15, 20, 37]
    """
    return _drawn(*block(index, every)) == index


@lru_cache(maxsize=64)
def _drawn(start: int, length: int) -> int:
    """Return the step of a block on which the lot falls."""
    return start + random.Random(start).randrange(length)


def block(index: int, every: int) -> tuple[int, int]:
    """Return where the block of a step begins, and how many steps it has.

    It is half as long as all before it, from four steps up to `every`: what is wrong with single
    leaves is wrong at the start above all.

    Args:
        index: number of the step in the run, from 0.
        every: steps of the longest blocks.

    Example:
        >>> from lca_core.audits import block
        >>> block(7, every=16), block(100, every=16)
        ((4, 4), (88, 16))
    """
    start, length = 0, min(_SHORTEST, every)
    while start + length <= index and length < every:
        start += length
        length = min(max(start // 2, _SHORTEST), every)
    return start + (index - start) // length * length, length


def by_lot(entries: Mapping[str, Any]) -> float:
    """Return how many of the gradients of a step the lot alone has taken.

    Args:
        entries: what `LEDGER` declares, of one step of one measure.

    Example:
        >>> from lca_core.audits import by_lot
        >>> by_lot({"audited": True, "buffers": 0.0, "evaluations": 4.0})
        2.0
        >>> by_lot({"audited": True, "buffers": 0.1, "evaluations": 5.0})
        2.0
    """
    if not entries["audited"]:
        return 0.0
    ends = 1.0 + (float(entries["buffers"]) != 0.0)
    # Halving p panels takes as many gradients as they are, beside the p - 1 that were needed.
    return (float(entries["evaluations"]) - ends + 1.0) / 2.0


def judged(
    values: np.ndarray, lots: np.ndarray, others: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    r"""Return the sum over other steps, as the lot before each of them has it, and its 95 %.

    .. math:: \sum_b n_b\, e_b \pm t_\nu \sqrt{\sum_b n_b (n_b + 1)\, \tfrac12 (e_b - e_{b-1})^2}

    with e_b of the b-th lot and n_b the steps that it stands for; a lot and the one before it
    differ as much as a lot and the steps behind it.

    Args:
        values: of every step, shape (T, groups); only those of lots are looked at.
        lots: which steps these are, shape (T,), bool.
        others: which steps they stand for, shape (T,), bool.

    Returns:
        Sum and half-width, shape (groups,) each; NaN for fewer than two lots.

    Example:
        >>> import numpy as np
        >>> from lca_core.audits import judged
        >>> lots = np.array([True, True, False, False])
        >>> known, half = judged(np.array([[2.0], [1.0], [0.0], [0.0]]), lots, ~lots)
        >>> float(known[0]), round(float(half[0]), 2)
        (2.0, 22.01)

    Source: Cochran, Sampling Techniques (1977), sections 5A.12 and 8.11.
    """
    drawn, number = values[lots], int(lots.sum())
    if number < 2:
        unknown = np.full(values.shape[1:], np.nan if others.any() else 0.0)
        return unknown, unknown
    n = stands_for(lots, others)[:, None]
    return (n * drawn).sum(axis=0), of_lots(drawn, n)


def of_lots(drawn: np.ndarray, n: np.ndarray) -> np.ndarray:
    r"""Return the 95 % of what lots say of other steps, by how much neighbouring lots differ.

    .. math:: t_\nu \sqrt{\sum_b n_b (n_b + 1)\, \tfrac12 (e_b - e_{b-1})^2}

    Args:
        drawn: e_b of every lot, shape (lots, groups).
        n: the steps that it stands for, shape (lots, 1).
    """
    spread = between_steps(drawn, np.arange(len(drawn))) * np.sqrt(n * (n + 1.0))
    return np.asarray(of_neighbours(spread[1:])[-1] * roots_of_sums(spread)[-1])


def stands_for(lots: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return how many of the other steps every lot stands for: those up to the next one.

    Args:
        lots: which steps these are, shape (T,), bool.
        others: shape (T,), bool; those before the first lot are the first one's.

    Returns:
        Shape (lots,).
    """
    before = np.cumsum(lots) - 1
    return np.bincount(np.maximum(before[others], 0), minlength=int(lots.sum()))
