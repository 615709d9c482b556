"""The loss over the examples that a step draws."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from attrs import evolve, frozen

from lca_core.errors import DataError, RuleError
from lca_torch.data import Sliced

if TYPE_CHECKING:
    import numpy as np

    from lca_core import Snapshot
    from lca_torch.oracle import TorchOracle


@frozen
class TorchPick:
    """`lca_core.redraws.Pick` for data that are at hand as a whole.

    Args:
        whole: the loss over all examples.
        source: its data.
        weight: of an average example.
    """

    whole: TorchOracle
    source: Sliced
    weight: float

    @classmethod
    def of(cls, whole: TorchOracle, point: Snapshot) -> Self:
        """Prepare to pick; one pass over all examples for their weight, without a gradient.

        Args:
            whole: the loss over all examples.
            point: where the model stands.

        Raises:
            DataError: the data are streamed.
            RuleError: the loss of a sample would not be the mean of its examples' losses.
        """
        if whole.mode != "eval":
            msg = (
                f"A redrawn probe needs mode='eval', got {whole.mode!r}: with batch norm on each "
                "chunk's own statistics, the loss of all examples is not the mean over samples."
            )
            raise RuleError(msg)
        if not isinstance(whole.source, Sliced):
            msg = (
                "A redrawn probe picks other examples at every step, so the data must fit into "
                f"memory; these {whole.source.examples:,} examples are streamed. Pass a part of "
                "them that fits, or a FixedProbe."
            )
            raise DataError(msg)
        return cls(whole, whole.source, whole.weight(point) / whole.source.examples)

    def __call__(self, places: np.ndarray) -> TorchOracle:
        """Return the loss over the examples at these places."""
        return evolve(
            self.whole, source=self.source.pick(places), expected=self.weight * places.size
        )
