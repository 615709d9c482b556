"""Which examples of a partition are looked at together, so that every part counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence


def mixed(sizes: Sequence[int], most: int) -> tuple[list[int], int]:
    """Return which parts to take examples of, and how many of each.

    A part of few examples gives them again and again: it must count beside the others. Of more
    parts than there is room for two examples of, some all over them are taken.

    Args:
        sizes: examples of every part, from 1 up.
        most: examples to take together, from 2 up.

    Example:
        >>> from lca_core.mixing import mixed
        >>> mixed([500, 3, 80], most=12)
        ([0, 1, 2], 4)
        >>> mixed([2, 2], most=12)
        ([0, 1], 2)
        >>> mixed([9, 9, 9, 9, 9], most=6)
        ([0, 2, 4], 2)
    """
    parts = min(len(sizes), most // 2)
    chosen = np.linspace(0, len(sizes) - 1, parts).astype(int).tolist()
    return chosen, min(most // parts, max(sizes[part] for part in chosen))


def spread(examples: int, size: int) -> np.ndarray:
    """Return places all over so many examples; again and again where there are fewer.

    Args:
        examples: how many there are.
        size: how many places.

    Example:
        >>> from lca_core.mixing import spread
        >>> spread(100, 4).tolist(), spread(2, 4).tolist()
        ([0, 25, 50, 75], [0, 0, 1, 1])
    """
    return np.arange(size) * examples // size
