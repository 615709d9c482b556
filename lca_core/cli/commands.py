"""The commands and their options; each hands over to a function of its own."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lca_core.cli import options
from lca_core.cli.figure_name import FigureName
from lca_core.cli.figure_width import NARROWEST, FigureWidth
from lca_core.cli.run_path import RunPath
from lca_core.cli.stopping import stopping
from lca_core.errors import LCAError
from lca_core.experiments.catalogue import EXPERIMENTS
from lca_core.figures import FIGURES, Theme
from lca_core.figures.theme import COLOURS, ColourNames
from lca_core.training import TrainingSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lca_core.cli.run import Earlier


class _OneLineErrors(click.Group):
    """Shows the errors that a user can mend as one line, and stops as a shell expects it."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Read the arguments, and print the help where they ask for it."""
        with _one_line():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        with _one_line():
            return super().invoke(ctx)


@contextmanager
def _one_line() -> Iterator[None]:
    try:
        with stopping():
            yield
    except (LCAError, OSError) as error:
        if isinstance(error, BrokenPipeError):  # nobody reads on: click ends in silence
            raise
        raise click.ClickException(str(error)) from error


def _note_earlier(ctx: click.Context, option: click.Parameter, given: bool) -> None:  # noqa: FBT001
    """Pass on what to do with an earlier run; of two wishes one would win in silence."""
    if given and ctx.params.setdefault("earlier", option.name) != option.name:
        msg = "--overwrite begins anew and --resume goes on: pass one of them."
        raise click.UsageError(msg, ctx)


@click.group(cls=_OneLineErrors, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="loss-change-allocation", prog_name="lca")
def lca() -> None:
    """Loss Change Allocation: how much of every step's loss change each parameter caused."""


_backend = click.option(
    "--backend", default="torch", show_default=True, help="Framework that trains."
)
_wish: dict[str, Any] = {"is_flag": True, "expose_value": False, "callback": _note_earlier}
_earlier = options.stacked(
    click.option("--overwrite", "replace", help="Replace an earlier run.zarr in --out.", **_wish),
    click.option(
        "--resume", help="Go on with an earlier run.zarr in --out that was broken off.", **_wish
    ),
)
_live = click.option("--live", is_flag=True, help="Show a table of the layers while training.")


def _out(**settings: Any) -> Callable[..., Any]:
    kind = click.Path(file_okay=False, path_type=Path)
    text = "Directory for the run file and the figures."
    return click.option("--out", type=kind, help=text, **settings)


@lca.command()
@_backend
@_out(default=Path("lca-demo"), show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=TrainingSpec().seed, show_default=True)
@click.option(
    "--epochs",
    type=click.IntRange(min=1),
    default=TrainingSpec().epochs,
    show_default=True,
    help="Passes over the training data.",
)
@_live
@_earlier
def demo(
    backend: str,
    out: Path,
    seed: int,
    epochs: int,
    *,
    live: bool,
    earlier: Earlier | None = None,
) -> None:
    """Train a small network on digits, and show who did what."""
    from lca_core.cli.demo import run_demo

    spec = TrainingSpec(seed=seed, epochs=epochs)
    run_demo(backend, out, spec, earlier=earlier, live=live)


@lca.command()
@_backend
@_out(required=True)
@options.training
@options.measuring
@_live
@_earlier
def run(
    backend: str, out: Path, *, live: bool, earlier: Earlier | None = None, **chosen: Any
) -> None:
    """Train one of the paper's networks, and allocate every step's loss change.

    The defaults are the paper's: batches of 250, learning rates of 0.01 for sgd, 0.001 for rmsprop
    and 0.0001 for adam, 5,000 training examples held out.
    """
    from lca_core.cli.run import run_setup
    from lca_core.cli.setup import Setup

    run_setup(Setup(**chosen), backend, out, earlier=earlier, live=live)


@lca.command()
@_backend
@options.training
@options.keeping
@click.option(
    "--budget", metavar="TIMES",
    help="Time with measuring / time of the training alone to choose by, such as 1.5x.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead.")
def plan(backend: str, budget: str | None, *, as_json: bool, **chosen: Any) -> None:
    """Say what measuring a training would cost, all examples or samples, before it is run.

    A few steps are trained and measured in every way; nothing is written.
    """
    from lca_core.cli.plan import plan_setup
    from lca_core.cli.setup import Setup

    plan_setup(Setup.unsampled(**chosen), backend, budget, as_json=as_json)


_file = click.argument("run", type=RunPath())
_measure = click.option("--measure", metavar="NAME", help="Its name; the run's first by default.")


