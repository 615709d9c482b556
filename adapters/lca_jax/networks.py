"""A `NetworkSpec` as pure functions over nested dicts, in the spec's own layouts."""

from __future__ import annotations

import zlib
from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import jax
import jax.numpy as jnp
from attrs import frozen
from jax import lax

from lca_core.adapters import Spelling
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
    from collections.abc import Callable, Iterable, Mapping

    import numpy as np

    from lca_core.networks import NetworkSpec, Placed

Tree: TypeAlias = "OrderedDict[str, Any]"
"""Nested dicts in the network's order: {"fc1": {"kernel": ..., "bias": ...}, ...}."""
Behaviour: TypeAlias = Literal["train", "eval", "batch-stats"]
"""What batch norm and dropout do: as in training; not at all; batch norm alone as in training."""

_ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "relu": jax.nn.relu,
    "tanh": jnp.tanh,
    "sigmoid": jax.nn.sigmoid,
    "gelu": partial(jax.nn.gelu, approximate=False),
}


def build(spec: NetworkSpec, weights: Mapping[str, np.ndarray]) -> tuple[Tree, Tree]:
    """Return the network's parameters and its state, on the default device.

    Args:
        spec: the network.
        weights: canonical name -> values, buffers included.
    """
    params, state = (
        nested({name: jnp.asarray(weights[name]) for name in names})
        for names in (spec.layout.names, spec.buffers)
    )
    return params, state


def spelling(spec: NetworkSpec) -> dict[str, Spelling]:
    """Return canonical name -> JAX's: the path in the nested dicts, and no transposition."""
    return {
        name: Spelling(name.replace(".", "/"), tuple(range(len(weight.shape))))
        for name, weight in spec.weights.items()
    }


def nested(values: Mapping[str, Any]) -> Tree:
    """Return values by canonical name ("block1.conv1.kernel") as nested dicts."""
    tree: Tree = OrderedDict()
    for name, value in values.items():
        *scopes, own = name.split(".")
        inside = tree
        for scope in scopes:
            inside = inside.setdefault(scope, OrderedDict())
        inside[own] = value
    return tree


@frozen
class Run:
    """One pass through a network.

    Args:
        behaviour: of batch norm and dropout.
        key: for dropout; None where there is none to apply.
    """

    behaviour: Behaviour
    key: Any = None

    def through(
        self, placed: Iterable[Placed], params: Any, state: Any, x: jax.Array
    ) -> tuple[jax.Array, Tree]:
        """Return the outputs of layers in a row, and their state behind them."""
        after: Tree = OrderedDict()
        for one in placed:
            own = one.name.rpartition(".")[2]
            x, moved = self.layer(one, params.get(own, {}), state.get(own, {}), x)
            if moved:
                after[own] = moved
        return x, after

    def layer(  # noqa: C901, PLR0911 - one line a layer
        self, placed: Placed, w: Any, state: Any, x: jax.Array
    ) -> tuple[jax.Array, Any]:
        """Return one layer's outputs, and its state behind them."""
        match placed.layer:
            case Dense():
                return _biased(x @ w["kernel"], w), state
            case Conv2D() as layer:
                return _biased(_convolved(layer, placed.inputs, x, w["kernel"]), w), state
            case BatchNorm() as layer:
                return self.batch_norm(layer, w, state, x)
            case LayerNorm(epsilon):
                mean, variance = _moments(x, (-1,))
                return _normalised(x, mean, variance, epsilon, w), state
            case Embedding():
                return w["table"][x], state
            case Activation(function):
                return _ACTIVATIONS[function](x), state
            case Dropout(rate):
                return self.dropout(placed.name, rate, x), state
            case MaxPool(size):
                window = (1, size, size, 1)
                return lax.reduce_window(x, -jnp.inf, lax.max, window, window, "valid"), state
            case GlobalAveragePool():
                return jnp.mean(x, range(1, x.ndim - 1)), state
            case Flatten():
                return x.reshape(len(x), -1), state
            case Residual():
                return self.residual(placed, w, state, x)
        msg = f"The JAX backend does not build {type(placed.layer).__name__} ('{placed.name}')."
        raise UnsupportedError(msg)

    def batch_norm(
        self, layer: BatchNorm, w: Any, state: Any, x: jax.Array
    ) -> tuple[jax.Array, Any]:
        """Normalise by the moving averages, or by the batch; in training the averages follow."""
        if self.behaviour == "eval":
            return _normalised(x, state["mean"], state["variance"], layer.epsilon, w), state
        mean, variance = _moments(x, tuple(range(x.ndim - 1)))
        normed = _normalised(x, mean, variance, layer.epsilon, w)
        if self.behaviour == "batch-stats":
            return normed, state
        keep, follow = layer.momentum, 1.0 - layer.momentum
        after = OrderedDict(
            mean=keep * state["mean"] + follow * mean.reshape(-1),
            variance=keep * state["variance"] + follow * variance.reshape(-1),
        )
        return normed, after

    def dropout(self, name: str, rate: float, x: jax.Array) -> jax.Array:
        """Drop inputs in training; every layer draws from a stream of its own."""
        if self.behaviour != "train" or rate == 0.0:
            return x
        key = jax.random.fold_in(self.key, zlib.crc32(name.encode()))
        kept = jax.random.bernoulli(key, 1.0 - rate, x.shape)
        return jnp.where(kept, x / (1.0 - rate), 0.0)

    def residual(self, placed: Placed, w: Any, state: Any, x: jax.Array) -> tuple[jax.Array, Any]:
        """Add the body's and the shortcut's outputs."""
        y, after = self.through(placed.body, w, state, x)
        inner, short = w.get("shortcut", {}), state.get("shortcut", {})
        shortcut, beside = self.through(placed.shortcut, inner, short, x)
        if beside:
            after["shortcut"] = beside
        return y + shortcut, after


def apply(
    spec: NetworkSpec,
    params: Any,
    state: Any,
    x: jax.Array,
    *,
    behaviour: Behaviour,
    key: Any = None,
) -> tuple[jax.Array, Tree]:
    """Return a network's logits, and its state behind them.

    Args:
        spec: the network.
        params: from `build`.
        state: likewise.
        x: inputs, shape (n, *spec.inputs).
        behaviour: of batch norm and dropout.
        key: for dropout in training.

    Raises:
        UnsupportedError: there is a layer that has no counterpart here.
    """
    return Run(behaviour, key).through(spec.placed, params, state, x)


def _biased(x: jax.Array, w: Any) -> jax.Array:
    return x + w["bias"] if "bias" in w else x


def _convolved(
    layer: Conv2D, inputs: tuple[int, ...], x: jax.Array, kernel: jax.Array
) -> jax.Array:
    stride, numbers = (layer.stride, layer.stride), ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(
        x, kernel, stride, layer.pads(inputs), dimension_numbers=numbers
    )


def _moments(x: jax.Array, axes: tuple[int, ...]) -> tuple[jax.Array, jax.Array]:
    return jnp.mean(x, axes, keepdims=True), jnp.var(x, axes, keepdims=True)


def _normalised(
    x: jax.Array, mean: jax.Array, variance: jax.Array, epsilon: float, w: Any
) -> jax.Array:
    gamma: jax.Array = w["gamma"] * lax.rsqrt(variance + epsilon)
    normed: jax.Array = (x - mean) * gamma + w["beta"]
    return normed
