"""Looks at a loss on a few examples: whether it is the mean of the losses of its parts."""

from __future__ import annotations

import math
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from attrs import frozen

from lca_core import Snapshot
from lca_core.errors import LossError
from lca_core.mixing import mixed
from lca_keras.backends import BACKEND
from lca_keras.data import spread

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lca_core import Params
    from lca_keras.batches import Batch
    from lca_keras.data import Source

_SEEN, _SEEN_ALONE = 256, 32


@frozen(eq=False)
class Checks:
    """A loss at hand for comparisons, one place and one beside for all its measures.

    Args:
        mean: (params, buffers, batch) -> the loss of a batch.
        eps: machine epsilon of its arithmetic.
        here: where the model stands.
    """

    mean: Callable[..., Any]
    eps: float
    here: Snapshot

    @cached_property
    def aside(self) -> Snapshot:
        """Where to look as well: losses that are all equal show nothing."""
        return Snapshot(beside(self.here.params), self.here.buffers)

    def refuse(self, parts: Sequence[Source], remedy: str) -> None:
        """Refuse losses that depend on how the data are cut.

        Args:
            parts: the data, or those of all parts of a partition, which are looked at together:
                inside a class, a mean with class weights is a plain mean.
            remedy: what else to do, for the error.

        Raises:
            LossError: the loss of a batch is not the mean of the losses of its parts.
        """
        for batch in _mixtures(parts):
            self._refuse(batch, remedy)

    def _refuse(self, batch: Batch, remedy: str) -> None:
        n = batch.examples
        few = batch.map(lambda tensor: spread(tensor, min(n, _SEEN_ALONE)))
        uneven = [0, max(1, min(n // 3, _SEEN_ALONE)), n]  # a sum or weighted mean cannot hide
        pairs = [*range(0, few.examples - 1, 2), few.examples]
        cuts = ((batch, uneven, False), (batch, uneven, True), (few, pairs, True))
        if n > 1 and not all(
            self._adds_up(self.aside if aside else self.here, part, edges)
            for part, edges, aside in cuts
        ):
            msg = (
                "The loss of a batch is not the mean of the losses of its parts: it sums over "
                "examples, divides by their weights or masks, or compares them with each other. "
                f"Use a plain mean{remedy}."
            )
            raise LossError(msg)

    def _adds_up(self, at: Snapshot, batch: Batch, edges: Sequence[int]) -> bool:
        """Compare a batch with its parts between these edges."""

        def loss(begin: int, end: int) -> float:
            part = batch.map(lambda tensor: BACKEND.cut(tensor, begin, end - begin))
            mean = self.mean(at.params, at.buffers, part)
            return float(BACKEND.ops.to_numpy(mean))

        n = batch.examples
        whole, parts = loss(0, n), [(e - b) / n * loss(b, e) for b, e in pairwise(edges)]
        rtol = max(1e-3, 4.0 * self.eps)
        return not abs(whole - sum(parts)) > 1e-6 + rtol * sum(map(abs, parts))


def _mixtures(parts: Sequence[Source]) -> list[Batch]:
    """Return some examples of all parts, one part after the other; of very many, of some.

    Of one part, in every form that its batches have: a loss may be a plain mean of batches of one
    length, and not of those that are filled up to it.
    """
    chosen, each = mixed([part.examples for part in parts], _SEEN)
    if len(parts) == 1:
        return parts[0].spreads(each)
    found = [parts[place].spread(each) for place in chosen]
    columns = zip(*(batch.arrays for batch in found), strict=True)
    batch: Batch = found[0].filled(keras.ops.concatenate(column) for column in columns)
    return [batch]


def beside(params: Params) -> dict[str, Any]:
    """Return parameters moved at random, as far as they are large, or as an initial layer is."""
    rng = np.random.default_rng(0)

    def moved(leaf: Any) -> Any:
        values = BACKEND.ops.to_numpy(leaf)
        rms = math.sqrt(np.mean(np.square(values))) if values.size else 0.0
        far = 0.3 * max(rms, 1.0 / math.sqrt(values.shape[0] if values.ndim else 1))
        noise = far * rng.standard_normal(values.shape, np.float32)
        return BACKEND.ops.from_numpy((values + noise).astype(values.dtype), leaf)

    return {name: moved(leaf) for name, leaf in params.items()}
