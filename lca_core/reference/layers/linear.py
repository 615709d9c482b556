"""Dense layers, tables and reshaping."""

from __future__ import annotations

import numpy as np

from lca_core.reference.layers.passes import Pass, Weights, rows


def dense(weights: Weights, x: np.ndarray) -> Pass:
    """Return y = x W + b on the last axis.

    Args:
        weights: kernel (in, out) and, if there is one, bias (out,).
        x: shape (n, ..., in).
    """
    kernel = weights["kernel"]

    def backward(upstream: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        gradient = {"kernel": rows(x).T @ rows(upstream), "bias": rows(upstream).sum(axis=0)}
        return upstream @ kernel.T, {name: gradient[name] for name in weights}

    return Pass(x @ kernel + weights.get("bias", 0.0), backward)


def embedding(weights: Weights, x: np.ndarray) -> Pass:
    """Return y = table[x]; the integers in x have no gradient.

    Args:
        weights: table (rows, features).
        x: shape (n, positions), whole numbers in any type.
    """
    table, places = weights["table"], x.astype(np.intp)

    def backward(upstream: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        gradient = np.zeros_like(table)
        np.add.at(gradient, places, upstream)
        return np.zeros(x.shape), {"table": gradient}

    return Pass(table[places], backward)


def flatten(x: np.ndarray) -> Pass:
    """Return every example as one vector, the last axis running fastest."""
    return Pass(x.reshape(len(x), -1), lambda upstream: (upstream.reshape(x.shape), {}))
