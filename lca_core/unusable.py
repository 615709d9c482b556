"""The error of a loss that fails on the data before any training: it says what was passed."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lca_core.errors import LCAError, LossError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def explained(
    where: str,
    called: str,
    tell: Callable[[], tuple[Mapping[str, str], str]],
    *,
    beside: tuple[type[Exception], ...] = (),
) -> Iterator[None]:
    """Say what was passed where a loss cannot be evaluated on a few examples.

    Args:
        where: whose loss it is.
        called: how the loss is called.
        tell: returns what was passed, name -> what it is (see `shaped`), and a remedy, a sentence.
        beside: errors of the framework that say nothing of the loss.

    Raises:
        LossError: the block raised an error that is none of LCA's own.

    Example:
        >>> from lca_core.unusable import explained
        >>> from lca_core.errors import LossError
        >>> tell = lambda: ({"x": "float32 (3, 2)"}, "Take y too.")
        >>> try:
        ...     with explained("'val'", "f(x, y)", tell):
        ...         raise TypeError("f() takes 1 argument")
        ... except LossError as error:
        ...     print(error)
        The loss of 'val' cannot be evaluated as f(x, y): TypeError: f() takes 1 argument. \
Passed: x = float32 (3, 2). Take y too.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, (LCAError, *beside)):
            raise
        said = f"{type(error).__name__}: {error}".rstrip(".: ")
        passed, remedy = tell()
        got = ", ".join(f"{name} = {what}" for name, what in passed.items())
        msg = (
            f"The loss of {where} cannot be evaluated as {called}: {said}. Passed: {got}. {remedy}"
        )
        raise LossError(msg) from error


def shaped(value: Any) -> str:
    """Return the types and shapes of the arrays in tuples, lists and dicts.

    Args:
        value: of any framework.

    Example:
        >>> import numpy as np
        >>> from lca_core.unusable import shaped
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
