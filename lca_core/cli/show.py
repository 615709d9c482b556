"""What the commands do with a run file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lca_core.cli.terminal import make_console, print_summary
from lca_core.run import load

if TYPE_CHECKING:
    from pathlib import Path


def show_run(path: Path, measure: str | None, by: str) -> None:
    """Print the table of a run, and how its books closed.

    Args:
        path: a run file.
        measure: whose table; the run's first by default.
        by: "layer" or "leaf".
    """
    run = load(path)
    print_summary(make_console(), run, measure or run.measures[0], by)
