"""What is measured: networks with as much data as make a gradient pass of about half a second.

The article's four, a small transformer, and one that nothing was ever tuned to: a deep and narrow
tanh network on a table of columns, whose 26 small leaves are many beside its few parameters.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from attrs import frozen

from lca_core.networks import NETWORKS, Activation, Dense, NetworkSpec

if TYPE_CHECKING:
    from collections.abc import Callable

TRANSFORMER = "transformer"
TOKENS, LENGTH, WIDTH, HEADS, BLOCKS = 64, 32, 64, 4, 2
"""The transformer: words of its language and of a text, features, heads, blocks."""

TABLE = "table"
SHAPES = {
    TABLE: (120,),
    "fc": (28, 28, 1),
    "lenet": (28, 28, 1),
    "allcnn": (32, 32, 3),
    "resnet20": (32, 32, 3),
}
EXAMPLES = {
    "fc": 50_000, "lenet": 500, "allcnn": 32, "resnet20": 96, TRANSFORMER: 1_000, TABLE: 40_000
}  # fmt: skip


@frozen
class Work:
    """A network and its data.

    Args:
        network: one of `EXAMPLES`.
        examples: how many; by default as `EXAMPLES` says.
    """

    network: str
    examples: int = 0

    @property
    def size(self) -> int:
        """How many examples there are."""
        return self.examples or EXAMPLES[self.network]

    @property
    def spec(self) -> NetworkSpec:
        """The network; the transformer is none that a spec could say."""
        if self.network == TABLE:
            hidden = [Dense(128), Activation("tanh")] * 12
            return NetworkSpec(TABLE, SHAPES[TABLE], [*hidden, Dense(10)])
        return NETWORKS[self.network](SHAPES[self.network], 10)

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """Return inputs and labels; of texts, every word's label is the next word."""
        rng = np.random.default_rng(0)
        if self.network == TRANSFORMER:
            text = rng.integers(TOKENS, size=(self.size, LENGTH + 1)).astype(np.int32)
            return text[:, :-1], text[:, 1:]
        inputs = rng.standard_normal((self.size, *SHAPES[self.network]), np.float32)
        return inputs, rng.integers(10, size=self.size)


def transformer_weights() -> dict[str, np.ndarray]:
    """Return the transformer's initial weights: name -> array, kernels (inputs, outputs)."""
    shapes: dict[str, tuple[int, ...]] = {"words": (TOKENS, WIDTH), "places": (LENGTH, WIDTH)}
    for i in range(BLOCKS):
        shapes |= {
            f"{i}/norm1/gamma": (WIDTH,), f"{i}/norm1/beta": (WIDTH,),
            f"{i}/qkv/kernel": (WIDTH, 3 * WIDTH), f"{i}/qkv/bias": (3 * WIDTH,),
            f"{i}/out/kernel": (WIDTH, WIDTH), f"{i}/out/bias": (WIDTH,),
            f"{i}/norm2/gamma": (WIDTH,), f"{i}/norm2/beta": (WIDTH,),
            f"{i}/up/kernel": (WIDTH, 4 * WIDTH), f"{i}/up/bias": (4 * WIDTH,),
            f"{i}/down/kernel": (4 * WIDTH, WIDTH), f"{i}/down/bias": (WIDTH,),
        }  # fmt: skip
    shapes |= {"head/kernel": (WIDTH, TOKENS), "head/bias": (TOKENS,)}
    rng = np.random.default_rng(0)
    return {name: _drawn(name, shape, rng) for name, shape in shapes.items()}


def _drawn(name: str, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    if len(shape) == 1:
        return np.full(shape, float(name.endswith("gamma")), np.float32)
    return rng.standard_normal(shape, np.float32) / np.float32(math.sqrt(shape[0]))


@frozen
class Prepared:
    """A model, ready to be measured.

    Args:
        bare: one gradient pass over all examples, as a user of the framework would write it.
        move: moves the parameters a little, as an optimizer does.
        step: the tracked step behind that.
        parameters: how many there are.
        chunk: examples evaluated at once, by both.
    """

    bare: Callable[[], object]
    move: Callable[[], object]
    step: Callable[[], object]
    parameters: int
    chunk: int
