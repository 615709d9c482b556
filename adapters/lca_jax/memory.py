"""How many examples at once: what one costs, and what there is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
from attrs import field, frozen

from lca_jax.data import form

if TYPE_CHECKING:
    from lca_core.typing import Snapshot
    from lca_jax.data import Examples
    from lca_jax.losses import Objective

CPU_BUDGET = 64 * 2**20
"""Bytes of activations at once on a CPU: larger chunks leave the caches and gain nothing."""

_DEVICE_SHARE = 0.25
_SAMPLES = (16, 32)
_SLACK = 2  # gradients of the activations live beside them


@frozen(eq=False)
class Fitting:
    """How many examples to evaluate at once; traced once for all data of one form.

    Args:
        objective: the loss.
        point: where the parameters stand.
        budget: bytes for activations; by default 64 MiB on a CPU, a quarter of the free memory
            on an accelerator.
    """

    objective: Objective
    point: Snapshot
    budget: int | None
    _known: dict[Any, float] = field(factory=dict, init=False)

    def batch_size(self, examples: Examples) -> int:
        """Return how many of these."""
        budget = free(self.point) if self.budget is None else self.budget
        return max(1, min(examples.examples, int(budget / (_SLACK * self._each(examples)))))

    def _each(self, examples: Examples) -> float:
        """Return the bytes that one more example takes."""
        key = form(examples.parts[0], joined=True)
        if key not in self._known:
            at = self.objective, self.point, examples
            few, more = (saved_bytes(*at, n) for n in _SAMPLES)
            # The difference leaves out what is saved once, whatever the number of examples.
            self._known[key] = max(more - few, 1) / (_SAMPLES[1] - _SAMPLES[0])
        return self._known[key]


def saved_bytes(objective: Objective, point: Snapshot, examples: Examples, n: int) -> int:
    """Return the bytes that a forward pass of `n` examples keeps for its backward pass."""

    def example(array: Any) -> jax.ShapeDtypeStruct:
        dtype = jax.dtypes.canonicalize_dtype(array.dtype)
        return jax.ShapeDtypeStruct((n, *array.shape[1:]), dtype)  # type: ignore[no-untyped-call]

    def backward(params: Any, batch: Any) -> Any:
        return jax.vjp(lambda leaves: objective(leaves, point.buffers, batch)[0], params)[1]

    with jax.enable_x64(objective.x64):
        batch = jax.tree.map(example, examples.parts[0])
        kept = jax.tree.leaves(jax.eval_shape(backward, dict(point.params), batch))
    return sum(array.size * array.dtype.itemsize for array in kept)


def free(point: Snapshot) -> int:
    """Return the bytes that activations may take where the parameters are."""
    leaf: Any = next(iter(point.params.values()))
    device = next(iter(leaf.devices()))
    stats = device.memory_stats() if device.platform != "cpu" else None
    if not stats:
        return CPU_BUDGET
    return int(_DEVICE_SHARE * (stats["bytes_limit"] - stats["bytes_in_use"]))
