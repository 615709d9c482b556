"""The loss over the examples that a step draws."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from attrs import evolve, frozen

from lca_core.redraws import Apart
from lca_jax.compiling import register

if TYPE_CHECKING:
    from lca_jax.data import Examples
    from lca_jax.oracle import JaxOracle

register(Apart)


@frozen(eq=False)
class JaxPick:
    """`lca_core.redraws.Pick` for arrays: a draw is gathered on the host, and put on the devices.

    Args:
        like: how the loss is evaluated; its data are none of the sample's.
        source: all examples.
        weight: of an average one.
    """

    like: JaxOracle
    source: Examples
    weight: float

    def __call__(self, places: np.ndarray) -> Apart:
        """Return the losses over the examples at these places, a row a subsample."""
        return Apart(tuple(self._over(row) for row in places))

    def _over(self, row: np.ndarray) -> JaxOracle:
        with jax.enable_x64(self.like.evaluator.objective.x64):
            stacks = self.source.pick(row).stacks(self.like.batch_size)
        # What a step draws must not be part of the program, which is compiled once.
        expected = np.float64(self.weight * row.size)
        return evolve(self.like, stacks=stacks, examples=row.size, crc32=0, expected=expected)


def prepare(oracle: JaxOracle, source: Examples, point: Any) -> JaxPick:
    """Prepare to pick; one pass over all examples for their weight, without a gradient.

    Args:
        oracle: the loss over all examples.
        source: these.
        point: where the parameters stand.
    """
    weight = oracle.weight(point) / source.examples
    own = evolve(source, parts=jax.tree.map(_own, source.parts))
    return JaxPick(evolve(oracle, stacks=()), own, weight)


def _own(array: np.ndarray) -> np.ndarray:
    """Copy what its owner may write to while it is drawn from; what JAX lends is read-only."""
    return array.copy() if array.flags.writeable else array
