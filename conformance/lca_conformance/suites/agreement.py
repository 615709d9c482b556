"""One specification, one meaning."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lca_conformance.cases import hosted, supported
from lca_conformance.suites.suite import Suite
from lca_conformance.trained import allocations, few_digits, motion, trained
from lca_core.networks import (
    BatchNorm,
    Conv2D,
    Dense,
    GlobalAveragePool,
    MaxPool,
    NetworkSpec,
    fc,
    lenet,
    resnet,
)
from lca_core.optimizers import SGD
from lca_core.training import TrainingSpec

if TYPE_CHECKING:
    from lca_core.adapters import Adapter, Mode
    from lca_core.datasets import Split
    from lca_core.networks import Placed

IMAGE = (8, 8, 1)
RESNET = resnet(IMAGE, widths=(4, 8), blocks=1)
EXAMPLES, EPOCHS, STEPS = 16, 2, 4
NETWORKS: dict[str, tuple[NetworkSpec, Mode, int]] = {
    "fc": (fc(IMAGE), "eval", 3),
    "lenet": (lenet(IMAGE, dropout=False), "eval", 73),
    "resnet": (RESNET, "eval", 56),
    "resnet, batch statistics": (RESNET, "batch-stats", 34),
}
"""Networks, modes and seeds.

Where an activation lies within rounding of a kink (of ReLU, of the largest of a pool), the
gradient jumps by an example's share and rounding decides which way. With these seeds none of
the points that the trainings below look at is that near to one (tests/conformance).
"""


def training_of(spec: NetworkSpec, seed: int) -> TrainingSpec:
    """Return the short training of one of `NETWORKS`."""
    return TrainingSpec(
        network=spec, optimizer=SGD(0.02), batch_size=EXAMPLES // 2, epochs=EPOCHS, seed=seed
    )


def terms(placed: Placed) -> int:
    """Return how many numbers are added up for one output of a layer, or for its gradient."""
    match placed.layer:
        case Dense():
            return placed.inputs[-1]
        case Conv2D(size=size):
            return size * size * placed.inputs[-1] + math.prod(placed.output[:-1])
        case MaxPool(size=size):
            return size * size
        case GlobalAveragePool():
            return math.prod(placed.inputs[:-1])
        case BatchNorm():
            return EXAMPLES * math.prod(placed.inputs[:-1])
    return 1


def rounding(spec: NetworkSpec, eps: float) -> float:
    """Return the relative rounding error of a gradient: 4·eps·√(additions on its way).

    Forwards and backwards through all layers, then over the examples. Source: N. Higham and
    T. Mary, A new approach to probabilistic rounding error analysis, SIAM J. Sci. Comput., 2019.
    """
    chain = sum(terms(one) for top in spec.placed for one in top.everything())
    return 4.0 * eps * math.sqrt(2 * chain + EXAMPLES)


def by_layer(leaves: dict[str, np.ndarray]) -> dict[str, float]:
    """Return the largest entry of every layer."""
    largest: dict[str, float] = {}
    for name, leaf in leaves.items():
        layer = name.rpartition(".")[0]
        largest[layer] = max(largest.get(layer, 0.0), float(np.abs(leaf).max()))
    return largest


def assert_agree(
    one: dict[str, np.ndarray], other: dict[str, np.ndarray], allowed: float, what: str
) -> None:
    """Compare leaves; errors are relative to the largest entry of the layer."""
    scale = by_layer(one)
    for name, leaf in one.items():
        off = float(np.abs(leaf - other[name]).max()) / scale[name.rpartition(".")[0]]
        assert off <= allowed, f"{what} of '{name}' differ by {off:.2e}, allowed {allowed:.2e}"


def evaluated(
    adapter: Adapter, spec: NetworkSpec, mode: Mode, weights: dict[str, np.ndarray], split: Split
) -> tuple[float, dict[str, np.ndarray], float]:
    """Return loss, canonical gradient and epsilon at some weights, or skip."""
    problem = supported(
        lambda: adapter.network(spec, weights, split, mode=mode, batch_size=EXAMPLES)
    )
    at = problem.capture()
    found = problem.oracle(at.params, at.buffers)
    gradient, spelled = hosted(adapter, found.gradient), adapter.spelling(spec)
    named = {
        k: spelled[k].canonical(gradient[spelled[k].name]).astype(np.float64)
        for k in spec.layout.names
    }
    return float(adapter.ops.to_numpy(found.loss)), named, problem.oracle.eps


def assert_same_look(
    pair: tuple[Adapter, Adapter],
    spec: NetworkSpec,
    mode: Mode,
    weights: dict[str, np.ndarray],
    split: Split,
) -> None:
    """Compare loss and gradient at some weights."""
    (loss, gradient, eps), (second, other, second_eps) = (
        evaluated(adapter, spec, mode, weights, split) for adapter in pair
    )
    allowed = rounding(spec, max(eps, second_eps))
    assert loss == pytest.approx(second, rel=allowed)
    assert_agree(gradient, other, allowed, "gradients")


@pytest.mark.parametrize(("spec", "mode", "seed"), NETWORKS.values(), ids=NETWORKS)
class Agreement(Suite):
    """One network, weights and batches have one LCA: pairwise, and with the float64 reference.

    Tolerances come from the element types and the number of additions alone.
    """

    def test_losses_and_gradients_agree(
        self, pair: tuple[Adapter, Adapter], spec: NetworkSpec, mode: Mode, seed: int
    ) -> None:
        """At the initial weights, loss and gradient are the same."""
        assert_same_look(pair, spec, mode, spec.initial(seed), few_digits(EXAMPLES).train)

    def test_trajectories_and_allocations_agree(
        self, pair: tuple[Adapter, Adapter], spec: NetworkSpec, mode: Mode, seed: int
    ) -> None:
        """Trained alike, parameters go the same way and get the same allocations."""
        training = training_of(spec, seed)
        runs = [trained(a, training, mode=mode, examples=EXAMPLES) for a in pair]
        eps = max(max(run.config["eps"].values()) for run in runs)
        allowed = STEPS * rounding(spec, eps)
        for measure in ("train", "val"):
            first, second = (run.loss(measure) for run in runs)
            np.testing.assert_allclose(first, second, rtol=allowed)
        one, other = (motion(a, training, run) for a, run in zip(pair, runs, strict=True))
        assert_agree(one, other, allowed, "trajectories")
        one, other = (
            allocations(a, training, run, "train") for a, run in zip(pair, runs, strict=True)
        )
        assert_agree(one, other, allowed, "allocations")
