"""Side by side: several runs, and what was learned against what was overfitted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from attrs import frozen

from lca_core.analyses.common_steps import on_common_steps
from lca_core.analyses.hurting import common_labels, summed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lca_core.layout import By
    from lca_core.run import Run


@frozen
class Comparison:
    """Totals of several runs, group by group.

    Args:
        labels: names of the groups.
        runs: names of the runs.
        total: shape (runs, groups), loss units.
        error: ± of every total, shape (runs, groups); NaN where nothing is known.
    """

    labels: tuple[str, ...]
    runs: tuple[str, ...]
    total: np.ndarray
    error: np.ndarray

    @property
    def difference(self) -> np.ndarray:
        """Total minus that of the first run, shape (runs, groups): negative helped more."""
        return np.asarray(self.total - self.total[0])

    @property
    def difference_error(self) -> np.ndarray:
        """± of the difference: errors of two runs are independent."""
        return np.asarray(np.hypot(self.error, self.error[0]))


@frozen
class Generalisation:
    """What the same motion did to two measures, group by group; arrays of shape (T, groups).

    Args:
        labels: names of the groups.
        learned: cumulative allocation of the measure that is trained on, loss units.
        held_out: the same of the other one.
    """

    labels: tuple[str, ...]
    learned: np.ndarray
    held_out: np.ndarray

    @property
    def overfit(self) -> np.ndarray:
        """Held out minus learned, (T, groups): positive where training gained more."""
        return np.asarray(self.held_out - self.learned)

    @property
    def overfits(self) -> np.ndarray:
        """Whether a group helped training and hurt the rest over the run, shape (groups,).

        None did in a run without steps.
        """
        return np.asarray(((self.learned[-1:] < 0) & (self.held_out[-1:] > 0)).any(axis=0))


def compare(runs: Mapping[str, Run], measure: str, by: By = "layer") -> Comparison:
    """Return the totals of several runs side by side.

    Args:
        runs: name -> run; of the same network.
        measure: its name.
        by: "leaf", "layer", or a function of a `Leaf` that names its group.

    Raises:
        AnalysisError: fewer than two runs, or their groups differ.

    Example:
        >>> from lca_core.analyses import compare
        >>> from lca_core.reference import demo_run
        >>> compare({"one": demo_run(), "two": demo_run()}, "train").difference.any()
        np.False_
    """
    each = tuple(runs.values())
    return Comparison(
        labels=common_labels(each, measure, by),
        runs=tuple(runs),
        total=np.array([summed(run, measure, by) for run in each]),
        error=np.array([run.error(measure, by).values for run in each]),
    )


def generalisation(
    run: Run, learned: str = "train", held_out: str = "val", by: By = "layer"
) -> Generalisation:
    """Return who learns and who overfits: one motion, allocated to two measures.

    A step that was lost (not finite) in one of them is left out of both.

    Args:
        run: a finished run.
        learned: the measure that is trained on.
        held_out: another one.
        by: "leaf", "layer", "unit", or a function of a `Leaf` that names its group.

    Source: proposed as future work in the LCA paper (arXiv:1909.01440).
    """
    run = on_common_steps(run, learned, held_out)
    both = (
        np.where(run.finite(measure)[:, None], run.allocation(measure, by).values, 0.0).cumsum(
            axis=0
        )
        for measure in (learned, held_out)
    )
    return Generalisation(run.layout.labels(by), *both)
