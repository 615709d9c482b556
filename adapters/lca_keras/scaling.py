"""Gradients of float16 models, scaled so that they neither vanish nor overflow on their way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras

from lca_keras.backends import BACKEND

if TYPE_CHECKING:
    from collections.abc import Callable

    from lca_core import Params
    from lca_keras.backends import Point

_FIRST, _STEP = 2.0**20, 2.0**-5


def scaled(function: Callable[[Params], Any], leaves: Params) -> Point:
    """Return a mean loss and its gradient, differentiated under the largest scale that fits.

    Scales are 2**20, 2**15, ... 1: the first whose gradient is finite. Powers of two are exact.

    Args:
        function: to a float64 scalar, about as large as the loss of an example.
        leaves: where to look, in float32 or wider.
    """
    names = list(leaves)

    def again(scale: Any, finite: Any, *_: Any) -> Any:
        return (scale >= 1.0) & ~finite

    def attempt(scale: Any, _finite: Any, *_point: Any) -> tuple[Any, ...]:
        def larger(at: Params) -> Any:
            value = function(at)
            return value * keras.ops.cast(scale, value.dtype)

        value, gradient = BACKEND.differentiate(larger, dict(leaves))
        finite = keras.ops.convert_to_tensor(True)
        for name in names:
            finite = finite & keras.ops.all(keras.ops.isfinite(gradient[name]))
        values = (value, *(gradient[name] for name in names))
        return scale * _STEP, finite, *(v / keras.ops.cast(scale, v.dtype) for v in values)

    zeros = [keras.ops.zeros_like(leaf) for leaf in leaves.values()]
    begin = (
        keras.ops.convert_to_tensor(_FIRST, "float32"),
        keras.ops.convert_to_tensor(False),
        keras.ops.zeros((), "float64"),
        *zeros,
    )
    _, _, value, *gradient = keras.ops.while_loop(again, attempt, begin)
    return value, dict(zip(names, gradient, strict=True))
