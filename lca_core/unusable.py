"""The error of a loss that fails on the data before any training: it says what was passed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lca_core.errors import LossError


def unusable(
    error: Exception, where: str, called: str, passed: Mapping[str, str], remedy: str
) -> LossError:
    """Return the error of a loss that cannot be evaluated, to be raised from the framework's own.

    Args:
        error: what the framework, or the user's own code, said.
        where: whose loss it is.
        called: how the loss is called.
        passed: name -> what it is; see `shaped`.
        remedy: a sentence.

    Example:
        >>> error = TypeError("f() takes 1 argument")
        >>> str(unusable(error, "'val'", "f(x, y)", {"x": "float32 (3, 2)"}, "Let f take y too."))
        "The loss of 'val' cannot be evaluated as f(x, y): TypeError: f() takes 1 argument. \
Passed: x = float32 (3, 2). Let f take y too."
    """
    said = f"{type(error).__name__}: {error}".rstrip(".: ")
    got = ", ".join(f"{name} = {what}" for name, what in passed.items())
    return LossError(
        f"The loss of {where} cannot be evaluated as {called}: {said}. Passed: {got}. {remedy}"
    )


def shaped(value: Any) -> str:
    """Return the types and shapes of the arrays in tuples, lists and dicts.

    Args:
        value: of any framework.

    Example:
        >>> import numpy as np
        >>> shaped((np.zeros((2, 3)), {"y": np.zeros(2, "uint8")}))
        "(float64 (2, 3), {'y': uint8 (2,)})"
    """
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        dtype = getattr(value.dtype, "name", str(value.dtype)).removeprefix("torch.")
        return f"{dtype} {tuple(value.shape)}"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key!r}: {shaped(part)}" for key, part in value.items()) + "}"
    if isinstance(value, (tuple, list)):
        return "(" + ", ".join(map(shaped, value)) + ")"
    return type(value).__name__
