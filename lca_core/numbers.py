"""Numbers that a user passes, as Python's own: they go into run files, where NumPy's do not."""

from __future__ import annotations

import operator
from typing import Any

from lca_core.errors import RuleError


def whole(
    name: str, value: Any, least: int, below: int | None = None, what: str = "a whole number"
) -> int:
    """Return a whole number.

    Args:
        name: of the setting.
        value: as it was passed: Python's, NumPy's or a framework's.
        least: the smallest that is allowed.
        below: all allowed ones are below it.
        what: is expected.

    Raises:
        RuleError: it is none, or out of range.

    Example:
        >>> import numpy as np
        >>> from lca_core.numbers import whole
        >>> whole("n", np.int64(10), 2)
        10
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if number < least or (below is not None and number >= below):
        limit = "" if below is None else f" and below {below}"
        msg = (
            f"{name} must be {what} from {least} up{limit}, got {value!r}. Pass one, as in "
            f"{name}={least}."
        )
        raise RuleError(msg)
    return number


def finite(name: str, value: Any) -> float:
    """Return a finite number from 0 up.

    Args:
        name: of the setting.
        value: as it was passed.

    Raises:
        RuleError: it is none.

    Example:
        >>> import numpy as np
        >>> from lca_core.numbers import finite
        >>> finite("rtol", np.float32(0.5))
        0.5
    """
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = -1.0
    if not 0.0 <= number < float("inf"):
        msg = f"{name} must be a finite number from 0 up, got {value!r}. Pass one, as in {name}=0."
        raise RuleError(msg)
    return number
