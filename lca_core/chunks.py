"""Where a data set is cut, the same on every backend."""

from __future__ import annotations


def even_cuts(examples: int, size: int) -> list[int]:
    """Return the edges of the fewest slices of at most `size` examples, as even as can be.

    Args:
        examples: how many there are, from 1 up.
        size: the most that a slice may hold, from 1 up.

    Returns:
        Edges from 0 to `examples`; neighbouring slices differ by at most one example.

    Example:
        >>> from lca_core.chunks import even_cuts
        >>> even_cuts(10, 4)
        [0, 3, 6, 10]
    """
    parts = max(1, -(-examples // size))
    return [examples * i // parts for i in range(parts + 1)]
