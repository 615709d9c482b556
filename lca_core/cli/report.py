"""`lca report`: runs on disk become one page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from lca_core.cli.terminal import make_console, say
from lca_core.report import write_report
from lca_core.report.names import names_of
from lca_core.run import load

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.console import Console


def report_runs(paths: Sequence[Path], output: Path) -> None:
    """Write the report of one run, or of several side by side.

    Args:
        paths: run files, finished or being written.
        output: the page to write.
    """
    console = make_console()
    runs = dict(zip(names_of(paths), map(load, paths), strict=True))
    with _progress(console) as bar:
        task = bar.add_task("", total=None)

        def told(what: str, done: int, of: int) -> None:
            bar.update(task, description=what, completed=done, total=of)

        write_report(runs, output, progress=told)
    size = output.stat().st_size / 1e6
    say(console, f"The report: {output} ({size:.1f} MB; it opens offline in any browser).")


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=12),
        MofNCompleteColumn(),
        TimeRemainingColumn(compact=True),
        console=console,
        transient=True,
    )
