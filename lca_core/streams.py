"""The host's random streams: fixed for a while, then the caller's again."""

from __future__ import annotations

import ctypes
import random
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from numpy.random.mtrand import get_bit_generator

if TYPE_CHECKING:
    from collections.abc import Iterator

_TWISTER = 624 * ctypes.sizeof(ctypes.c_uint32) + ctypes.sizeof(ctypes.c_int)
"""Bytes of NumPy's Mersenne twister in memory: its words, and the place among them."""


@contextmanager
def untouched_host(seed: int = 0) -> Iterator[None]:
    """Run with fixed streams of Python and NumPy, and restore the caller's afterwards.

    Args:
        seed: of both.
    """
    with _python(seed), _numpy(seed):
        yield


class HostStreams:
    """The same around one function that is called at every step.

    NumPy reads its stream number by number, and sets it so, 35 µs each. Once a call did not draw
    from it, it is not seeded any more but compared, by its bytes in memory, which takes 1 µs. A
    function that begins to draw later is seen by that, too, and its stream restored but for what
    the bytes do not hold: that half of a pair of normal numbers waits.
    """

    def __init__(self) -> None:
        self._drawn = True

    @contextmanager
    def untouched(self) -> Iterator[None]:
        """Run with fixed streams where they are drawn from, and restore the caller's."""
        with _python(0):
            if self._drawn or not _is_twister():
                with _numpy(0):
                    before = _read()
                    yield
                    self._drawn = _read() != before
            else:
                before = _read()
                try:
                    yield
                finally:
                    if _read() != before:
                        ctypes.memmove(_address(), before, len(before))
                        self._drawn = True


@contextmanager
def _python(seed: int) -> Iterator[None]:
    state = random.getstate()
    try:
        random.seed(seed)
        yield
    finally:
        random.setstate(state)


@contextmanager
def _numpy(seed: int) -> Iterator[None]:
    state = np.random.get_state(legacy=False)
    try:
        if _is_twister():  # others cannot be seeded
            np.random.seed(seed)
        yield
    finally:
        np.random.set_state(state)


def _is_twister() -> bool:
    return isinstance(get_bit_generator(), np.random.MT19937)


def _address() -> int:
    address: int = get_bit_generator().ctypes.state_address
    return address


def _read() -> bytes:
    """Return the bytes of NumPy's stream, which hold all of its state but a waiting number."""
    return ctypes.string_at(_address(), _TWISTER) if _is_twister() else b""
