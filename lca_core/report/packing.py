"""How data and program travel inside of the page: arrays as bytes, everything compressed."""

from __future__ import annotations

import base64
import gzip
import json
import math
from typing import Any

import numpy as np

_KINDS = {"float32": "f4", "float64": "f8", "int32": "i4"}
"""What the page can read, and what it calls it."""


def packed(values: Any) -> str:
    """Return values as compressed JSON in letters that no HTML parser looks at twice.

    Args:
        values: dicts, lists, text, numbers, and arrays of float32, float64 or int32, which become
            `{"dtype": ..., "shape": ..., "data": base64}`; numbers that are not finite are null.

    Example:
        >>> from lca_core.report.packing import packed
        >>> "<" in packed({"name": "</script>"})
        False
    """
    return compressed(json.dumps(_plain(values), allow_nan=False, separators=(",", ":")))


def single(values: np.ndarray) -> np.ndarray:
    """Return numbers in float32, those beyond it as its largest: a run that diverges goes there.

    Args:
        values: float64, any shape; infinities and NaN stay.

    Example:
        >>> import numpy as np
        >>> from lca_core.report.packing import single
        >>> single(np.array([1e300, -2.0, np.inf])).tolist()
        [3.4028234663852886e+38, -2.0, inf]
    """
    most = float(np.finfo(np.float32).max)
    within = np.where(np.isfinite(values), np.clip(values, -most, most), values)
    return within.astype(np.float32)


def compressed(text: str) -> str:
    """Return text as base64 of its gzip, the same letters at any time and place."""
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def _plain(values: Any) -> Any:
    if isinstance(values, dict):
        return {key: _plain(value) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return [_plain(value) for value in values]
    if isinstance(values, np.ndarray):
        kind = _KINDS[values.dtype.name]
        data = base64.b64encode(values.astype(f"<{kind}").tobytes()).decode()
        return {"dtype": kind, "shape": list(values.shape), "data": data}
    if isinstance(values, float) and not math.isfinite(values):
        return None
    return values
