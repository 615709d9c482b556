"""Observers that would write one array, or one that the run file has for itself, are refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lca_core.errors import ObserverError
from lca_core.names import LAYOUT_AXES, RESERVED

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from lca_core.typing import Declared, Observer


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


def check_names(declared: Sequence[tuple[str, Sequence[Declared]]]) -> None:
    """Raise an `ObserverError` if an array or an axis cannot have its name in a run file.

    Args:
        declared: who declares, and what.
    """
    recorded = {one.name for _, arrays in declared for one in arrays}
    named: dict[str, tuple[str, tuple[str, ...]]] = {}
    for who, arrays in declared:
        for one in arrays:
            _check_free(f"The array '{one.name}' of {who}", one.name, RESERVED)
            for axis in one.dims:
                if axis not in LAYOUT_AXES or (one.labels and axis == one.dims[-1]):
                    what = f"The axis '{axis}' of the array '{one.name}' of {who}"
                    _check_free(what, axis, recorded.union(RESERVED))
            if one.labels:
                first, labels = named.setdefault(one.dims[-1], (who, one.labels))
                if labels != one.labels:
                    msg = (
                        f"The axis '{one.dims[-1]}' has the labels {list(labels)} in {first} and "
                        f"{list(one.labels)} in {who}, but a run holds one axis of a name. Give "
                        "them different names."
                    )
                    raise ObserverError(msg)


def _check_free(what: str, name: str, taken: Collection[str]) -> None:
    """Raise an `ObserverError` if a name is taken, or is none of a folder."""
    parts = name.split("/")
    if parts[0] in taken:
        msg = (
            f"{what} would have a name that the run file needs for something else. Give it "
            f"another name: none of {list(RESERVED)}, an axis none of an array either."
        )
        raise ObserverError(msg)
    if {"", ".", ".."} & set(parts):
        msg = f"{what} would have a name that no folder can have. Give it another name."
        raise ObserverError(msg)
