"""The loss over the examples that a step draws."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from lca_core.probes import check_redrawn
from lca_keras.batches import hosted, put, rows, weighed
from lca_keras.data import Resident
from lca_keras.oracle import Parts

if TYPE_CHECKING:
    import numpy as np

    from lca_keras.batches import Batch
    from lca_keras.measures import Loss
    from lca_keras.oracle import KerasOracle


@frozen(eq=False)
class KerasPick:
    """`lca_core.redraws.Pick` for arrays: a draw is gathered on the host, and put on the device.

    Args:
        host: all examples, as arrays of the host.
        part: the loss over a subsample; its own data only say what form they have.
    """

    host: Batch
    part: KerasOracle

    def __call__(self, places: np.ndarray) -> Parts:
        """Return the losses over the examples at these places, a row a subsample."""
        return Parts(self.part, tuple(self._over(row) for row in places))

    def _over(self, row: np.ndarray) -> Resident:
        return Resident(put(self.host.map(lambda array: array[row])), 0)


def prepare(how: Loss, data: object, whole: KerasOracle, size: int) -> KerasPick:
    """Prepare to pick.

    Args:
        how: the model and its loss.
        data: all examples, `(x, y)` or `(x, y, sample_weight)`.
        whole: the loss over them.
        size: examples of a subsample.

    Raises:
        RuleError: the loss of a sample would not be the mean of its examples' losses.
    """
    check_redrawn(how.mode)
    host = weighed(hosted(data), how.class_weight)
    like = Resident(put(rows(host, 0, size)), 0)
    return KerasPick(host, whole.of_form(like))
