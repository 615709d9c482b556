"""Numbers as values that JSON knows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from lca_core.analyses import Mean


def plain(value: Any) -> Any:
    """Return numbers, arrays, means and what holds them as JSON values; None where not finite.

    Example:
        >>> import numpy as np
        >>> from lca_core.experiments.values import plain
        >>> plain({"a": np.array([1.0, np.nan]), "b": (2, "c")})
        {'a': [1.0, None], 'b': [2, 'c']}
    """
    if isinstance(value, Mean):
        return plain(value.as_json())
    if isinstance(value, Mapping):
        return {str(name): plain(part) for name, part in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
