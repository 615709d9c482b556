"""From finished run files to what they say of the claim."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from lca_core.errors import ExperimentError
from lca_core.summary import Books, books
from lca_core.words import counted, few

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lca_core.experiments.experiment import Arms
    from lca_core.experiments.job import Job
    from lca_core.run import Run


@frozen
class Closed:
    """How the books of one run closed.

    Args:
        job: the run.
        books: measure -> its books, "train" and "val" and parts.
        left_over: measure -> |Σ gap| / |loss change|; infinite where the loss did not change.
        versions: of what trained and measured it.
    """

    job: Job
    books: Mapping[str, Books]
    left_over: Mapping[str, float]
    versions: Mapping[str, str]

    @classmethod
    def of(cls, job: Job, run: Run) -> Closed:
        """Return how a run's books closed."""
        found = {measure: books(run, measure) for measure in run.measures}
        return cls(
            job=job,
            books=found,
            left_over={measure: left_over(run, measure) for measure in run.measures},
            versions=run.config.get("versions", {}),
        )


def left_over(run: Run, measure: str) -> float:
    r"""Return what the allocations of a run do not explain of its loss change.

    .. math:: |\sum_t g_t| \,/\, |L_T - L_0|

    Steps that are not finite allocate nothing; with them the loss change is not known either.

    Args:
        run: a finished run.
        measure: its name.

    Example:
        >>> from lca_core.experiments.judging import left_over
        >>> from lca_core.reference import demo_run
        >>> left_over(demo_run(), "train") < 0.01
        True
    """
    loss, gap = run.loss(measure), run.gap(measure)
    change, missing = abs(float(loss[-1] - loss[0])), abs(float(gap[run.finite(measure)].sum()))
    if change == 0.0:
        return 0.0 if missing == 0.0 else float("inf")
    return missing / change


def gathered(jobs: Sequence[Job]) -> tuple[Arms, tuple[Closed, ...]]:
    """Read the finished runs of an experiment; those that are damaged are none.

    Args:
        jobs: all its runs.

    Returns:
        Arm -> seed -> run, and how the books of each closed.

    Raises:
        ExperimentError: an arm has no finished run.
    """
    arms: dict[str, dict[int, Run]] = {job.planned.arm: {} for job in jobs}
    closed = []
    for job, run in _read(jobs):
        arms[job.planned.arm][job.planned.spec.seed] = run
        closed.append(Closed.of(job, run))
    empty = [arm for arm, runs in arms.items() if not runs]
    if empty:
        msg = (
            f"{counted(len(empty), 'arm')} of {len(arms)} without a finished run: {few(empty)}. "
            "There is nothing to compare; the same command, without --judge-only, makes what is "
            "missing."
        )
        raise ExperimentError(msg)
    return arms, tuple(closed)


def _read(jobs: Sequence[Job]) -> Iterator[tuple[Job, Run]]:
    for job in jobs:
        run = job.run()
        if run is not None:
            yield job, run
