"""Do few parameters do most of the work? How unequal totals are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from attrs import frozen

from lca_core.errors import AnalysisError

if TYPE_CHECKING:
    from lca_core.run import Run


@frozen
class Concentration:
    """How the help and the hurt of a run spread over the parameters.

    Args:
        help: totals of those that helped, as positive numbers, largest first, loss units.
        hurt: totals of those that hurt, largest first, loss units.
        parameters: how many there are, those without any total included.
    """

    help: np.ndarray
    hurt: np.ndarray
    parameters: int

    @property
    def gini(self) -> tuple[float, float]:
        """Gini coefficients of help and of hurt."""
        return gini(self.help), gini(self.hurt)

    def share_of_top(self, fraction: float) -> float:
        """Return the share of all help by this fraction of the helpers, one of them at least."""
        check_share("fraction", fraction)
        top = self.help[: max(round(fraction * len(self.help)), fraction > 0)]
        return float(top.sum() / self.help.sum()) if self.help.size else float("nan")

    def fraction_needed(self, share: float) -> float:
        """Return the smallest fraction of the helpers that does this share of all help."""
        check_share("share", share)
        if not self.help.size:
            return float("nan")
        reached = np.cumsum(self.help)
        # Rounding of a cumulative sum must not ask for one helper more.
        enough = share * reached[-1] * (1 - 1e-12)
        return float((np.searchsorted(reached, enough) + 1) / len(self.help)) if share else 0.0


def concentration(run: Run, measure: str) -> Concentration:
    """Return how the run's help and hurt spread over single parameters.

    Args:
        run: a finished run.
        measure: its name.

    Raises:
        NotRecordedError: the observer `Totals()` was left out.

    Example:
        >>> from lca_core.analyses import concentration
        >>> from lca_core.reference import demo_run
        >>> found = concentration(demo_run(), "train")
        >>> 0 < found.fraction_needed(0.9) < 0.9
        True

    Source: LCA paper's released analysis of helpers and hurters, arXiv:1909.01440.
    """
    totals = np.concatenate([np.zeros(0), *(t.ravel() for t in run.total(measure).values())])
    return Concentration(
        help=np.sort(-totals[totals < 0])[::-1],
        hurt=np.sort(totals[totals > 0])[::-1],
        parameters=len(totals),
    )


def gini(values: np.ndarray) -> float:
    r"""Return the Gini coefficient: 0 if all are equal, towards 1 if one has everything.

    .. math:: G = \frac{\sum_{i,j} |x_i - x_j|}{2 n \sum_i x_i}

    Args:
        values: positive numbers, shape (n,).

    Example:
        >>> import numpy as np
        >>> from lca_core.analyses import gini
        >>> gini(np.array([0.0, 0.0, 0.0, 1.0]))
        0.75
    """
    if not values.size or not values.sum():
        return float("nan")
    ordered, n = np.sort(values), len(values)
    weights = 2 * np.arange(1, n + 1) - n - 1
    return float((weights * ordered).sum() / (n * ordered.sum()))


def check_share(name: str, value: float) -> None:
    """Raise an `AnalysisError` unless a value is between 0 and 1."""
    if not 0 <= value <= 1:
        msg = f"{name} must be between 0 and 1, got {value}."
        raise AnalysisError(msg)
