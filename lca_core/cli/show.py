"""What the commands do with a run file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lca_core.cli.pictures import pictures
from lca_core.cli.terminal import make_console, print_story, print_summary
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
