"""What the commands do with a run file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lca_core.cli.pictures import pictures
from lca_core.cli.terminal import make_console, print_story, print_summary, say
from lca_core.figures import FIGURES, save
from lca_core.run import load

if TYPE_CHECKING:
    from pathlib import Path


def show_run(path: Path, measure: str | None, by: str) -> None:
    """Print the story of a run, its small pictures, its table, and how its books closed.

    Args:
        path: a run file.
        measure: whose table; the run's first by default.
        by: "layer" or "leaf".
    """
    run, console = load(path), make_console()
    measure = measure or run.measures[0]
    print_story(console, run, measure)
    if run.steps:
        drawn = pictures(run, measure, console.width, ascii_only=console.options.ascii_only)
        console.print("", drawn, sep="\n")
    console.print()
    print_summary(console, run, measure, by)


def draw_figure(path: Path, name: str, output: Path, measure: str | None) -> None:
    """Write one figure of a run.

    Args:
        path: a run file.
        name: one of `FIGURES`.
        output: the picture to write.
        measure: its name; the run's first by default.
    """
    run = load(path)
    figure = FIGURES[name](run, measure or run.measures[0])
    try:
        save(figure, output)
    except ValueError as error:  # matplotlib names the formats that it writes
        raise click.BadParameter(str(error), param_hint="-o") from error
    say(make_console(), f"The figure: {output}.")
