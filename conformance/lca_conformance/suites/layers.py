"""Every kind of layer, by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from lca_conformance.cases import drawn
from lca_conformance.suites.agreement import EXAMPLES, assert_same_look
from lca_conformance.suites.suite import Suite
from lca_core.datasets import Split
from lca_core.networks import (
    Activation,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GlobalAveragePool,
    Layer,
    LayerNorm,
    MaxPool,
    NetworkSpec,
    Residual,
)

if TYPE_CHECKING:
    from lca_core.adapters import Adapter, Mode

VECTOR, IMAGE, TEXT = (6,), (9, 8, 2), (5,)
WORDS = 11
TANH = Activation("tanh")
NETWORKS: dict[str, tuple[tuple[int, ...], list[Layer]]] = {
    "dense": (VECTOR, [Dense(4), Dense(5, bias=False)]),
    "relu": (VECTOR, [Dense(7), Activation("relu")]),
    "tanh": (VECTOR, [Dense(7), Activation("tanh")]),
    "sigmoid": (VECTOR, [Dense(7), Activation("sigmoid")]),
    "gelu": (VECTOR, [Dense(7), Activation("gelu")]),
    "dropout": (VECTOR, [Dense(7), TANH, Dropout(0.4)]),
    "flatten": (IMAGE, [Flatten(), Dense(5), TANH]),
    "convolution": (IMAGE, [Conv2D(3), TANH, Conv2D(4, 5, bias=False), TANH, Flatten()]),
    "convolution, stride 2": (IMAGE, [Conv2D(3, 3, 2), TANH, Conv2D(4, 2, 2), TANH, Flatten()]),
    "convolution, valid": (IMAGE, [Conv2D(3, 3, 2, "valid"), TANH, Flatten()]),
    "largest of a square": (IMAGE, [Conv2D(3), MaxPool(2), TANH, Flatten()]),
    "largest of a larger square": (IMAGE, [Conv2D(3), MaxPool(3), TANH, Flatten()]),
    "mean of a channel": (IMAGE, [Conv2D(3), TANH, GlobalAveragePool()]),
    "batch norm": (VECTOR, [Dense(5), BatchNorm(), TANH]),
    "batch norm of images": (IMAGE, [Conv2D(3), BatchNorm(epsilon=1e-2), TANH, Flatten()]),
    "layer norm": (VECTOR, [Dense(5), LayerNorm(), TANH]),
    "embedding": (TEXT, [Embedding(WORDS, 4), Dense(3), TANH, GlobalAveragePool()]),
    "residual": (VECTOR, [Residual([Dense(6), TANH])]),
    "residual, shortcut": (IMAGE, [Residual([Conv2D(3), TANH], [Conv2D(3, 1)]), Flatten()]),
}
"""One layer of interest each, in front of three logits."""


def network(name: str) -> NetworkSpec:
    """Return one of `NETWORKS`."""
    inputs, layers = NETWORKS[name]
    return NetworkSpec(name, inputs, [*layers, Dense(3)])


def split_for(spec: NetworkSpec) -> Split:
    """Return random examples: numbers, or words where they are embedded."""
    labels = np.random.default_rng(0).integers(3, size=EXAMPLES)
    shape = (EXAMPLES, *spec.inputs)
    if spec.inputs == TEXT:
        return Split(np.random.default_rng(1).integers(WORDS, size=shape), labels)
    return Split(drawn(1, shape), labels)


def weights_of(spec: NetworkSpec) -> dict[str, np.ndarray]:
    """Return weights none of which is special: biases that are not 0, scales that are not 1."""
    initial = spec.initial(0)
    return {k: w + drawn(i, w.shape, -0.3, 0.3) for i, (k, w) in enumerate(initial.items())}


class Layers(Suite):
    """Every kind of layer computes what the specification says."""

    @pytest.mark.parametrize("mode", ["eval", "batch-stats"])
    @pytest.mark.parametrize("name", NETWORKS)
    def test_a_layer_is_that_of_the_reference(
        self, pair: tuple[Adapter, Adapter], name: str, mode: Mode
    ) -> None:
        """Loss and gradient through the layer are those of the float64 reference, in both modes."""
        spec = network(name)
        assert_same_look(pair, spec, mode, weights_of(spec), split_for(spec))
