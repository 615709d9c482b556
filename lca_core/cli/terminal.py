"""What the terminal shows of a run: its story, its table and how its books closed."""

from __future__ import annotations

import sys
from textwrap import fill
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lca_core.cli.spelling import spell_out
from lca_core.cli.table import DISPENSABLE, AllocationTable
from lca_core.cli.trimmed import Trimmed
from lca_core.story import story
from lca_core.summary import closure
from lca_core.wrapped import wrapped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.measure import Measurement

    from lca_core.run import Run

_PIPE_WIDTH = 120
_READABLE = 96
_SHORTEST_BAR, _LONGEST_BAR, _GUTTER = 7, 32, 2


def make_console() -> Console:
    """Return a console on today's stdout; wide, its lines trimmed, where it is no terminal."""
    spell_out(sys.stdout)
    if sys.stdout.isatty():
        return Console()
    piped: Any = Trimmed(sys.stdout)
    return Console(file=piped, width=_PIPE_WIDTH)


def say(console: Console, line: str) -> None:
    """Print one line as it is: no markup, no colours, no break inside a path.

    A terminal breaks it between words, a file gets it whole.
    """
    if console.is_terminal:
        line = fill(line, console.width, break_long_words=False, break_on_hyphens=False)
    console.print(Text(line), soft_wrap=True)


def print_story(console: Console, run: Run, measure: str) -> None:
    """Print what happened in plain words, a paragraph a topic.

    Args:
        console: where to.
        run: a finished run.
        measure: whose story.
    """
    passages = story(run, measure)
    room = console.width - max(len(one.topic) for one in passages) - _GUTTER
    grid = Table.grid(padding=(0, _GUTTER, 0, 0))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column()
    for one in passages:
        grid.add_row(one.topic, Text(wrapped(one.text, min(max(room, 1), _READABLE))))
    console.print(grid)


def print_summary(console: Console, run: Run, measure: str, by: str) -> None:
    """Print the table of one measure, and a closing line for every measure.

    Args:
        console: where to.
        run: a finished run.
        measure: whose table.
        by: "layer" or "leaf".
    """
    contents = AllocationTable.of(run, measure, by)
    left_out, table, size = _fitting(console, contents)
    width = console.width
    console.width = max(width, size.minimum)  # a narrow terminal must not cut numbers
    room = min(console.width - size.maximum - _GUTTER, _LONGEST_BAR)
    if room >= _SHORTEST_BAR:
        bars = contents.bars(room, ascii_only=console.options.ascii_only)
        table = contents.drawn(bars, left_out=left_out)
    console.print(table)
    console.width = width  # but sentences can be broken
    for name in run.measures:
        say(console, closure(run, name))


def _fitting(
    console: Console, contents: AllocationTable
) -> tuple[Sequence[str], Table, Measurement]:
    """Return the fewest columns to leave out, the table without them, and its width.

    It fits, unless it has only the columns that are never left out.
    """
    anywhere = console.options.update(max_width=_PIPE_WIDTH)
    for count in range(len(DISPENSABLE) + 1):
        left_out = DISPENSABLE[:count]
        table = contents.drawn(left_out=left_out)
        size = console.measure(table, options=anywhere)
        if size.minimum <= console.width:
            break
    return left_out, table, size