@lca.command()
@_file
@_measure
@click.option(
    "--by", type=click.Choice(["layer", "leaf"]), default="layer", show_default=True,
    help="One line a layer, or a named parameter array.",
)  # fmt: skip
def show(run: Path, measure: str | None, by: str) -> None:
    """Tell the story of a run file, with small charts and a table."""
    from lca_core.cli.show import show_run

    show_run(run, measure, by)


@lca.command(epilog=f"NAME is one of {', '.join(FIGURES)}.")
@click.argument("runs", nargs=-1, type=RunPath(), metavar="RUN...")
@click.argument("name", type=FigureName(), metavar="NAME")
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), required=True,
    help="File to write; its ending says the format: .png, .pdf, .svg, ...; PNG without one.",
)  # fmt: skip
@_measure
@click.option(
    "--against", type=RunPath(), metavar="RUN", multiple=True,
    help="A run of a second arm, drawn beside the others; repeatable.",
)  # fmt: skip
@click.option("--layer", metavar="NAME", help="Of 'units' and 'totals': which layer.")
@click.option(
    "--colours", type=click.Choice(list(COLOURS)), default="authors", show_default=True,
    help="Green and red as in the article, or blue and orange.",
)  # fmt: skip
@click.option("--dark", is_flag=True, help="On dark paper.")
@click.option(
    "--width", type=FigureWidth(), default=5.0, show_default=True, metavar="INCHES",
    help=f"Words keep their size: {NARROWEST} fits a column of two.",
)  # fmt: skip
@click.pass_context
def figure(
    context: click.Context,
    /,
    output: Path,
    colours: ColourNames,
    width: float,
    *,
    dark: bool,
    **chosen: Any,
) -> None:
    """Draw one figure of a run file.

    Of several runs, and of two arms (--against), there is 'layers'.
    """
    from lca_core.cli.figure import Choice, draw_figure

    if not chosen["runs"]:
        raise click.MissingParameter(ctx=context, param_hint="'RUN...'", param_type="argument")
    theme = Theme.of(colours, dark=dark, width=width)
    draw_figure(Choice(**chosen, theme=theme), output)


@lca.command()
@_file
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), required=True,
    help="File to write: .mp4 or .gif.",
)  # fmt: skip
@_measure
@options.filming
def animate(run: Path, output: Path, measure: str | None, **chosen: Any) -> None:
    """Draw every parameter at every step, as a film; needs a run made with --dense."""
    from lca_core.cli.animate import animate_run

    animate_run(run, output, measure, **chosen)


@lca.command()
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=RunPath())
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path),
    default=Path("report.html"), show_default=True, help="Page to write.",
)  # fmt: skip
def report(runs: tuple[Path, ...], output: Path) -> None:
    """Write one page that opens offline: the story of a run, charts, tables; or several runs."""
    from lca_core.cli.report import report_runs

    report_runs(runs, output)


_names = f"NAME is one of {', '.join(EXPERIMENTS)}, or your own as package.module:NAME."


@lca.command(epilog=_names)
@click.argument("name", required=False, metavar="NAME")
@click.option("--list", "listing", is_flag=True, help="Print the experiments and their claims.")
@_backend
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the runs and the verdict.  [required]",
)  # fmt: skip
@options.experimenting
@click.option(
    "--set", "settings", multiple=True, metavar="FIELD=VALUE", callback=options.settings,
    help="Set a field of the experiment: step=100 of freeze; layer=conv3 of freeze and delay; "
    "repeatable.",
)  # fmt: skip
@click.option(
    "--executor", default="processes", show_default=True, metavar="HOW",
    help="Who makes the runs: serial, processes, processes:N, or dask://HOST:PORT.",
)  # fmt: skip
@click.option("--judge-only", is_flag=True, help="Judge the runs that are there.")
@click.pass_context
def experiment(
    context: click.Context,
    /,
    name: str | None,
    backend: str,
    out: Path | None,
    *,
    settings: dict[str, str],
    executor: str,
    listing: bool,
    judge_only: bool,
    **chosen: Any,
) -> None:
    """Test a claim of the article: many runs, one verdict.

    A run that is finished is not made again: the same command goes on with what is missing.
    """
    from lca_core.cli.experiment import (
        ExperimentSetup,
        list_experiments,
        run_experiment,
        said_again,
    )

    if listing:
        list_experiments()
        return
    if name is None or out is None:
        msg = f"Missing {'--out' if name else 'NAME'}. {_names}"
        raise click.UsageError(msg)
    run_experiment(
        name,
        ExperimentSetup(**chosen),
        backend,
        out,
        settings=settings,
        executor=executor,
        judge_only=judge_only,
        command=said_again(context),
    )
