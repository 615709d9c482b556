"""Settings as JSON values, to be written beside what was made with them and compared later."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from attrs import fields, has


def described(value: Any) -> Any:
    """Return a value, and those inside it, as JSON values that tell their kind.

    Args:
        value: JSON values, sequences, mappings, numpy arrays, frozen attrs values, objects that
            `describe` themselves, and objects whose attributes are such.

    Example:
        >>> from lca_core.described import described
        >>> from lca_core.optimizers import Override
        >>> described({"fc1": Override(momentum=0.5)})["fc1"]["kind"]
        'Override'
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(name): described(part) for name, part in value.items()}
    if isinstance(value, tuple | list):
        return [described(part) for part in value]
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if callable(getattr(value, "describe", None)):
        return described(value.describe())
    return _attributes(value)


def difference(name: str, expected: Any, got: Any) -> tuple[str, Any, Any]:
    """Return the innermost thing that differs between two descriptions, with its name.

    Args:
        name: of the whole.
        expected: JSON values.
        got: others.

    Example:
        >>> from lca_core.described import difference
        >>> difference("training", {"seed": 1, "data": {"n": 2}}, {"seed": 1, "data": {"n": 3}})
        ('training.data.n', 2, 3)
    """
    if isinstance(expected, dict) and isinstance(got, dict):
        for key in [*expected, *(set(got) - set(expected))]:
            if expected.get(key) != got.get(key):
                return difference(f"{name}.{key}", expected.get(key), got.get(key))
    return name, expected, got


def _attributes(value: Any) -> dict[str, Any] | str:
    """Return what an object holds; of a function or a class, its name."""
    if hasattr(value, "__qualname__"):
        return f"{value.__module__}:{value.__qualname__}"
    kind = type(value)
    parts = (
        {one.name: getattr(value, one.name) for one in fields(kind)}
        if has(kind)
        else getattr(value, "__dict__", {})
    )
    return {"kind": kind.__name__, **{name: described(part) for name, part in parts.items()}}
