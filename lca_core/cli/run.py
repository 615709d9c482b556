"""From a set-up to a run file: say what will be done, train, show, draw."""

from __future__ import annotations

import math
import os
import shlex
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from lca_core.adapters import find_adapter
from lca_core.cli.live import LiveLayers
from lca_core.cli.out import make_folder
from lca_core.cli.progress import Forecast, TrainingProgress, cost
from lca_core.cli.run_path import RUN_FILE
from lca_core.cli.terminal import make_console, print_story, print_summary, say
from lca_core.cli.trained_with import TrainedWith
from lca_core.errors import NotRecordedError
from lca_core.figures import FIGURES, save
from lca_core.lock import hold
from lca_core.resuming import resumes_at
from lca_core.schema import is_run
from lca_core.words import counted

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from rich.console import Console

    from lca_core.adapters import Adapter
    from lca_core.cli.setup import Setup
    from lca_core.datasets import Dataset
    from lca_core.run import Run
    from lca_core.tracker import Tracker
    from lca_core.training import TrainingSpec

Earlier: TypeAlias = Literal["replace", "resume"]
"""What to do with a run file that is there already."""

_MEASURE = "train"


def run_setup(
    setup: Setup, backend: str, out: Path, *, earlier: Earlier | None, live: bool = False
) -> None:
    """Train as the options ask for, print the table, and write the run and its figures.

    Args:
        setup: the options.
        backend: name of an adapter.
        out: directory to write to; made if it is not there.
        earlier: what to do with an earlier `out`/run.zarr; None to refuse.
        live: show a table of the layers while training.

    Raises:
        FileExistsError: there is one, and `earlier` is None.
    """
    adapter, path = ready(backend, out, earlier)
    dataset = setup.dataset()
    spec = setup.spec(dataset)
    trained = TrainedWith(path, adapter.name, spec, dataset)
    tracking = {**setup.tracking(spec), **to_write(trained, earlier)}
    console = make_console()
    say(console, announcement(setup, spec, dataset, backend))
    say(console, work(setup, spec, dataset))
    carry_out(
        adapter,
        trained,
        tracking=tracking,
        console=console,
        by_class=setup.by_class,
        live=live,
    )


def ready(backend: str, out: Path, earlier: Earlier | None) -> tuple[Adapter, Path]:
    """Return the adapter and the path of the run file, or refuse before anything is done.

    Raises:
        FileExistsError: there is a run already, and nothing is to be done with it.
    """
    adapter, path = find_adapter(backend), out / RUN_FILE
    if os.path.lexists(path) and earlier is None:
        msg = (
            f"There is already a run at '{path}': choose another --out, or pass --overwrite, or "
            "--resume to go on with it."
        )
        raise FileExistsError(msg)
    return adapter, path


def to_write(trained: TrainedWith, earlier: Earlier | None) -> dict[str, Any]:
    """Make room for a run file, and return the arguments of `track` that write it.

    Args:
        trained: the training, with the run file's path; its folder is made if it is not there.
        earlier: what to do with what is there.

    Raises:
        ResumeError: what is there was trained otherwise; it is left as it is.
        OSError: nothing can be written there.
    """
    path = trained.path
    if earlier == "resume":
        trained.check()
    make_folder(path.parent)
    if earlier == "replace":
        _remove(path)
    return {"path": path, "resume": earlier == "resume"}


def announcement(setup: Setup, spec: TrainingSpec, dataset: Dataset, backend: str) -> str:
    """Return what will be trained on what."""
    often = "at every step" if setup.every == 1 else f"every {setup.every:,} steps"
    apart = " (and over each class of them)" if setup.by_class else ""
    training, held_out = _looked_at(setup, dataset)
    return (
        f"Training {setup.network} ({spec.network.parameters:,} parameters) on "
        f"{len(dataset.train):,} examples of {dataset.name} with {backend}, "
        f"{counted(spec.steps(len(dataset.train)), 'step')}; the change of the loss over {training}"
        f"{apart}, and over {held_out} held-out ones, is allocated to each parameter "
        f"{often}."
    )


