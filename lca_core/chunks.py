"""Where a data set is cut, the same on every backend."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any

from lca_core.errors import RuleError


def check_chunking(batch_size: Any, memory: Any) -> None:
    """Raise a `RuleError` unless chunks have an example at least; None is the default of both.

    Args:
        batch_size: examples evaluated at once.
        memory: bytes for the activations of one evaluation.
    """
    if batch_size is not None and (not isinstance(batch_size, Integral) or batch_size < 1):
        msg = (
            f"batch_size must be a number of examples from 1 up, got {batch_size!r}. "
            "Leave it out for as many as fit into memory."
        )
        raise RuleError(msg)
    if memory is not None and (not isinstance(memory, Real) or not 1 <= float(memory) < math.inf):
        msg = (
            f"memory must be a number of bytes from 1 up, got {memory!r}. "
            "Leave it out for the usual share of what there is."
        )
        raise RuleError(msg)


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
