"""Layers that shift and scale to mean 0 and variance 1."""

from __future__ import annotations

from typing import ClassVar

from attrs import frozen

from lca_core.networks.layers.layer import Shape, Weight, require_of


@frozen
class BatchNorm:
    """Normalise every channel over batch and space: gamma, beta, and moving mean and variance.

    Variances are those of the batch as it is (divided by n, not by n - 1), also for the moving
    average: moving ← momentum·moving + (1 - momentum)·batch.
    """

    momentum: float = 0.9
    epsilon: float = 1e-3
    kind: ClassVar[str] = "bn"

    def __attrs_post_init__(self) -> None:
        require_of(self, "momentum", "from 0 to 1", 0.0 <= self.momentum <= 1.0)
        require_of(self, "epsilon", "above 0", self.epsilon > 0.0)

    def output(self, inputs: Shape) -> Shape:
        """Keep the shape."""
        return inputs

    def weights(self, inputs: Shape) -> tuple[Weight, ...]:
        """Return gamma, beta, and the buffers mean and variance."""
        shape = inputs[-1:]
        return (
            Weight("gamma", shape, "ones"),
            Weight("beta", shape, "zeros"),
            Weight("mean", shape, "zeros", trained=False),
            Weight("variance", shape, "ones", trained=False),
        )


@frozen
class LayerNorm:
    """Normalise every example over its last axis: gamma, beta."""

    epsilon: float = 1e-5
    kind: ClassVar[str] = "norm"

    def __attrs_post_init__(self) -> None:
        require_of(self, "epsilon", "above 0", self.epsilon > 0.0)

    def output(self, inputs: Shape) -> Shape:
        """Keep the shape."""
        return inputs

    def weights(self, inputs: Shape) -> tuple[Weight, ...]:
        """Return gamma and beta."""
        shape = inputs[-1:]
        return (Weight("gamma", shape, "ones"), Weight("beta", shape, "zeros"))
