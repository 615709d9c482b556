"""A network as data: its layers with their names and shapes, and its initial weights."""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from attrs import field, frozen

from lca_core.layout import Layout, Leaf
from lca_core.networks.layers import Layer, Residual, Shape, Weight, in_order

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@frozen
class Placed:
    """A layer at its place in a network.

    Args:
        name: unique in the network ("block1.conv2"); numbered by kind.
        layer: the layer.
        inputs: shape of one input.
        body, shortcut: the layers inside a residual block.
    """

    name: str
    layer: Layer
    inputs: Shape
    body: tuple[Placed, ...] = ()
    shortcut: tuple[Placed, ...] = ()

    @property
    def output(self) -> Shape:
        """Shape of one output."""
        return self.layer.output(self.inputs)

    @property
    def weights(self) -> tuple[tuple[str, Weight], ...]:
        """Full names ("conv1.kernel") and arrays of this layer alone."""
        return tuple((f"{self.name}.{w.name}", w) for w in self.layer.weights(self.inputs))

    def everything(self) -> Iterator[Placed]:
        """Yield this layer and all inside it."""
        yield self
        for inner in (*self.body, *self.shortcut):
            yield from inner.everything()


def _shape(values: Iterable[int]) -> Shape:
    return tuple(int(value) for value in values)


@frozen
class NetworkSpec:
    """A network as data; every backend builds its own model of it.

    Args:
        name: what people call it.
        inputs: shape of one example, channels last.
        layers: in order; the last one's outputs are the logits of the classes.

    Raises:
        NetworkError: a layer cannot take what the one before it gives.

    Example:
        >>> from lca_core.networks import Activation, Dense, NetworkSpec
        >>> spec = NetworkSpec("tiny", (4,), [Dense(3), Activation("relu"), Dense(2)])
        >>> spec.layout.names
        ('fc1.kernel', 'fc1.bias', 'fc2.kernel', 'fc2.bias')
        >>> spec.parameters
        23
    """

    name: str
    inputs: Shape = field(converter=_shape)
    layers: tuple[Layer, ...] = field(converter=in_order)

    def __attrs_post_init__(self) -> None:
        _ = self.placed

    @cached_property
    def placed(self) -> tuple[Placed, ...]:
        """The layers with names and shapes, in order."""
        return _place(self.layers, self.inputs, "")

    @property
    def output(self) -> Shape:
        """Shape of one output."""
        return self.placed[-1].output if self.placed else self.inputs

    @cached_property
    def weights(self) -> dict[str, Weight]:
        """Every array of the network, buffers included, by its canonical name."""
        return dict(pair for top in self.placed for one in top.everything() for pair in one.weights)

    @cached_property
    def layout(self) -> Layout:
        """The trained leaves."""
        return Layout(
            Leaf(name, weight.shape, "float32", name.rpartition(".")[0], weight.unit_axis)
            for name, weight in self.weights.items()
            if weight.trained
        )

    @property
    def buffers(self) -> tuple[str, ...]:
        """Names of the arrays that layers move by themselves."""
        return tuple(name for name, weight in self.weights.items() if not weight.trained)

    @property
    def parameters(self) -> int:
        """Number of trained parameters."""
        return self.layout.parameters

    def initial(self, seed: int) -> dict[str, np.ndarray]:
        """Return the weights to start from, buffers included: name -> float32 array.

        Kernels are He-normal, drawn in the network's order from `default_rng(seed)`.
        """
        rng = np.random.default_rng(seed)
        return {name: _drawn(weight, rng) for name, weight in self.weights.items()}


def _place(layers: tuple[Layer, ...], shape: Shape, scope: str) -> tuple[Placed, ...]:
    counts: Counter[str] = Counter()
    placed = []
    for layer in layers:
        counts[layer.kind] += 1
        name = f"{scope}{layer.kind}{counts[layer.kind]}"
        inner: tuple[tuple[Placed, ...], tuple[Placed, ...]] = ((), ())
        if isinstance(layer, Residual):
            inner = (
                _place(layer.body, shape, f"{name}."),
                _place(layer.shortcut, shape, f"{name}.shortcut."),
            )
        placed.append(Placed(name, layer, shape, *inner))
        shape = placed[-1].output
    return tuple(placed)


def _drawn(weight: Weight, rng: np.random.Generator) -> np.ndarray:
    if weight.start in ("he", "normal"):
        return (weight.deviation * rng.standard_normal(weight.shape)).astype(np.float32)
    return np.full(weight.shape, float(weight.start == "ones"), np.float32)
