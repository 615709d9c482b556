"""Convolution and pooling of images, channels last."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from lca_core.reference.layers.passes import Pass, Weights, rows

if TYPE_CHECKING:
    from lca_core.networks import Conv2D


def convolution(layer: Conv2D, weights: Weights, x: np.ndarray) -> Pass:
    r"""Cross-correlate.

    .. math:: y_{n,i,j,o} = b_o + \sum_{u,v,c} x_{n,\,si+u,\,sj+v,\,c}\, W_{u,v,c,o}

    Args:
        layer: its stride s and its padding, with which x begins and ends in zeros.
        weights: kernel (height, width, in, out) and, if there is one, bias (out,).
        x: shape (n, height, width, in).
    """
    size, stride = layer.size, layer.stride
    (top, _), (left, _) = pads = layer.pads(x.shape[1:])
    padded = np.pad(x, ((0, 0), *pads, (0, 0)))
    windows = sliding_window_view(padded, (size, size), (1, 2))[:, ::stride, ::stride]
    seen = windows.transpose(0, 1, 2, 4, 5, 3)  # (n, rows, columns, size, size, in)
    matrix = weights["kernel"].reshape(-1, layer.filters)
    patches = seen.reshape(-1, len(matrix))
    output = patches @ matrix + weights.get("bias", 0.0)
    tall, wide = ((length - 1) * stride + 1 for length in seen.shape[1:3])

    def backward(upstream: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        flat = rows(upstream)
        kernel = (patches.T @ flat).reshape(weights["kernel"].shape)
        gradient = {"kernel": kernel, "bias": flat.sum(axis=0)}
        downstream = np.zeros_like(padded)
        for u, v in np.ndindex(size, size):
            reached = downstream[:, u : u + tall : stride, v : v + wide : stride]
            reached += (flat @ weights["kernel"][u, v].T).reshape(reached.shape)
        inside = downstream[:, top : top + x.shape[1], left : left + x.shape[2]]
        return inside, {name: gradient[name] for name in weights}

    return Pass(output.reshape(*seen.shape[:3], layer.filters), backward)


def max_pool(size: int, x: np.ndarray) -> Pass:
    """Take the largest value of every square; the first one, row by row, gets the gradient.

    Args:
        size: side of the squares; rows and columns that fill none are left out.
        x: shape (n, height, width, channels).
    """
    n, height, width, channels = x.shape
    high, wide = height // size, width // size
    tiled = x[:, : high * size, : wide * size].reshape(n, high, size, wide, size, channels)
    squares = tiled.transpose(0, 1, 3, 5, 2, 4).reshape(n, high, wide, channels, size * size)
    first = squares.argmax(axis=-1, keepdims=True)
    output = np.take_along_axis(squares, first, axis=-1)[..., 0]

    def backward(upstream: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        spread = np.zeros_like(squares)
        np.put_along_axis(spread, first, upstream[..., np.newaxis], axis=-1)
        back = spread.reshape(n, high, wide, channels, size, size).transpose(0, 1, 4, 2, 5, 3)
        downstream = np.zeros_like(x)
        downstream[:, : high * size, : wide * size] = back.reshape(
            n, high * size, wide * size, channels
        )
        return downstream, {}

    return Pass(output, backward)


def global_average(x: np.ndarray) -> Pass:
    """Average over all axes between the examples and the channels."""
    between = tuple(range(1, x.ndim - 1))
    share = x[0, ..., 0].size

    def backward(upstream: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        return np.broadcast_to(np.expand_dims(upstream / share, between), x.shape), {}

    return Pass(x.mean(axis=between), backward)
