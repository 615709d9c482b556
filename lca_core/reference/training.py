"""A `TrainingSpec` as a loop in numpy, tracked."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import evolve, frozen

from lca_core.layout import Layout
from lca_core.partition import check_mode, expanded, shares
from lca_core.probes import Redrawn, drawn_once, told
from lca_core.redraws import Apart, Redraws
from lca_core.reference import optimizers
from lca_core.reference.network import forward
from lca_core.reference.networks import cross_entropy
from lca_core.reference.ops import allocator, begun, snapshot
from lca_core.reference.oracle import NetworkOracle
from lca_core.remaking import Remaking
from lca_core.resuming import reached
from lca_core.sampling import Sampling, yardsticks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from lca_core.adapters import Mode, OnStep
    from lca_core.allocate import Allocator
    from lca_core.datasets import Dataset, Split
    from lca_core.networks import NetworkSpec
    from lca_core.run import Run
    from lca_core.segment import Integrator
    from lca_core.training import TrainingSpec
    from lca_core.typing import Observer

Arrays = dict[str, np.ndarray]


def train(
    spec: TrainingSpec,
    dataset: Dataset,
    *,
    on_step: OnStep,
    mode: Mode = "eval",
    batch_size: int | None = None,
    by_class: bool = False,
    sampling: Sampling | None = None,
    integrator: Integrator | None = None,
    observers: Sequence[Observer] | None = None,
    **tracking: Any,
) -> Run:
    """Train the spec's network in float64, tracking the measures "train" and "val".

    Args:
        spec: network and optimizer.
        dataset: examples.
        on_step: called after every tracked step.
        mode: how the loss is measured, "eval" or "batch-stats"; the training is the same.
        batch_size: examples measured at once; see `NetworkOracle`.
        by_class: whether to make a measure of every class of the training data too.
        sampling: what stands in the place of all examples.
        integrator: see `track`.
        observers: see `track`.
        tracking: further arguments of `track` (`path`, `every`, ...).
    """
    network, both = spec.network, {"train": dataset.train, "val": dataset.val}
    data = yardsticks(both, dataset, spec, by_class=by_class, sampling=sampling)

    def oracle(split: Split) -> NetworkOracle:
        return NetworkOracle(network, split.inputs, split.labels, mode, batch_size)

    def redraws(probe: Redrawn) -> Redraws:
        pick = _Pick(oracle(probe.data), probe.data, oracle)
        return Redraws.of(probe, len(probe.data), pick, eps=pick.whole.eps)

    def make(data: Mapping[str, Any], _: Any = None) -> Allocator:
        splits, parts = expanded(drawn_once(data, _take, len), _take)
        check_mode(parts, mode)
        return allocator(
            {k: redraws(x) if isinstance(x, Redrawn) else oracle(x) for k, x in splits.items()},
            float64_layout(network),
            integrator=integrator,
            observers=observers,
            wholes=shares(parts, lambda part: len(splits[part])),
        )

    made = make(data)
    moves = iterates(spec, dataset.train)
    params, buffers = reached(moves, **tracking)
    measured = buffers if mode == "eval" else {}
    with begun(
        made,
        snapshot(params, measured),
        config=_config(mode, made.oracles, told(data, len)),
        remaking=Remaking(data, len, make),
        **tracking,
    ) as tracker:
        for params, _ in moves:
            tracker.step(params, measured)
            on_step(tracker)
    return tracker.run


def iterates(spec: TrainingSpec, split: Split) -> Iterator[tuple[Arrays, Arrays]]:
    """Yield parameters and buffers at first, then after every step; the buffers move in place.

    Args:
        spec: the set-up.
        split: all examples.
    """
    params, buffers = leaves_and_buffers(spec.network, spec.initial())
    yield params, buffers
    groups, rng = spec.groups, np.random.default_rng((spec.seed, 2))
    moments, n = optimizers.begin(groups, params), len(split)
    for step, (batch, factor) in enumerate(zip(spec.batches(n), spec.factors(n), strict=True)):
        held = {**params, **buffers}
        through = forward(spec.network, held, split.inputs[batch], mode="train", rng=rng)
        _, upstream = cross_entropy(through.output, split.labels[batch])
        _, gradient = through.backward(upstream / len(batch))
        params, moments = optimizers.step(
            groups, params, gradient, moments, step=step, factor=factor
        )
        buffers.update(through.moved)
        yield params, buffers


@frozen
class _Pick:
    """`lca_core.redraws.Pick` for a split.

    Args:
        whole: the loss over all of it.
        split: the examples.
        oracle: the loss over a split.
    """

    whole: NetworkOracle
    split: Split
    oracle: Callable[[Split], NetworkOracle]

    def __call__(self, places: np.ndarray) -> Apart:
        """Return the losses over these examples, one a row."""
        return Apart([self.oracle(_take(self.split, row, 0)) for row in places])


def _take(split: Split, places: np.ndarray, _: int) -> Split:
    return evolve(split, inputs=split.inputs[places], labels=split.labels[places])


def leaves_and_buffers(
    spec: NetworkSpec, weights: Mapping[str, np.ndarray]
) -> tuple[Arrays, Arrays]:
    """Return owned float64 arrays of the trained leaves and of the buffers, by canonical name."""
    own = {name: np.array(weights[name], np.float64) for name in spec.weights}
    return {k: own[k] for k in spec.layout.names}, {k: own[k] for k in spec.buffers}


def float64_layout(spec: NetworkSpec) -> Layout:
    """Return the spec's layout for leaves in float64."""
    return Layout(evolve(leaf, dtype="float64") for leaf in spec.layout.leaves)


def _config(mode: Mode, measured: Mapping[str, Any], probes: Mapping[str, Any]) -> dict[str, Any]:
    picks: dict[str, Any] = {k: getattr(one, "pick", None) for k, one in measured.items()}
    oracles = {k: picks[k].whole if picks[k] else one for k, one in measured.items()}
    return {
        "mode": mode,
        "data": {name: _described(oracle) for name, oracle in oracles.items()},
        "batch_size": {name: oracle.chunk for name, oracle in oracles.items()},
        **({"probes": dict(probes)} if probes else {}),
    }


def _described(oracle: NetworkOracle) -> dict[str, Any]:
    crc = zlib.crc32(oracle.labels.tobytes(), zlib.crc32(oracle.inputs.tobytes()))
    return {"examples": len(oracle.labels), "crc32": f"{crc:08x}"}
