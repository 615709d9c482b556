"""Observers that would write one array are refused: the last would silently replace the first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lca_core.errors import ObserverError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lca_core.typing import Observer


def called(observers: Sequence[Observer]) -> list[str]:
    """Return what messages call observers: their kind and place."""
    return [f"{type(one).__name__} (observers[{i}])" for i, one in enumerate(observers)]


def check_apart(writers: Iterable[tuple[str, Iterable[str]]]) -> None:
    """Raise an `ObserverError` if an array would be written twice.

    Args:
        writers: who writes, and the names of its arrays.
    """
    first: dict[str, str] = {}
    for who, names in writers:
        for name in names:
            if name in first:
                msg = (
                    f"The array '{name}' would be written by both {first[name]} and {who}, but a "
                    "run holds one of a name. Leave one out, or join them: of two Watch a and b "
                    "make Watch([*a.parameters, *b.parameters])."
                )
                raise ObserverError(msg)
            first[name] = who
