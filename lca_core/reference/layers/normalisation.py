"""Batch norm and layer norm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lca_core.reference.layers.passes import Mode, Pass, Weights, rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from lca_core.networks import BatchNorm

    _Back = Callable[[np.ndarray], np.ndarray]


def batch_norm(layer: BatchNorm, weights: Weights, x: np.ndarray, mode: Mode) -> Pass:
    r"""Normalise every channel.

    .. math:: y = \gamma\, \frac{x - \mu}{\sqrt{\sigma^2 + \varepsilon}} + \beta

    In "eval" mode μ and σ² are the moving averages, and constants; otherwise the batch's own,
    through which the gradient goes too. In "train" mode the averages move towards them.

    Args:
        layer: its momentum and its ε.
        weights: gamma, beta, mean and variance, each (channels,); mean and variance are read in
            "eval" and "train" mode only.
        x: shape (n, ..., channels).
        mode: which statistics.
    """
    if mode == "eval":
        scale = 1.0 / np.sqrt(weights["variance"] + layer.epsilon)
        normed = (x - weights["mean"]) * scale
        return _affine(weights, normed, lambda upstream: upstream * scale)
    across = tuple(range(x.ndim - 1))
    normed, backward = _standardised(x, across, layer.epsilon)
    moved = {}
    if mode == "train":
        batch = {"mean": x.mean(axis=across), "variance": x.var(axis=across)}
        kept = layer.momentum
        moved = {name: kept * weights[name] + (1.0 - kept) * batch[name] for name in batch}
    return _affine(weights, normed, backward, moved)


def layer_norm(epsilon: float, weights: Weights, x: np.ndarray) -> Pass:
    """Normalise every example over its last axis, by the formula of `batch_norm`.

    Args:
        epsilon: ε.
        weights: gamma and beta, each (features,).
        x: shape (n, ..., features).
    """
    return _affine(weights, *_standardised(x, (x.ndim - 1,), epsilon))


def _standardised(x: np.ndarray, axes: tuple[int, ...], epsilon: float) -> tuple[np.ndarray, _Back]:
    """Return z = (x - μ) / √(σ² + ε), with μ and σ² over `axes`, and its way back."""
    centred = x - x.mean(axis=axes, keepdims=True)
    scale = 1.0 / np.sqrt((centred**2).mean(axis=axes, keepdims=True) + epsilon)
    z = centred * scale

    def backward(upstream: np.ndarray) -> np.ndarray:
        mean = upstream.mean(axis=axes, keepdims=True)
        along = (upstream * z).mean(axis=axes, keepdims=True)
        downstream: np.ndarray = scale * (upstream - mean - z * along)
        return downstream

    return z, backward


def _affine(weights: Weights, z: np.ndarray, backward: _Back, moved: Weights | None = None) -> Pass:
    """Return γ z + β."""

    def back(upstream: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        gradient = {"gamma": rows(upstream * z).sum(axis=0), "beta": rows(upstream).sum(axis=0)}
        return backward(upstream * weights["gamma"]), gradient

    return Pass(weights["gamma"] * z + weights["beta"], back, moved or {})
