"""A measure whose examples are drawn anew at every step, as the core sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from attrs import field, frozen

from lca_core.probes import Lots, Probed, Redrawn, lots
from lca_core.typing import Declared, GradientOracle

SPREAD = "subsample_allocation"
"""The array of the run file that holds the allocation of every subsample, by leaf."""

Pick = Callable[[np.ndarray], Sequence[GradientOracle]]
"""Places of shape (subsamples, size) -> an oracle over each row, whose expectation is L."""


@frozen
class Redraws:
    """Stands in the place of an oracle: it has fresh ones for every step, one a subsample.

    Args:
        drawing: which examples.
        pick: how the adapter makes oracles of them.
        eps: machine epsilon of their arithmetic.

    Example:
        >>> import numpy as np
        >>> from lca_core import Redrawn
        >>> from lca_core.redraws import Redraws
        >>> from lca_core.reference import logistic
        >>> rng = np.random.default_rng(0)
        >>> x, y = rng.standard_normal((40, 3)), rng.integers(2, size=40)
        >>> def pick(places):
        ...     return [logistic(x[row], y[row], classes=2) for row in places]
        >>> redraws = Redraws.of(Redrawn((x, y), 10), 40, pick, eps=2.0**-52)
        >>> [len(oracle.labels) for oracle in redraws.at(step=3).values()]
        [5, 5]
    """

    drawing: Lots
    pick: Pick = field(repr=False)
    eps: float

    @classmethod
    def of(cls, probe: Redrawn, examples: int, pick: Pick, eps: float) -> Redraws:
        """Return what a probe asks for.

        Args:
            probe: as the user wrote it.
            examples: how many its data hold.
            pick: how the adapter makes oracles of places.
            eps: machine epsilon of their arithmetic.

        Raises:
            DataError: the data hold too few examples, or another number of labels.
        """
        return cls(lots(probe, examples), pick, eps)

    @cached_property
    def shares(self) -> dict[str, float]:
        """Subsample -> its share of the sample."""
        m = self.drawing.subsamples
        return {str(k): 1.0 / m for k in range(m)}

    @property
    def probed(self) -> Probed:
        """What is drawn of how much."""
        return Probed.by(self.drawing, redrawn=True)

    def at(self, step: int) -> dict[str, GradientOracle]:
        """Return the oracle of every subsample that is drawn for a step.

        Args:
            step: its number, from 0.
        """
        return dict(zip(self.shares, self.pick(self.drawing.at(step)), strict=True))


def declared(redraws: Iterable[Redraws]) -> tuple[Declared, ...]:
    """Return what a run holds beyond the ledger where some of its measures are redrawn."""
    most = max((one.drawing.subsamples for one in redraws), default=0)
    if not most:
        return ()
    labels = tuple(map(str, range(most)))
    return (Declared(SPREAD, ("leaf", "subsample"), "float64", labels),)


def spread(parts: Iterable[Mapping[str, Any]], leaves: int, subsamples: int) -> dict[str, Any]:
    """Return the array that `declared` promises; NaN beyond a measure's own subsamples.

    Args:
        parts: the entries of every subsample; none for a measure that is not redrawn.
        leaves: how many there are.
        subsamples: the length of the array's last axis.
    """
    values = np.full((leaves, subsamples), np.nan)
    for k, part in enumerate(parts):
        values[:, k] = part["allocation"]
    return {SPREAD: values}
