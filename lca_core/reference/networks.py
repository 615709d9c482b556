"""Small networks in float64 with hand-written gradients."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
from attrs import frozen

from lca_core.layout import Layout, Leaf
from lca_core.reference.layers.pointwise import ACTIVATIONS
from lca_core.typing import Evaluation, Params

if TYPE_CHECKING:
    from collections.abc import Sequence

_EPS = float(np.finfo(np.float64).eps)


def _dense_layout(widths: Sequence[int]) -> Layout:
    leaves = []
    for i, (inputs, outputs) in enumerate(itertools.pairwise(widths), start=1):
        leaves.append(Leaf(f"fc{i}.weight", (outputs, inputs), "float64", f"fc{i}", 0))
        leaves.append(Leaf(f"fc{i}.bias", (outputs,), "float64", f"fc{i}", 0))
    return Layout(leaves)


def cross_entropy(logits: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return losses, shape (n,), and their gradients in the logits, shape (n, classes)."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_partition = np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    rows = np.arange(len(labels))
    gradient = np.exp(shifted - log_partition)
    losses = (log_partition[:, 0] - shifted[rows, labels]).astype(np.float64)
    gradient[rows, labels] -= 1.0
    return losses, gradient


@frozen
class Perceptron:
    r"""Mean cross-entropy of a multi-layer perceptron over a data set.

    .. math:: L = \frac1N \sum_n \ell(W_k\,\sigma(\dots\sigma(W_1 x_n + b_1)\dots) + b_k,\; y_n)

    Args:
        inputs: shape (n, features).
        labels: shape (n,), integer classes.
        widths: features, hidden widths, classes.
        activation: "relu", "tanh", "sigmoid" or "gelu".
    """

    inputs: np.ndarray
    labels: np.ndarray
    widths: tuple[int, ...]
    activation: str = "relu"
    eps: float = _EPS

    @property
    def layout(self) -> Layout:
        """Leaves fc1.weight (out, in), fc1.bias (out,), fc2.weight, ..."""
        return _dense_layout(self.widths)

    def __call__(self, params: Params, buffers: Params) -> Evaluation:
        """Return loss and gradient."""
        function, derivative = ACTIVATIONS[self.activation]
        depth = len(self.widths) - 1
        hidden, pre_activations = [np.asarray(self.inputs)], []
        for i in range(1, depth + 1):
            weight, bias = np.asarray(params[f"fc{i}.weight"]), np.asarray(params[f"fc{i}.bias"])
            pre_activations.append(hidden[-1] @ weight.T + bias)
            if i < depth:
                hidden.append(function(pre_activations[-1]))
        losses, upstream = cross_entropy(pre_activations[-1], self.labels)
        upstream = upstream / len(self.labels)
        gradient: dict[str, np.ndarray] = {}
        for i in range(depth, 0, -1):
            gradient[f"fc{i}.weight"] = upstream.T @ hidden[i - 1]
            gradient[f"fc{i}.bias"] = upstream.sum(axis=0)
            if i > 1:
                back = upstream @ np.asarray(params[f"fc{i}.weight"])
                upstream = back * derivative(pre_activations[i - 2])
        return Evaluation(np.asarray(losses.mean()), {k: gradient[k] for k in self.layout.names})

    def initial(self, seed: int) -> dict[str, np.ndarray]:
        """Return He-normal weights and zero biases."""
        rng = np.random.default_rng(seed)
        params = {}
        for leaf in self.layout.leaves:
            weight = leaf.name.endswith("weight")
            scale = np.sqrt(2.0 / leaf.shape[1]) if weight else 0.0
            params[leaf.name] = scale * rng.standard_normal(leaf.shape)
        return params


def logistic(inputs: np.ndarray, labels: np.ndarray, classes: int) -> Perceptron:
    """Return logistic regression: a perceptron without a hidden layer."""
    return Perceptron(inputs, labels, (inputs.shape[1], classes))


@frozen
class Linear:
    r"""Half the mean squared error of a linear map.

    .. math:: L = \frac1{2N} \sum_n \lVert W x_n + b - y_n \rVert^2

    Args:
        inputs: shape (n, features).
        targets: shape (n, outputs).
    """

    inputs: np.ndarray
    targets: np.ndarray
    eps: float = _EPS

    @property
    def layout(self) -> Layout:
        """Leaves fc1.weight (outputs, features) and fc1.bias (outputs,)."""
        return _dense_layout((self.inputs.shape[1], self.targets.shape[1]))

    def __call__(self, params: Params, buffers: Params) -> Evaluation:
        """Return loss and gradient."""
        weight, bias = np.asarray(params["fc1.weight"]), np.asarray(params["fc1.bias"])
        residual = self.inputs @ weight.T + bias - self.targets
        n = len(self.inputs)
        gradient = {"fc1.weight": residual.T @ self.inputs / n, "fc1.bias": residual.sum(0) / n}
        return Evaluation(np.asarray((residual**2).sum() / (2 * n)), gradient)
