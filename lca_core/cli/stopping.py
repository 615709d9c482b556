"""Commands end in words on Ctrl-C, and where a scheduler sends SIGTERM."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Never

import click

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType


class _Terminated(KeyboardInterrupt):
    """SIGTERM, taken by everything as Ctrl-C is."""


@contextmanager
def stopping() -> Iterator[None]:
    """Let SIGTERM stop what runs as Ctrl-C does; end with what a shell calls it: 128 + signal.

    Raises:
        click.exceptions.Exit: it was stopped.
    """
    try:
        with _heard():
            yield
    except KeyboardInterrupt as error:
        number = signal.SIGTERM if isinstance(error, _Terminated) else signal.SIGINT
        raise click.exceptions.Exit(128 + number) from error


@contextmanager
def _heard() -> Iterator[None]:
    """Hear SIGTERM, unless somebody else does; Python lets the main thread alone ask for it."""
    free = signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    if not free or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _terminate(_number: int, _frame: FrameType | None) -> Never:
    raise _Terminated
