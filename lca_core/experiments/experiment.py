"""What an experiment is: a claim, the trainings that test it, and what their runs say of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from matplotlib.figure import Figure

    from lca_core.run import Run
    from lca_core.training import TrainingSpec

Arms: TypeAlias = "Mapping[str, Mapping[int, Run]]"
"""Arm -> seed -> finished run; seeds pair the runs of different arms."""

Verdict: TypeAlias = Literal["agrees", "disagrees", "undecided"]
"""What the runs say of the article's claim."""


@frozen
class Planned:
    """One training of an experiment.

    Args:
        arm: what it is compared by; runs of one arm differ in their seed alone.
        spec: network and optimizer; `spec.seed` is the run's place in its arm.
        tracking: arguments of an adapter's `track` (`integrator`, `observers`, `mode`, `every`).
        by_class: whether to measure every class of the training data too.
    """

    arm: str
    spec: TrainingSpec
    tracking: Mapping[str, Any] = field(factory=dict)
    by_class: bool = False


@frozen
class Outcome:
    """What an experiment found.

    Args:
        verdict: on the article's claim.
        text: paragraphs and tables in Markdown, numbers and their errors inside.
        results: the numbers, as JSON values.
        figures: file name without ending -> draws it; matplotlib is imported when it is called.
    """

    verdict: Verdict
    text: tuple[str, ...]
    results: Mapping[str, Any]
    figures: Mapping[str, Callable[[], Figure]] = field(factory=dict)


class Experiment(Protocol):
    """A claim of the article, and how it is tested."""

    @property
    def name(self) -> str:
        """What `lca experiment` calls it."""

    @property
    def claim(self) -> str:
        """What the article says, one sentence."""

    def plan(self, base: TrainingSpec, seeds: Sequence[int]) -> tuple[Planned, ...]:
        """Return the trainings.

        Args:
            base: network, optimizer and length that the user asked for; its seed does not count.
            seeds: of the runs of every arm.

        Raises:
            ExperimentError: the base does not suit the experiment.
        """

    def judge(self, arms: Arms) -> Outcome:
        """Return what the runs say.

        Args:
            arms: of `plan`; every arm has at least one run, some seeds may be missing.

        Raises:
            ExperimentError: there are too few runs to say anything.
        """
