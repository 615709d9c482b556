"""A `NetworkSpec` as a PyTorch module; images stay channels-last, as the spec has them."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from lca_core.adapters import Spelling, as_spelled
from lca_core.errors import UnsupportedError
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

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import numpy as np

    from lca_core.networks import NetworkSpec, Placed

_NAMES = {
    "kernel": "weight",
    "table": "weight",
    "gamma": "weight",
    "beta": "bias",
    "mean": "running_mean",
    "variance": "running_var",
}
_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "gelu": nn.GELU,
}


def build(spec: NetworkSpec, weights: Mapping[str, np.ndarray]) -> nn.Module:
    """Return the network with these weights, in training mode.

    Args:
        spec: the network.
        weights: canonical name -> values, buffers included.

    Raises:
        UnsupportedError: there is a layer that has no counterpart here.
    """
    model = _chain(spec.placed)
    native = as_spelled(spelling(spec), weights)
    model.load_state_dict({name: torch.tensor(values) for name, values in native.items()})
    return model


def spelling(spec: NetworkSpec) -> dict[str, Spelling]:
    """Return canonical name -> PyTorch's: kernels are "weight", outputs before inputs."""
    found = {}
    for name, weight in spec.weights.items():
        layer, _, own = name.rpartition(".")
        axes = tuple(range(len(weight.shape)))
        if own == "kernel":
            axes = (axes[-1], axes[-2], *axes[:-2])
        found[name] = Spelling(f"{layer}.{_NAMES.get(own, own)}", axes)
    return found


class Convolution(nn.Conv2d):
    """`nn.Conv2d` with the spec's padding, on images whose channels come last."""

    def __init__(self, layer: Conv2D, inputs: tuple[int, ...]) -> None:
        super().__init__(inputs[-1], layer.filters, layer.size, layer.stride, bias=layer.bias)
        rows, columns = layer.pads(inputs)
        self.pads = [*columns, *rows]
        # Of strided 1 × 1 kernels in channels-last, PyTorch 2.13 gets the gradients wrong on some
        # processors, by reading beyond the end of the images.
        self.skips = layer.size == 1 and layer.stride > 1

    def forward(self, x: Tensor) -> Tensor:
        """Convolve; the permutations are views, but where channels last would go wrong."""
        images = F.pad(x.permute(0, 3, 1, 2), self.pads)
        if self.skips:
            images = images.contiguous()
        return super().forward(images).permute(0, 2, 3, 1)


class Normalisation(_BatchNorm):
    """Batch norm over the last axis; its moving variance is that of the batch as it is.

    PyTorch's own moves towards n / (n - 1) of it.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, layer: BatchNorm, features: int) -> None:
        super().__init__(features, eps=layer.epsilon, momentum=None)
        self.share = 1.0 - layer.momentum

    def forward(self, x: Tensor) -> Tensor:
        """Normalise; in training by the batch's own statistics, which the averages follow."""
        rows = x.reshape(-1, x.shape[-1])
        mean: Tensor | None = self.running_mean
        variance: Tensor | None = self.running_var
        if self.training:
            self._follow(rows.detach())
            mean = variance = None
        normed = F.batch_norm(
            rows, mean, variance, self.weight, self.bias, training=self.training, eps=self.eps
        )
        return normed.reshape(x.shape)

    @torch.no_grad()
    def _follow(self, rows: Tensor) -> None:
        variance, mean = torch.var_mean(rows, 0, correction=0)
        self.running_mean.lerp_(mean, self.share)
        self.running_var.lerp_(variance, self.share)


class Pool(nn.MaxPool2d):
    """`nn.MaxPool2d` on images whose channels come last."""

    def forward(self, x: Tensor) -> Tensor:
        """Take the largest of every square."""
        pooled: Tensor = super().forward(x.permute(0, 3, 1, 2))
        return pooled.permute(0, 2, 3, 1)


class Mean(nn.Module):
    """The mean over all axes between the examples and the channels."""

    def forward(self, x: Tensor) -> Tensor:
        """Average."""
        return x.mean(list(range(1, x.dim() - 1)))


class Block(nn.Sequential):
    """A body and a shortcut, added."""

    def __init__(self, placed: Placed) -> None:
        super().__init__(_modules(placed.body))
        self.shortcut = _chain(placed.shortcut)
        self._inside = [_own_name(inner) for inner in placed.body]

    def forward(self, x: Tensor) -> Tensor:
        """Return body(x) + shortcut(x)."""
        y = x
        for name in self._inside:
            y = self.get_submodule(name)(y)
        shortcut: Tensor = self.shortcut(x)
        return y + shortcut


def _chain(placed: Iterable[Placed]) -> nn.Sequential:
    return nn.Sequential(_modules(placed))


def _modules(placed: Iterable[Placed]) -> OrderedDict[str, nn.Module]:
    return OrderedDict((_own_name(one), _module(one)) for one in placed)


def _own_name(placed: Placed) -> str:
    return placed.name.rpartition(".")[2]


def _module(placed: Placed) -> nn.Module:  # noqa: C901, PLR0911 - one line a layer
    inputs = placed.inputs
    match placed.layer:
        case Dense(units, bias):
            return nn.Linear(inputs[-1], units, bias=bias)
        case Conv2D() as layer:
            return Convolution(layer, inputs)
        case BatchNorm() as layer:
            return Normalisation(layer, inputs[-1])
        case LayerNorm(epsilon):
            return nn.LayerNorm(inputs[-1], eps=epsilon)
        case Embedding(rows, features):
            return nn.Embedding(rows, features)
        case Activation(function):
            return _ACTIVATIONS[function]()
        case Dropout(rate):
            return nn.Dropout(rate)
        case MaxPool(size):
            return Pool(size)
        case GlobalAveragePool():
            return Mean()
        case Flatten():
            return nn.Flatten()
        case Residual():
            return Block(placed)
    msg = f"PyTorch is not told how to build layer '{placed.name}', {placed.layer}."
    raise UnsupportedError(msg)
