"""One run of an experiment as a small value that can be sent to any process, and carried out."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from attrs import frozen

from lca_core.adapters import find_adapter
from lca_core.datasets import Source, loaded
from lca_core.described import described
from lca_core.errors import ExperimentError, ResumeError, RunFileError, UnsupportedError
from lca_core.experiments.folder import Place
from lca_core.experiments.lock import only_one

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from lca_core.adapters import Adapter
    from lca_core.datasets import Dataset
    from lca_core.experiments.experiment import Planned
    from lca_core.run import Run

Ending: TypeAlias = Literal["found", "made", "resumed"]
"""How a run came to be finished: it was already, it was made, or a half one was gone on with."""

_CHUNK = 64
_ALONE = Lock()
"""A process makes one run at a time: random streams and settings of frameworks are its own."""


@frozen
class Job:
    """A run to be carried out: names and settings, no data.

    Args:
        planned: what is trained and measured.
        backend: name of an adapter.
        source: of the data set.
        fingerprint: of the data set that the experiment was planned on.
        steps: of the whole training.
        place: where the run is written.
    """

    planned: Planned
    backend: str
    source: Source
    fingerprint: str
    steps: int
    place: Place

    def __str__(self) -> str:
        """Return the run's name in its experiment."""
        return f"{self.planned.arm}, seed {self.planned.spec.seed}"

    def run(self) -> Run | None:
        """Return the finished run; None where steps are missing, or the file is damaged."""
        from lca_core.store import load

        if self.place.steps() < self.steps:
            return None
        try:
            return load(self.place.run)
        except (RunFileError, FileNotFoundError):
            return None

    @property
    def finished(self) -> bool:
        """Whether all steps are in the run file, and can be read."""
        return self.run() is not None

    @property
    def damaged(self) -> bool:
        """Whether the run was finished, and can be read no more."""
        return self.place.steps() >= self.steps and not self.finished

    def description(self) -> dict[str, Any]:
        """Return what the run is, as JSON values."""
        whole = {
            "arm": self.planned.arm,
            "backend": self.backend,
            "data": {
                "name": self.source.name,
                "examples": self.source.examples,
                "fingerprint": self.fingerprint,
            },
            "training": self.planned.spec.describe(),
            "tracking": {
                **{name: described(value) for name, value in self.planned.tracking.items()},
                "by_class": self.planned.by_class,
            },
        }
        # As it looks after a way through a file.
        plain: dict[str, Any] = json.loads(json.dumps(whole))
        return plain


def jobs_of(planned: Sequence[Planned], backend: str, source: Source, out: Path) -> tuple[Job, ...]:
    """Return the runs of an experiment, or refuse before any of them is begun.

    Args:
        planned: by the experiment.
        backend: name of an adapter.
        source: of the data set.
        out: folder of the experiment.

    Raises:
        ExperimentError: two runs have the same arm and seed, or where one shall be written lies
            another.
    """
    twice = [
        name for name, n in Counter((one.arm, one.spec.seed) for one in planned).items() if n > 1
    ]
    if twice:
        msg = f"The experiment plans arm '{twice[0][0]}', seed {twice[0][1]}, more than once."
        raise ExperimentError(msg)
    dataset, known = loaded(source)
    jobs = tuple(
        Job(
            planned=one,
            backend=backend,
            source=source,
            fingerprint=known,
            steps=one.spec.steps(len(dataset.train)),
            place=Place.of(out, one.arm, one.spec.seed),
        )
        for one in planned
    )
    for job in jobs:
        job.place.check(job.description())
    return jobs


def carried(job: Job) -> Ending:
    """Make a run, or what is missing of it; wait while another process writes it.

    Args:
        job: the run.

    Raises:
        ExperimentError: the data here are not those of the job, or another run lies there.
    """
    job.place.folder.mkdir(parents=True, exist_ok=True)
    with _ALONE, only_one(job.place.lock):
        if job.finished:
            return "found"
        job.place.check(job.description())
        adapter, dataset = find_adapter(job.backend), _data(job)
        train = partial(_train, job, adapter, dataset)
        job.place.write(job.description())
        half = job.place.run.exists() and not job.damaged
        if half and _gone_on_with(job, train):
            return "resumed"
        shutil.rmtree(job.place.run, ignore_errors=True)
        train({"path": job.place.run})
        return "made"


def _gone_on_with(job: Job, train: Callable[[dict[str, Any]], None]) -> bool:
    """Finish a half run, and return whether that was possible."""
    try:
        train({"path": job.place.run, "resume": True})
    except (ResumeError, RunFileError, UnsupportedError):
        return False
    return True


def _train(job: Job, adapter: Adapter, dataset: Dataset, writing: Mapping[str, Any]) -> None:
    planned = job.planned
    adapter.train(
        planned.spec,
        dataset,
        on_step=lambda _: None,
        tracking={"chunk": _CHUNK, **planned.tracking, **writing},
        by_class=planned.by_class,
    )


def _data(job: Job) -> Dataset:
    """Return the data set, if it is the one that the experiment was planned on."""
    dataset, found = loaded(job.source)
    if found != job.fingerprint:
        msg = (
            f"The data set '{job.source.name}' here is not that of the experiment: expected the "
            f"fingerprint {job.fingerprint}, got {found}. Give every worker the same files."
        )
        raise ExperimentError(msg)
    return dataset
