"""The random streams that every backend shares."""

from __future__ import annotations

import random
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def untouched_host(seed: int = 0) -> Iterator[None]:
    """Run with fixed streams of Python and NumPy, and restore the caller's afterwards."""
    python, legacy = random.getstate(), np.random.get_state()
    try:
        random.seed(seed)
        np.random.seed(seed)
        yield
    finally:
        random.setstate(python)
        np.random.set_state(legacy)
