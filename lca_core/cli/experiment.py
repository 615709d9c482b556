"""`lca experiment`: plan, carry out, judge, write."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import click
from attrs import evolve, frozen
from rich import box
from rich.markdown import Markdown
from rich.table import Table
from rich.text import Text

from lca_core.adapters import find_adapter
from lca_core.cli.out import make_folder
from lca_core.cli.runs_progress import RunsProgress
from lca_core.cli.setup import TrainingSetup
from lca_core.cli.terminal import make_console, say
from lca_core.datasets import Source, loaded
from lca_core.errors import ExperimentError
from lca_core.experiments.carrying import carry_out
from lca_core.experiments.catalogue import EXPERIMENTS
from lca_core.experiments.ending import Ending
from lca_core.experiments.executors import opened, processes_of
from lca_core.experiments.finding import configured, find_experiment
from lca_core.experiments.job import jobs_of
from lca_core.words import counted, few

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from rich.console import Console

    from lca_core.adapters import Mode
    from lca_core.experiments.carrying import Ended
    from lca_core.experiments.experiment import Experiment, Planned
    from lca_core.experiments.job import Job


@frozen
class ExperimentSetup(TrainingSetup):
    """The options of `lca experiment` that say what it is made on."""

    seeds: int
    first_seed: int
    mode: Mode | None
    every: int | None

    @property
    def source(self) -> Source:
        """Where the data set comes from, for processes with a working directory of their own."""
        folder = None if self.data_dir is None else self.data_dir.absolute()
        return Source(self.data, folder, self.examples)

    def planned(self, experiment: Experiment) -> tuple[Planned, ...]:
        """Return the trainings of an experiment.

        Raises:
            ExperimentError: an option says what the experiment says itself.
        """
        base = self.spec(loaded(self.source)[0])
        seeds = range(self.first_seed, self.first_seed + self.seeds)
        own = {"mode": self.mode, "every": self.every}
        chosen = {name: value for name, value in own.items() if value is not None}
        return tuple(_filled(one, chosen) for one in experiment.plan(base, seeds))

    def described(self, backend: str) -> dict[str, Any]:
        """Return the set-up as JSON values."""
        return {
            "backend": backend,
            "data": self.data,
            "examples": self.examples,
            "seeds": list(range(self.first_seed, self.first_seed + self.seeds)),
            "base": self.spec(loaded(self.source)[0]).describe(),
            "mode": self.mode,
            "every": self.every,
        }


def list_experiments() -> None:
    """Print every experiment and its claim."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("experiment", no_wrap=True)
    table.add_column("the article's claim", max_width=96)
    for name, experiment in EXPERIMENTS.items():
        table.add_row(Text(name, "bold"), Text(experiment.claim))
    make_console().print(table)


def run_experiment(
    name: str,
    setup: ExperimentSetup,
    backend: str,
    out: Path,
    *,
    settings: Mapping[str, str],
    executor: str,
    judge_only: bool,
    command: str,
) -> None:
    """Make the runs that are missing, judge them, and write what they say.

    Args:
        name: of the experiment.
        setup: what it is made on.
        backend: name of an adapter.
        out: its folder.
        settings: field of the experiment -> value.
        executor: who carries out the runs.
        judge_only: judge what is there.
        command: what makes it again.

    Raises:
        click.exceptions.Exit: a run failed.
    """
    experiment = configured(find_experiment(name), settings)
    console, out = make_console(), out.absolute()
    processes_of(executor)
    jobs = jobs_of(setup.planned(experiment), backend, setup.source, out)
    failures = () if judge_only else _make(console, experiment, jobs, executor, out)
    try:
        ending = Ending.of(experiment, jobs, setup.described(backend), command)
        _show(console, ending, ending.write(out))
    finally:
        _complain(console, failures)
    if failures:
        raise click.exceptions.Exit(1)


def said_again(context: click.Context) -> str:
    """Return the command with the options that were given.

    Args:
        context: of the command.
    """
    given = click.core.ParameterSource.COMMANDLINE
    words = ["lca", context.info_name or ""]
    for option in context.command.params:
        name = option.name or ""
        value: Any = context.params.get(name)
        if context.get_parameter_source(name) is not given or name == "judge_only":
            continue
        if isinstance(option, click.Argument):
            words.append(str(value))
        else:
            values = value if option.multiple else (value,)
            if isinstance(value, dict):
                values = [f"{key}={one}" for key, one in value.items()]
            words += [word for one in values for word in (option.opts[0], str(one))]
    return shlex.join(words)


def _filled(planned: Planned, chosen: Mapping[str, Any]) -> Planned:
    """Add what the experiment leaves open."""
    both = [name for name in chosen if planned.tracking.get(name, chosen[name]) != chosen[name]]
    if both:
        msg = (
            f"--{both[0]} {chosen[both[0]]} was given, but the experiment measures arm "
            f"'{planned.arm}' with {both[0]} = {planned.tracking[both[0]]}: leave the option out."
        )
        raise ExperimentError(msg)
    return evolve(planned, tracking={**planned.tracking, **chosen})


def _make(
    console: Console, experiment: Experiment, jobs: Sequence[Job], executor: str, out: Path
) -> tuple[Ended, ...]:
    """Make the runs that are missing; return those that failed."""
    missing = [job for job in jobs if not job.finished]
    arms = len({job.planned.arm for job in jobs})
    there = (
        f", {len(jobs) - len(missing):,} of them there already" if len(missing) < len(jobs) else ""
    )
    say(console, f"{experiment.name}: {experiment.claim}")
    say(console, f"{counted(len(jobs), 'run')} in {counted(arms, 'arm')}{there}.")
    damaged = [str(job) for job in missing if job.damaged]
    if damaged:
        say(console, f"Damaged, and made anew: {few(damaged)}.")
    if not missing:
        return ()
    find_adapter(missing[0].backend)
    make_folder(out)
    try:
        with RunsProgress(console, jobs) as progress, opened(executor, len(missing)) as hands:
            return carry_out(missing, hands, progress.ended)
    except KeyboardInterrupt:
        say(console, "Stopped. What is finished stays; the same command goes on.")
        raise


def _show(console: Console, ending: Ending, files: Sequence[Path]) -> None:
    """Print what was found, and where it is written."""
    console.print()
    for paragraph in ending.outcome.text:
        if console.is_terminal:
            console.print(Markdown(paragraph))
        else:
            say(console, paragraph)
    console.print()
    say(console, f"The verdict: {ending.outcome.verdict}.")
    for line in ending.closing():
        say(console, line)
    say(console, f"Written: {', '.join(map(str, files))}.")


def _complain(console: Console, failures: Sequence[Ended]) -> None:
    """List what failed."""
    if not failures:
        return
    console.print()
    say(console, f"{counted(len(failures), 'run')} failed; the same command tries them again:")
    for one in failures:
        say(console, f"  {one.job}: {type(one.error).__name__}: {one.error}")
