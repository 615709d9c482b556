"""Side by side: several runs, and what was learned against what was overfitted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from attrs import frozen

from lca_core.analyses.common_steps import on_common_steps
from lca_core.analyses.hurting import check_several, summed
from lca_core.errors import AnalysisError
from lca_core.results import Grouped

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lca_core.layout import By
    from lca_core.run import Run


@frozen
class Comparison:
    """Totals of several runs, group by group, of the groups that all of them have.

    Args:
        labels: names of the groups.
        runs: names of the runs.
        total: shape (runs, groups), loss units.
        error: ± of every total, shape (runs, groups); NaN where nothing is known.
        parameters: of every group, shape (runs, groups), int64; wider layers have more.
        left_out: names of the groups that some runs do not have.
    """

    labels: tuple[str, ...]
    runs: tuple[str, ...]
    total: np.ndarray
    error: np.ndarray
    parameters: np.ndarray
    left_out: tuple[str, ...]

    @property
    def difference(self) -> np.ndarray:
        """Total minus that of the first run, shape (runs, groups): negative helped more."""
        return np.asarray(self.total - self.total[0])

    @property
    def difference_error(self) -> np.ndarray:
        """± of the difference: errors of two runs are independent; 0 of the first to itself."""
        found = np.hypot(self.error, self.error[0])
        found[0] = 0.0
        return np.asarray(found)


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

    Runs of different networks, of two widths or depths say, are compared by the groups that all of
    them have, by name; `Comparison` says which are left out, and how many parameters each has.

    Args:
        runs: name -> run; a mean over them is for `over_runs`, of one network.
        measure: its name.
        by: "leaf", "layer", or a function of a `Leaf` that names its group.

    Raises:
        AnalysisError: fewer than two runs, or they have no group in common.

    Example:
        >>> from lca_core.analyses import compare
        >>> from lca_core.reference import demo_run
        >>> compare({"one": demo_run(), "two": demo_run()}, "train").difference.any()
        np.False_
    """
    each = tuple(runs.values())
    check_several(each)
    of_all = [run.layout.labels(by) for run in each]
    labels = tuple(label for label in of_all[0] if all(label in one for one in of_all))
    if not labels:
        msg = f"The runs {list(runs)} have no group in common, got {of_all}. Pass another by=."
        raise AnalysisError(msg)

    def shared(run: Run, values: np.ndarray) -> np.ndarray:
        found = Grouped(run.layout.labels(by), values)
        return np.array([found[label] for label in labels])

    return Comparison(
        labels=labels,
        runs=tuple(runs),
        total=np.array([shared(run, summed(run, measure, by)) for run in each]),
        error=np.array([shared(run, run.error(measure, by).values) for run in each]),
        parameters=np.array([shared(run, run.layout.group_sizes(by)) for run in each]),
        left_out=tuple(dict.fromkeys(name for one in of_all for name in one if name not in labels)),
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
