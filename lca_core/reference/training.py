"""A `TrainingSpec` as a loop in numpy, tracked."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import evolve

from lca_core.layout import Layout
from lca_core.partition import check_mode, expanded, shares
from lca_core.probes import Redrawn, drawn_once, told
from lca_core.redraws import MeanOf, Redraws
from lca_core.reference import optimizers
from lca_core.reference.network import forward
from lca_core.reference.networks import cross_entropy
from lca_core.reference.ops import NumpyOps, track
from lca_core.reference.oracle import NetworkOracle
from lca_core.resuming import reached
from lca_core.sampling import Sampling, yardsticks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from lca_core.adapters import Mode, OnStep
    from lca_core.datasets import Dataset, Split
    from lca_core.networks import NetworkSpec
    from lca_core.run import Run
    from lca_core.training import TrainingSpec

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
        tracking: further arguments of `track` (`path`, `integrator`, ...).
    """
    network, both = spec.network, {"train": dataset.train, "val": dataset.val}
    data = yardsticks(both, dataset, spec, by_class=by_class, sampling=sampling)
    splits, parts = expanded(drawn_once(data, _take, len), _take)
    check_mode(parts, mode)

    def oracle(split: Split) -> NetworkOracle:
        return NetworkOracle(network, split.inputs, split.labels, mode, batch_size)

    whole = {name: oracle(_all(what)) for name, what in splits.items()}
    oracles = {
        name: _redraws(what, oracle) if isinstance(what, Redrawn) else whole[name]
        for name, what in splits.items()
    }
    moves = iterates(spec, dataset.train)
    params, buffers = reached(moves, **tracking)
    measured = buffers if mode == "eval" else {}
    with track(
        oracles,
        params,
        float64_layout(network),
        buffers=measured,
        config=_config(mode, whole, told(data, len)),
        wholes=shares(parts, lambda part: len(splits[part])),
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


def _all(what: Split | Redrawn) -> Split:
    whole: Split = what.data if isinstance(what, Redrawn) else what
    return whole


def _redraws(probe: Redrawn, oracle: Callable[[Split], NetworkOracle]) -> Redraws:
    """Return the loss over fresh examples at every step."""

    def pick(places: np.ndarray) -> MeanOf:
        return MeanOf([oracle(_take(probe.data, row, 0)) for row in places], NumpyOps())

    return Redraws.of(probe, len(probe.data), pick, eps=2.0**-52)


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


def _config(
    mode: Mode, oracles: Mapping[str, NetworkOracle], probes: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "mode": mode,
        "data": {name: _described(oracle) for name, oracle in oracles.items()},
        "batch_size": {name: oracle.chunk for name, oracle in oracles.items()},
        **({"probes": dict(probes)} if probes else {}),
    }


def _described(oracle: NetworkOracle) -> dict[str, Any]:
    crc = zlib.crc32(oracle.labels.tobytes(), zlib.crc32(oracle.inputs.tobytes()))
    return {"examples": len(oracle.labels), "crc32": f"{crc:08x}"}
