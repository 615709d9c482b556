"""Commands end in words on Ctrl-C, on a scheduler's SIGTERM, and where a terminal closes."""

from __future__ import annotations

import signal
import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Never

import click

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

_HEARD = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Those that are taken as Ctrl-C; Windows has no SIGHUP."""


class _Told(KeyboardInterrupt):
    """One of these signals, taken by everything as Ctrl-C is."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


@contextmanager
def stopping() -> Iterator[None]:
    """Let SIGTERM and SIGHUP stop what runs as Ctrl-C does; end as a shell does: 128 + signal.

    Raises:
        click.exceptions.Exit: it was stopped.
    """
    try:
        with ExitStack() as stack:
            for number in _HEARD:
                stack.enter_context(_heard(number))
            yield
    except KeyboardInterrupt as error:
        number = error.number if isinstance(error, _Told) else signal.SIGINT
        raise click.exceptions.Exit(128 + number) from error


@contextmanager
def _heard(number: signal.Signals) -> Iterator[None]:
    """Hear a signal, unless it is taken or ignored; Python lets the main thread alone do so."""
    free = signal.getsignal(number) == signal.SIG_DFL
    if not free or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(number, _tell)
    try:
        yield
    finally:
        signal.signal(number, signal.SIG_DFL)


def _tell(number: int, _frame: FrameType | None) -> Never:
    raise _Told(number)
