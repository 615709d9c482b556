"""Which single parameters learn, and which overfit: totals of two measures side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from attrs import frozen

from lca_core.analyses.common_steps import same_steps
from lca_core.errors import AnalysisError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lca_core.run import Run


@frozen
class ParameterPairs:
    """Totals of every parameter for two measures; leaf name -> array shaped like the leaf.

    Args:
        learned: of the measure that is trained on, loss units.
        held_out: of the other one.
    """

    learned: Mapping[str, np.ndarray]
    held_out: Mapping[str, np.ndarray]

    @property
    def overfits(self) -> dict[str, np.ndarray]:
        """Whether a parameter helped the first measure and hurt the other over the run."""
        return {k: (one < 0) & (self.held_out[k] > 0) for k, one in self.learned.items()}

    @property
    def shares(self) -> dict[tuple[str, str], float]:
        """Shares of the parameters that moved: (what it did to the first, to the other)."""
        first, other = self._flat()
        moved = max(int(((first != 0) | (other != 0)).sum()), 1)
        kinds = {"helped": -1, "hurt": 1}
        return {
            (one, two): float(((np.sign(first) == a) & (np.sign(other) == b)).sum() / moved)
            for one, a in kinds.items()
            for two, b in kinds.items()
        }

    @property
    def correlation(self) -> float:
        """Pearson's correlation of the totals over all parameters; NaN where one is constant."""
        first, other = self._flat()
        if first.size < 2 or not (np.ptp(first) and np.ptp(other)):
            return float("nan")
        return float(np.corrcoef(first, other)[0, 1])

    def _flat(self) -> tuple[np.ndarray, np.ndarray]:
        return (
            np.concatenate([np.zeros(0), *(one.ravel() for one in self.learned.values())]),
            np.concatenate([np.zeros(0), *(self.held_out[k].ravel() for k in self.learned)]),
        )


def overfitting(run: Run, learned: str = "train", held_out: str = "val") -> ParameterPairs:
    """Return what every single parameter's motion did to two measures over the run.

    By layer, unit and step, see `generalisation`.

    Args:
        run: a finished run.
        learned: the measure that is trained on.
        held_out: another one.

    Raises:
        NotRecordedError: the observer `Totals()` was left out, or there is no such measure.
        AnalysisError: a step was lost (not finite) in only one of the two: what single parameters
            did in it is in the total of the other, which cannot be taken apart.

    Example:
        >>> from lca_core.analyses import overfitting
        >>> from lca_core.reference import demo_run
        >>> found = overfitting(demo_run(by_class=True), "train/class=0", "train/class=1")
        >>> round(sum(found.shares.values()), 6)
        1.0

    Source: proposed as future work in the LCA paper (arXiv:1909.01440).
    """
    if not same_steps(run, learned, held_out):
        apart = np.flatnonzero(run.finite(learned) != run.finite(held_out))
        msg = (
            f"Totals of '{learned}' and '{held_out}' are over different steps: {len(apart)} of "
            f"{run.steps} came to finite values in only one of them, first at step "
            f"{run.iteration[apart[0] + 1]:,}. Use generalisation(), which leaves such "
            "steps out of both, by layer or unit."
        )
        raise AnalysisError(msg)
    return ParameterPairs(run.total(learned), run.total(held_out))
