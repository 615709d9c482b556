"""The host's random streams, Python's and NumPy's: fixed for a while, then the caller's again."""

from __future__ import annotations

import _random
import ctypes
import random
import struct
import sys
from abc import ABC, abstractmethod
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.random.mtrand import get_bit_generator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_WORDS = 624
_TWISTER = _WORDS * ctypes.sizeof(ctypes.c_uint32) + ctypes.sizeof(ctypes.c_int)
"""Bytes of a Mersenne twister in memory: its words, and the place among them."""

# A view, since `ctypes.string_at` and `memmove` are foreign calls: 20 µs where caches are cold.
_View = ctypes.c_char * _TWISTER


class _Stream(ABC):
    """A stream that can be seeded and given back, and mostly be looked at where it lies."""

    @abstractmethod
    def seeded(self, seed: int) -> Callable[[], None]:
        """Seed it where it can be, and return what gives the caller's back."""

    @abstractmethod
    def address(self) -> int:
        """Return where its twister lies in memory; 0 where nobody knows."""

    def read(self) -> bytes:
        """Return the bytes of its twister; none where nobody knows where it lies."""
        address = self.address()
        return _View.from_address(address).raw if address else b""

    def write(self, twister: bytes) -> None:
        """Let it be as it was when this was read."""
        _View.from_address(self.address()).raw = twister


class _NumPy(_Stream):
    """NumPy's: it reads its stream number by number, and sets it so, 35 µs each."""

    def seeded(self, seed: int) -> Callable[[], None]:
        state = np.random.get_state(legacy=False)
        if self.address():  # others cannot be seeded
            np.random.seed(seed)
        return lambda: np.random.set_state(state)

    def address(self) -> int:
        generator = get_bit_generator()
        if not isinstance(generator, np.random.MT19937):
            return 0
        address: int = generator.ctypes.state_address
        return address


class _Python(_Stream):
    """Python's, which makes a tuple of 625 numbers of its stream, 12 µs in all."""

    def seeded(self, seed: int) -> Callable[[], None]:
        state = random.getstate()
        random.seed(seed)
        return lambda: random.setstate(state)

    def address(self) -> int:
        return self._behind_its_header

    @cached_property
    def _behind_its_header(self) -> int:
        """Where its words should lie, if they are there: CPython says so nowhere."""
        functions: Any = random.random
        own = functions.__self__
        begin, size = object.__basicsize__, _random.Random.__basicsize__
        if sys.implementation.name != "cpython" or size - begin < _TWISTER:
            return 0
        *words, place = random.getstate()[1]
        there = _View.from_address(id(own) + begin).raw
        return id(own) + begin if there == struct.pack(f"i{_WORDS}I", place, *words) else 0


_STREAMS = (_Python(), _NumPy())


class _Watched:
    """A stream around one function that is called at every step.

    Once a call did not draw from it, it is not seeded any more but compared, by its bytes in
    memory, which takes 1 µs. A function that begins to draw later is seen by that, too, and its
    stream restored but for what the bytes do not hold: that half of a pair of normal numbers waits.
    """

    def __init__(self, stream: _Stream) -> None:
        self._stream = stream
        self._drawn = True

    def fixed(self) -> Callable[[], None]:
        """Fix the stream if it is drawn from, and return what gives the caller's back."""
        before = self._stream.read()
        return self._compared(before) if before and not self._drawn else self._seeded()

    def _seeded(self) -> Callable[[], None]:
        restore, seeded = self._stream.seeded(0), self._stream.read()

        def give_back() -> None:
            self._drawn = not seeded or self._stream.read() != seeded
            restore()

        return give_back

    def _compared(self, before: bytes) -> Callable[[], None]:
        def give_back() -> None:
            if self._stream.read() != before:
                self._stream.write(before)
                self._drawn = True

        return give_back


class HostStreams:
    """Both streams around one function that is called at every step."""

    def __init__(self) -> None:
        self._watched = [_Watched(stream) for stream in _STREAMS]

    def fixed(self) -> Callable[[], None]:
        """Fix the streams that are drawn from, and return what gives the caller's back.

        No context manager: one within another is felt.
        """
        give_back = [one.fixed() for one in self._watched]

        def all_of_them() -> None:
            for one in give_back:
                one()

        return all_of_them


@contextmanager
def untouched_host(seed: int = 0) -> Iterator[None]:
    """Run with fixed streams of Python and NumPy, and restore the caller's afterwards.

    Args:
        seed: of both.
    """
    restore = [stream.seeded(seed) for stream in _STREAMS]
    try:
        yield
    finally:
        for one in restore:
            one()
