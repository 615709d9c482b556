"""A `NetworkSpec` forwards and backwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from attrs import frozen

from lca_core.errors import LeafError, UnsupportedError
from lca_core.networks import (
    Activation,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GlobalAveragePool,
    LayerNorm,
    MaxPool,
    Residual,
)
from lca_core.reference import layers

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lca_core.networks import NetworkSpec, Placed, Weight


@frozen
class _Setting:
    """What all layers of one pass share."""

    weights: layers.Weights
    mode: layers.Mode
    rng: np.random.Generator

    def reads(self, weight: Weight) -> bool:
        return weight.trained or self.mode != "batch-stats"


def forward(
    spec: NetworkSpec,
    weights: layers.Weights,
    x: np.ndarray,
    *,
    mode: layers.Mode = "eval",
    rng: np.random.Generator | None = None,
) -> layers.Pass:
    """Send examples through a network.

    Args:
        spec: the network.
        weights: canonical name -> float64 array, buffers included ("batch-stats" reads none).
        x: shape (n, *spec.inputs), float64.
        mode: "train" for batch statistics, moving averages that move, and dropout; "eval" for
            moving averages; "batch-stats" for batch statistics alone.
        rng: for dropout; `default_rng(0)` by default.

    Returns:
        The logits, the way back (gradients by canonical name), and the buffers that moved.

    Raises:
        LeafError: weights are missing.
        UnsupportedError: there is a layer without a formula here.

    Example:
        >>> import numpy as np
        >>> from lca_core.networks import fc
        >>> from lca_core.reference import forward
        >>> spec = fc((2, 2, 1), classes=3, hidden=())
        >>> through = forward(spec, spec.initial(0), np.ones((5, 2, 2, 1)))
        >>> through.output.shape
        (5, 3)
        >>> x_gradient, gradient = through.backward(np.ones((5, 3)))
        >>> gradient["fc1.bias"]
        array([5., 5., 5.])
    """
    setting = _Setting(weights, mode, np.random.default_rng(0) if rng is None else rng)
    missing = [k for k, w in spec.weights.items() if setting.reads(w) and k not in weights]
    if missing:
        msg = f"The weights of '{spec.name}' lack {missing}; in mode '{mode}' they are needed."
        raise LeafError(msg)
    return _chain(spec.placed, x, setting)


def _chain(placed: Iterable[Placed], x: np.ndarray, setting: _Setting) -> layers.Pass:
    passes: list[layers.Pass] = []
    for one in placed:
        passes.append(_named(one, x, setting))
        x = passes[-1].output

    def backward(upstream: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        gradient: dict[str, np.ndarray] = {}
        for one in reversed(passes):
            upstream, own = one.backward(upstream)
            gradient |= own
        return upstream, gradient

    moved = {name: values for one in passes for name, values in one.moved.items()}
    return layers.Pass(x, backward, moved)


def _block(placed: Placed, x: np.ndarray, setting: _Setting) -> layers.Pass:
    """Return body(x) + shortcut(x)."""
    body, shortcut = (_chain(part, x, setting) for part in (placed.body, placed.shortcut))

    def backward(upstream: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        (left, of_body), (right, of_shortcut) = body.backward(upstream), shortcut.backward(upstream)
        return left + right, {**of_body, **of_shortcut}

    return layers.Pass(body.output + shortcut.output, backward, {**body.moved, **shortcut.moved})


def _named(placed: Placed, x: np.ndarray, setting: _Setting) -> layers.Pass:
    """Send x through a layer, and put its name before those of its arrays."""
    if isinstance(placed.layer, Residual):
        return _block(placed, x, setting)
    own = {w.name: setting.weights[name] for name, w in placed.weights if setting.reads(w)}
    through = _through(placed, own, x, setting)

    def backward(upstream: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        downstream, gradient = through.backward(upstream)
        return downstream, {f"{placed.name}.{name}": g for name, g in gradient.items()}

    moved = {f"{placed.name}.{name}": values for name, values in through.moved.items()}
    return layers.Pass(through.output, backward, moved)


def _through(  # noqa: C901, PLR0911 - one line a layer
    placed: Placed, weights: layers.Weights, x: np.ndarray, setting: _Setting
) -> layers.Pass:
    match placed.layer:
        case Dense():
            return layers.dense(weights, x)
        case Conv2D() as layer:
            return layers.convolution(layer, weights, x)
        case BatchNorm() as layer:
            return layers.batch_norm(layer, weights, x, setting.mode)
        case LayerNorm(epsilon):
            return layers.layer_norm(epsilon, weights, x)
        case Embedding():
            return layers.embedding(weights, x)
        case Activation(function):
            return layers.activation(function, x)
        case Dropout() as layer:
            return layers.dropout(layer, x, setting.mode, setting.rng)
        case MaxPool(size):
            return layers.max_pool(size, x)
        case GlobalAveragePool():
            return layers.global_average(x)
        case Flatten():
            return layers.flatten(x)
    msg = f"The numpy reference has no formula for layer '{placed.name}', {placed.layer}."
    raise UnsupportedError(msg)
