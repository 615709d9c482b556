"""Looking changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lca_conformance.cases import drawn, end_of, hosted, made, native, squares, start_of, supported
from lca_conformance.suites.suite import Suite
from lca_core.datasets import Split
from lca_core.networks import Activation, BatchNorm, Dense, Dropout, NetworkSpec

if TYPE_CHECKING:
    from lca_core.adapters import Adapter, Mode, Problem

MODES = ["eval", "batch-stats"]
KINDS = {"plain": (False, None), "dropout": (False, 0.5), "norm": (True, None), "all": (True, 0.5)}
"""Name -> with batch norm, rate of dropout."""


def blobs(n: int = 31) -> Split:
    """Return a few examples of six features in three classes."""
    labels = np.random.default_rng(0).integers(3, size=n)
    return Split(drawn(1, (3, 6))[labels] + drawn(2, (n, 6)), labels)


def network(*, norm: bool = True, dropout: float | None = 0.5) -> NetworkSpec:
    """Return a network with everything that could leave a trace."""
    layers: list[Any] = [Dense(8)]
    layers += [BatchNorm()] if norm else []
    layers += [Activation("tanh")]
    layers += [Dropout(dropout)] if dropout else []
    return NetworkSpec("noisy", (6,), [*layers, Dense(3)])


def live(adapter: Adapter, spec: NetworkSpec, mode: Mode, split: Split | None = None) -> Problem:
    """Return a network of the adapter's, its moving averages under way, or skip."""
    weights = spec.initial(0)
    under_way = {k: drawn(i, weights[k].shape, 0.5, 1.5) for i, k in enumerate(spec.buffers)}
    built: Problem = supported(
        lambda: adapter.network(
            spec, weights | under_way, split or blobs(), mode=mode, batch_size=None
        )
    )
    return built


def loss_of(adapter: Adapter, problem: Problem) -> float:
    """Return the loss where the model stands."""
    at = problem.capture()
    return float(adapter.ops.to_numpy(problem.oracle(at.params, at.buffers).loss))


class Purity(Suite):
    """Looking leaves no trace: parameters, buffers, gradients, flags, random streams."""

    @pytest.mark.parametrize("mode", MODES)
    @pytest.mark.parametrize("kind", KINDS)
    def test_looking_leaves_no_trace(self, adapter: Adapter, kind: str, mode: Mode) -> None:
        """Every byte of the live model and of the random streams is as before, in both modes.

        The model is in training mode, without and with batch norm and dropout.
        """
        norm, dropout = KINDS[kind]
        problem = live(adapter, network(norm=norm, dropout=dropout), mode)
        at = problem.capture()
        moved = {
            k: adapter.ops.from_numpy(v + 0.5, at.params[k])
            for k, v in hosted(adapter, at.params).items()
        }
        before = dict(problem.traces())
        problem.oracle(at.params, at.buffers)
        problem.oracle(moved, at.buffers)
        after = dict(problem.traces())

        assert [name for name in before if before[name] != after.get(name)] == []
        assert list(after) == list(before)

    def test_a_plain_problem_is_left_alone_too(self, adapter: Adapter) -> None:
        """The same for a model of bare parameters."""
        problem = made(adapter, squares(), start_of())
        before = dict(problem.traces())
        problem.oracle(native(adapter, problem, end_of()), {})

        assert dict(problem.traces()) == before

    def test_traces_tell_of_a_move(self, adapter: Adapter) -> None:
        """`traces` are not empty, and differ once the model moved."""
        problem = made(adapter, squares(), start_of())
        before = dict(problem.traces())
        problem.assign(end_of())

        assert dict(problem.traces()) != before

    @pytest.mark.parametrize("mode", MODES)
    def test_dropout_is_off(self, adapter: Adapter, mode: Mode) -> None:
        """With the same weights, a network with dropout has the loss of one without."""
        with_dropout = live(adapter, network(norm=False), mode)
        without = live(adapter, network(norm=False, dropout=None), mode)

        assert loss_of(adapter, with_dropout) == pytest.approx(loss_of(adapter, without), rel=1e-6)

    def test_batch_norm_uses_its_moving_averages(self, adapter: Adapter) -> None:
        """In "eval" mode the loss is that of every example by itself."""
        split = blobs()
        whole = loss_of(adapter, live(adapter, network(dropout=None), "eval", split))
        singles = [
            loss_of(
                adapter,
                live(
                    adapter,
                    network(dropout=None),
                    "eval",
                    Split(split.inputs[i : i + 1], split.labels[i : i + 1]),
                ),
            )
            for i in range(0, 31, 6)
        ]
        some = Split(split.inputs[::6], split.labels[::6])
        together = loss_of(adapter, live(adapter, network(dropout=None), "eval", some))

        assert together == pytest.approx(np.mean(singles), rel=1e-5)
        assert whole > 0.0

    def test_batch_norm_uses_the_chunks_own_statistics(self, adapter: Adapter) -> None:
        """In "batch-stats" mode shifting and scaling what comes in changes nothing."""
        spec = NetworkSpec("normed", (6,), [BatchNorm(epsilon=1e-12), Dense(3)])
        split = blobs()
        shifted = Split(3.0 * split.inputs + 5.0, split.labels)
        plain, other = (live(adapter, spec, "batch-stats", part) for part in (split, shifted))

        assert loss_of(adapter, plain) == pytest.approx(loss_of(adapter, other), rel=1e-4)

    def test_moving_averages_are_buffers(self, adapter: Adapter) -> None:
        """In "eval" mode the snapshot has the averages as buffers, and the loss depends on them."""
        problem = live(adapter, network(dropout=None), "eval")
        at = problem.capture()
        assert at.buffers
        moved = {
            k: adapter.ops.from_numpy(np.asarray(adapter.ops.to_numpy(v)) + 0.5, v)
            for k, v in at.buffers.items()
        }
        here, there = (problem.oracle(at.params, b).loss for b in (at.buffers, moved))

        assert float(adapter.ops.to_numpy(here)) != float(adapter.ops.to_numpy(there))
