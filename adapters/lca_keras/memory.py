"""How many examples at once: what one costs, and what there is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lca_keras.backends import BACKEND

if TYPE_CHECKING:
    from lca_core import Params
    from lca_keras.batches import Batch
    from lca_keras.oracle import KerasOracle

BUDGET = 64 * 2**20
"""Bytes of activations at once: larger chunks leave a CPU's caches and gain nothing."""

SAMPLES = (16, 32)
"""Examples that are tried."""

_SLACK = 2  # gradients of the activations live beside them


def kept_by_each(oracle: KerasOracle) -> float:
    """Return the bytes that every example's backward pass needs.

    Args:
        oracle: of any batch size.
    """
    (few, less), (many, more) = (_kept(oracle, oracle.source.first(n)) for n in SAMPLES)
    # The difference leaves out what is kept once, whatever the number of examples.
    return (more - less) / (many - few) if many > few else more / many


def fitting_batch_size(examples: int, each: float, budget: int | None) -> int:
    """Return how many examples to evaluate at once.

    Args:
        examples: how many there are.
        each: from `kept_by_each`.
        budget: bytes for activations; 64 MiB by default.
    """
    fitting = int((budget or BUDGET) / (_SLACK * max(each, 1.0)))
    return max(1, min(examples, fitting))


def _kept(oracle: KerasOracle, batch: Batch) -> tuple[int, int]:
    """Return the number of examples, and the bytes that their backward pass needs."""
    snapshot = oracle.leaves.capture()

    def loss(leaves: Params) -> Any:
        return BACKEND.ops.sum(oracle.losses(leaves, snapshot.buffers, batch))

    with BACKEND.untouched():
        return batch.examples, BACKEND.kept_bytes(loss, dict(snapshot.params))
