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

_SAMPLES = (16, 32)
_SLACK = 2  # gradients of the activations live beside them


def fitting_batch_size(oracle: KerasOracle, budget: int | None) -> int:
    """Return how many examples to evaluate at once.

    Args:
        oracle: of any batch size.
        budget: bytes for activations; 64 MiB by default.
    """
    (few, less), (many, more) = (_kept(oracle, oracle.source.first(n)) for n in _SAMPLES)
    # The difference leaves out what is kept once, whatever the number of examples.
    each = (more - less) / (many - few) if many > few else more / many
    fitting = int((budget or BUDGET) / (_SLACK * max(each, 1.0)))
    return max(1, min(oracle.source.examples, fitting))


def _kept(oracle: KerasOracle, batch: Batch) -> tuple[int, int]:
    """Return the number of examples, and the bytes that their backward pass needs."""
    snapshot = oracle.leaves.capture()

    def loss(leaves: Params) -> Any:
        return BACKEND.ops.sum(oracle.losses(leaves, snapshot.buffers, batch))

    with BACKEND.untouched():
        return batch.examples, BACKEND.kept_bytes(loss, dict(snapshot.params))