def _looked_at(setup: Setup, dataset: Dataset) -> tuple[str, str]:
    """Return how many of the training examples, and of those held out, are measured."""
    sizes = {"train": len(dataset.train), "val": len(dataset.val)}
    seen = {name: setup.sampling.seen(name, size) for name, size in sizes.items()}
    training = "all of them" if seen["train"] == sizes["train"] else f"{seen['train']:,} of them"
    if setup.redrawn:
        training = f"{seen['train']:,} of them, drawn afresh at every measurement"
    few = f"{seen['val']:,} of " if seen["val"] < sizes["val"] else ""
    return training, f"{few}{sizes['val']:,}"


def work(setup: Setup, spec: TrainingSpec, dataset: Dataset) -> str:
    """Return how much there is to compute, beside what the training itself computes."""
    moving_averages = setup.mode == "eval" and bool(spec.network.buffers)
    each = 1 + setup.integrator().rule.inside + moving_averages
    gradients = each * -(-spec.steps(len(dataset.train)) // setup.every)
    examples, held_out = len(dataset.train), len(dataset.val)
    seen = setup.sampling.seen("train", examples) + setup.sampling.seen("val", held_out)
    times = gradients * seen / (spec.epochs * examples)
    which = f"all {seen:,}" if seen == examples + held_out else f"{seen:,}"
    return (
        f"That takes at least {counted(gradients, 'gradient')} over {which} examples, "
        f"{times:,.0f} times the gradients of the training itself; how long, the first steps show."
    )


def carry_out(
    adapter: Adapter,
    trained: TrainedWith,
    *,
    tracking: Mapping[str, Any],
    console: Console,
    by_class: bool = False,
    live: bool = False,
) -> None:
    """Train, with progress; print the table, write the figures beside the run.

    Args:
        adapter: who trains.
        trained: the training, and where its run is written.
        tracking: arguments of the adapter's `track`; `path` among them.
        console: where to.
        by_class: measure every class of the training data by itself too.
        live: show a table of the layers while training, where there is a terminal.
    """
    spec, dataset, path = trained.spec, trained.dataset, trained.path
    steps = spec.steps(len(dataset.train))
    forecast = Forecast(console, steps, tracking.get("every", 1))
    shown = LiveLayers if live and console.is_terminal else TrainingProgress
    try:
        with shown(console, steps) as progress:

            def on_step(tracker: Tracker) -> None:
                trained(tracker)
                forecast(tracker)
                progress(tracker)

            run = adapter.train(
                spec, dataset, on_step=on_step, tracking=tracking, by_class=by_class
            )
    except KeyboardInterrupt:
        say(console, _stopped(path))
        raise
    console.print()
    print_story(console, run, _MEASURE)
    console.print()
    print_summary(console, run, _MEASURE, by="layer")
    if not math.isnan(progress.overhead.factor):
        console.print()
        say(console, cost(progress.overhead))
    _draw(console, run, path.parent)
    say(console, f"The run: {path} ({shlex.join(['lca', 'show', str(path)])}).")


def _stopped(path: Path) -> str:
    """Say what is safe of a run that was stopped."""
    if not path.exists():
        return "Stopped. Nothing is recorded yet."
    safe = counted(resumes_at(path, resume=True), "step")
    return f"Stopped. Recorded in {path}: {safe}; --resume goes on from there."


def _remove(path: Path) -> None:
    """Delete an earlier run, however little of it was written; a link only as a link.

    Raises:
        FileExistsError: it is no run.
        RunBusyError: another process writes it.
    """
    if path.is_symlink():
        path.unlink()
    elif path.is_dir() and (is_run(path) or not any(path.iterdir())):
        held = hold(path)
        shutil.rmtree(path)
        del held
    elif path.exists():
        msg = (
            f"--overwrite replaces runs, and '{path}' is something else: expected a run file, a "
            "Zarr group with the attribute 'lca'. Move it away, or choose another --out."
        )
        raise FileExistsError(msg)


def _draw(console: Console, run: Run, out: Path) -> None:
    """Draw every figure whose numbers were recorded."""
    paths = []
    for name, draw in FIGURES.items():
        with suppress(NotRecordedError):
            path = out / f"{name}.png"
            save(draw(run, _MEASURE), path)
            paths.append(path)
    say(console, f"Figures: {', '.join(map(str, paths))}.")
