"""The host's random streams, Python's and NumPy's: fixed for a while, then the caller's again."""

from __future__ import annotations

import ctypes
import random
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from numpy.random.mtrand import get_bit_generator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_TWISTER = 624 * ctypes.sizeof(ctypes.c_uint32) + ctypes.sizeof(ctypes.c_int)
"""Bytes of NumPy's Mersenne twister in memory: its words, and the place among them."""


class HostStreams:
    """The streams around one function that is called at every step.

    NumPy reads its stream number by number, and sets it so, 35 µs each. Once a call did not draw
    from it, it is not seeded any more but compared, by its bytes in memory, which takes 1 µs. A
    function that begins to draw later is seen by that, too, and its stream restored but for what
    the bytes do not hold: that half of a pair of normal numbers waits.
    """

    def __init__(self) -> None:
        self._drawn = True

    def fixed(self) -> Callable[[], None]:
        """Fix the streams that are drawn from, and return what gives the caller's back.

        No context manager: one within another is felt.
        """
        python = random.getstate()
        random.seed(0)
        give_back = self._fixed_numpy() if self._drawn or not _is_twister() else self._compared()

        def both() -> None:
            random.setstate(python)
            give_back()

        return both

    def _fixed_numpy(self) -> Callable[[], None]:
        restore, seeded = _seeded_numpy(0), _read()

        def give_back() -> None:
            self._drawn = _read() != seeded
            restore()

        return give_back

    def _compared(self) -> Callable[[], None]:
        before = _read()

        def give_back() -> None:
            if _read() != before:
                ctypes.memmove(_address(), before, len(before))
                self._drawn = True

        return give_back


@contextmanager
def untouched_host(seed: int = 0) -> Iterator[None]:
    """Run with fixed streams of Python and NumPy, and restore the caller's afterwards.

    Args:
        seed: of both.
    """
    python, restore_numpy = random.getstate(), _seeded_numpy(seed)
    try:
        random.seed(seed)
        yield
    finally:
        random.setstate(python)
        restore_numpy()


def _seeded_numpy(seed: int) -> Callable[[], None]:
    """Seed NumPy's stream where it can be, and return what gives the caller's back."""
    state = np.random.get_state(legacy=False)
    if _is_twister():  # others cannot be seeded
        np.random.seed(seed)
    return lambda: np.random.set_state(state)


def _is_twister() -> bool:
    return isinstance(get_bit_generator(), np.random.MT19937)


def _address() -> int:
    address: int = get_bit_generator().ctypes.state_address
    return address


def _read() -> bytes:
    """Return the bytes of NumPy's stream, which hold all of its state but a waiting number."""
    return ctypes.string_at(_address(), _TWISTER) if _is_twister() else b""
