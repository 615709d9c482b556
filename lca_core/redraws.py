"""A measure whose examples are drawn anew at every step, as the core sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import field, frozen

from lca_core.leafwise import combine, leaf_sums, product, weighted
from lca_core.probes import Lots, Probed, Redrawn, lots
from lca_core.typing import Array, ArrayOps, Declared, Evaluation, GradientOracle, Params, Sample

if TYPE_CHECKING:
    from typing import Self

SPREAD = "subsample_allocation"
"""The array of the run file that holds the allocation of every subsample, by leaf."""

Pick = Callable[[np.ndarray], Sample]
"""Places of shape (subsamples, size) -> the loss over these examples, a row a subsample."""


@frozen
class Redraws:
    """Stands in the place of an oracle: it has a fresh sample for every step.

    Args:
        drawing: which examples.
        pick: how the adapter makes a sample of them.
        eps: machine epsilon of its arithmetic.

    Example:
        >>> import numpy as np
        >>> from lca_core import Redrawn
        >>> from lca_core.redraws import MeanOf, Redraws
        >>> from lca_core.reference import NumpyOps, logistic
        >>> rng = np.random.default_rng(0)
        >>> x, y = rng.standard_normal((40, 3)), rng.integers(2, size=40)
        >>> def pick(places):
        ...     return MeanOf([logistic(x[row], y[row], classes=2) for row in places], NumpyOps())
        >>> redraws = Redraws.of(Redrawn((x, y), 10), 40, pick, eps=2.0**-52)
        >>> [len(oracle.labels) for oracle in redraws.at(step=3).oracles]
        [2, 2, 2, 2, 2]
    """

    drawing: Lots
    pick: Pick = field(repr=False)
    eps: float

    @classmethod
    def of(cls, probe: Redrawn, examples: int, pick: Pick, eps: float) -> Self:
        """Return what a probe asks for.

        Args:
            probe: as the user wrote it.
            examples: how many its data hold.
            pick: how the adapter makes a sample of places.
            eps: machine epsilon of its arithmetic.

        Raises:
            DataError: the data hold too few examples, or another number of labels.
        """
        return cls(lots(probe, examples), pick, eps)

    @property
    def probed(self) -> Probed:
        """What is drawn of how much."""
        return Probed.by(self.drawing, redrawn=True)

    def at(self, step: int) -> Sample:
        """Return the sample that is drawn for a step.

        Args:
            step: its number, from 0.
        """
        return self.pick(self.drawing.at(step))


@frozen
class MeanOf:
    """A `Sample` of subsamples that have an oracle each.

    Args:
        oracles: losses over as many examples each.
        ops: the framework's array functions.
    """

    oracles: Sequence[GradientOracle]
    ops: ArrayOps

    @property
    def eps(self) -> float:
        """Machine epsilon of the least precise of them."""
        return max(oracle.eps for oracle in self.oracles)

    def __call__(self, params: Params, buffers: Params) -> Evaluation:
        """Return loss and gradient."""
        return self._mean([oracle(params, buffers) for oracle in self.oracles])

    def slopes(self, params: Params, buffers: Params, along: Params) -> tuple[Evaluation, Array]:
        """Return loss and gradient, and every subsample's gradient · along."""
        found = [oracle(params, buffers) for oracle in self.oracles]
        rows = [leaf_sums(self.ops, product(along, one.gradient)) for one in found]
        table: Any = self.ops.concat(rows)
        return self._mean(found), table.reshape(len(rows), -1)

    def _mean(self, found: Sequence[Evaluation]) -> Evaluation:
        shares = [1.0 / len(found)] * len(found)
        return Evaluation(
            weighted(shares, [one.loss for one in found]),
            combine(shares, [one.gradient for one in found]),
        )


def declared(redraws: Iterable[Redraws]) -> tuple[Declared, ...]:
    """Return what a run holds beyond the ledger where some of its measures are redrawn."""
    most = max((one.drawing.subsamples for one in redraws), default=0)
    if not most:
        return ()
    labels = tuple(map(str, range(most)))
    return (Declared(SPREAD, ("leaf", "subsample"), "float64", labels),)


def spread(by_subsample: np.ndarray, subsamples: int) -> dict[str, np.ndarray]:
    """Return the array that `declared` promises; NaN beyond a measure's own subsamples.

    Args:
        by_subsample: allocations, shape (own subsamples, leaves).
        subsamples: the length of the array's last axis.
    """
    own, leaves = by_subsample.shape
    values = np.full((leaves, subsamples), np.nan)
    values[:, :own] = by_subsample.T
    return {SPREAD: values}
