"""When the record is written: so seldom that nobody waits for it, so often that little is lost."""

from __future__ import annotations

import math
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import define, field

from lca_core.numbers import whole

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lca_core.header import Header

SHARE = 0.01
"""The most of the time that writing takes, where it is not said how often to write."""

_FIRST, _GUESS = 64, 0.1
"""The first write, which tells what a write takes, comes after so many segments, or as if one took
so many seconds."""

_WAITING, _RECORD = 2**28, 2**14
"""Bytes of the arrays that wait at most; of a segment beside its arrays."""

_TOGETHER, _LONGEST = 2**24, 1024
"""Bytes of all arrays, and segments, that a file keeps together at most."""


def _steps(chunk: Any) -> int | None:
    return None if chunk is None else whole("chunk", chunk, 1, what="a number of steps")


@define
class Pace:
    """Says after every closed segment whether it is time to write those that wait.

    Args:
        chunk: write at every so many segments. None: as soon as a write that takes as long as the
            last one took is 1 % of the time since then; a crash takes that much time with it.
        row: bytes of a segment's arrays.
    """

    chunk: int | None = field(default=None, converter=_steps)
    row: int = 0
    _written: bool = field(default=False, init=False)
    _took: float = field(default=_GUESS, init=False)
    _since: float = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._since = time.perf_counter()

    @classmethod
    def of(cls, chunk: int | None, header: Header) -> Pace:
        """Return a pace for the arrays of a run.

        Args:
            chunk: see the class.
            header: of the run.

        Raises:
            RuleError: `chunk` is below 1.
        """
        values = sum(
            math.prod(one.shape(header.layout)) * np.dtype(one.dtype).itemsize
            for one in header.declared
        )
        return cls(chunk, values * len(header.measures))

    @property
    def together(self) -> int:
        """Segments that a file keeps together: as many as are written, but what is well read."""
        return min(self.chunk or _LONGEST, max(1, _TOGETHER // max(self.row, 1)))

    @property
    def most(self) -> int:
        """Segments that wait at most."""
        return max(1, _WAITING // (self.row + _RECORD))

    def due(self, segments: int, waiting: int) -> bool:
        """Say whether it is time.

        Args:
            segments: closed so far.
            waiting: those that are not written.
        """
        if self.chunk is not None:
            return segments % self.chunk == 0
        if waiting >= (self.most if self._written else min(_FIRST, self.most)):
            return True
        return time.perf_counter() - self._since >= self._took / SHARE

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Time a write; one that fails counts too, so that it is not tried at every step."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self._since = time.perf_counter()
            self._took, self._written = self._since - began, True
