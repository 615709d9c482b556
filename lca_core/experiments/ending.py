"""What an experiment leaves in its folder: results in JSON, figures, and a written verdict."""

from __future__ import annotations

import json
import math
from importlib import metadata
from typing import TYPE_CHECKING, Any

from attrs import frozen

from lca_core.experiments.judging import gathered
from lca_core.experiments.values import plain
from lca_core.segment import Status
from lca_core.whole import whole
from lca_core.words import counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from lca_core.experiments.experiment import Experiment, Outcome
    from lca_core.experiments.job import Job
    from lca_core.experiments.judging import Closed
    from lca_core.summary import Books

RESULTS, VERDICT = "results.json", "verdict.md"


@frozen
class Ending:
    """An experiment that has been judged.

    Args:
        experiment: what was asked.
        outcome: what was found.
        closed: how the books of every judged run closed.
        missing: runs that are not finished, or damaged.
        settings: what it was made on, JSON values.
        command: what makes it again.
    """

    experiment: Experiment
    outcome: Outcome
    closed: Sequence[Closed]
    missing: Sequence[Job]
    settings: Mapping[str, Any]
    command: str

    @classmethod
    def of(
        cls,
        experiment: Experiment,
        jobs: Sequence[Job],
        settings: Mapping[str, Any],
        command: str,
    ) -> Ending:
        """Judge what is finished.

        Args:
            experiment: what was asked.
            jobs: all its runs.
            settings: what it was made on.
            command: what makes it again.

        Raises:
            ExperimentError: an arm has no run, or there are too few to say anything.
        """
        arms, closed = gathered(jobs)
        judged = {id(one.job) for one in closed}
        missing = [job for job in jobs if id(job) not in judged]
        return cls(experiment, experiment.judge(arms), closed, missing, settings, command)

    def write(self, out: Path) -> tuple[Path, ...]:
        """Write everything, each file in one rename; return the files.

        Args:
            out: the experiment's folder.
        """
        from lca_core.figures import save

        figures = [out / f"{name}.png" for name in self.outcome.figures]
        for path, draw in zip(figures, self.outcome.figures.values(), strict=True):
            save(draw(), path)
        document = json.dumps(self.document(), indent=1, allow_nan=False)
        for path, text in ((out / RESULTS, document + "\n"), (out / VERDICT, self.page())):
            with whole(path) as aside:
                aside.write_text(text, "utf-8")
        return (out / VERDICT, out / RESULTS, *figures)

    def document(self) -> dict[str, Any]:
        """Return the results as JSON values; null stands for a number that is not finite."""
        document: dict[str, Any] = plain(
            {
                "experiment": self.experiment.name,
                "claim": self.experiment.claim,
                "verdict": self.outcome.verdict,
                "results": self.outcome.results,
                "settings": self.settings,
                "command": self.command,
                "versions": self._versions(),
                "runs": [_run(one) for one in self.closed],
                "missing": [_named(job) for job in self.missing],
            }
        )
        return document

    def page(self) -> str:
        """Return the verdict in Markdown."""
        pictures = [f"![{name}]({name}.png)" for name in self.outcome.figures]
        parts = [
            f"# {self.experiment.name}",
            f"**The claim.** {self.experiment.claim}",
            f"**The verdict:** {self.outcome.verdict}.",
            *self.outcome.text,
            *pictures,
            "## How the books closed",
            *self.closing(),
            "## Again",
            f"```console\n{self.command}\n```",
        ]
        return "\n\n".join(parts) + "\n"

    def closing(self) -> list[str]:
        """Say how the books closed: all steps, and the worst run."""
        steps = sum(one.books[m].steps for one in self.closed for m in one.books)
        ok = sum(one.books[m].statuses.get(Status.OK, 0) for one in self.closed for m in one.books)
        runs = counted(len(self.closed), "run")
        said = [f"{runs}; of the steps of every measure, {ok:,} of {steps:,} closed."]
        if self.closed:
            worst, measure = max(
                ((one, m) for one in self.closed for m in one.books),
                key=lambda pair: _sortable(pair[0].left_over[pair[1]]),
            )
            share = worst.left_over[measure]
            found = worst.books[measure]
            said.append(
                f"The worst books are those of {worst.job} ({measure}): |Σ gap| is {share:.1g} of "
                f"the loss change, at {found.cost}; {found.closing}."
            )
        damaged = [job for job in self.missing if job.damaged]
        unfinished = [job for job in self.missing if job not in damaged]
        for what, jobs in (("Not finished", unfinished), ("Damaged", damaged)):
            if jobs:
                said.append(f"{what}, and left out: {', '.join(map(str, jobs))}.")
        return said

    def _versions(self) -> dict[str, Any]:
        """Return every version that made a run, and that which judged."""
        made: dict[str, set[str]] = {}
        for one in self.closed:
            for package, version in one.versions.items():
                made.setdefault(package, set()).add(str(version))
        own = "loss-change-allocation"
        return {own: metadata.version(own), **{k: ", ".join(sorted(v)) for k, v in made.items()}}


def _sortable(share: float) -> float:
    """Return the share; one that is not known is the worst."""
    return math.inf if math.isnan(share) else share


def _named(job: Job) -> dict[str, Any]:
    return {"arm": job.planned.arm, "seed": job.planned.spec.seed}


def _run(closed: Closed) -> dict[str, Any]:
    measures = {
        measure: {"left_over": closed.left_over[measure], **_books(found)}
        for measure, found in closed.books.items()
    }
    return {**_named(closed.job), "measures": measures}


def _books(found: Books) -> dict[str, Any]:
    return {
        "steps": found.steps,
        "loss": [found.start, found.end],
        "allocated": found.allocated,
        "largest_gap": found.largest_gap,
        "gradients_a_step": found.gradients,
        "statuses": {status.name.lower(): n for status, n in found.statuses.items()},
    }
