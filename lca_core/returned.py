"""What an observer returns is what it declared: anything else would be cut off, or overwrite."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lca_core.errors import ObserverError

if TYPE_CHECKING:
    from collections.abc import Mapping

Shape = tuple[int | None, ...]


def check_returned(
    who: str, declared: Mapping[str, tuple[int, ...]], returned: Mapping[str, Any]
) -> None:
    """Raise an `ObserverError` unless the arrays of a step are those that were declared.

    Shapes are known without waiting for the device, so that this costs some microseconds a look,
    and nothing in a compiled one.

    Args:
        who: what the message calls the observer.
        declared: array -> shape of one step's values.
        returned: array -> its values.
    """
    for name, expected in declared.items():
        if name not in returned:
            _refuse(who, f"declared the array '{name}' and returned {list(returned)} without it")
        values = returned[name]
        if getattr(values, "shape", None) != expected:  # the usual step asks no more
            shape = _shape(values)
            if not _may_be(shape, expected):
                what = f"an array '{name}' of shape {shape}, expected {expected}"
                _refuse(who, f"returned {what} as it declared")
    if len(returned) > len(declared):
        more = [name for name in returned if name not in declared]
        _refuse(who, f"returned {more} beside the arrays that it declared, {list(declared)}")


def _shape(values: Any) -> Shape:
    """Return the sizes of the axes; None for one that a compiler learns when it runs."""
    return tuple(values.shape) if hasattr(values, "shape") else np.shape(values)


def _may_be(shape: Shape, expected: Shape) -> bool:
    return len(shape) == len(expected) and all(
        size in (None, wanted) for size, wanted in zip(shape, expected, strict=True)
    )


def _refuse(who: str, what: str) -> None:
    msg = (
        f"{who} {what}. Let update() return each array that declare() names, in the shape that its "
        "dims, labels or sizes say."
    )
    raise ObserverError(msg)
