"""What the terminal shows of a run: its story, its table and how its books closed."""

from __future__ import annotations

import math
import sys
from textwrap import fill
from typing import TYPE_CHECKING, Any, Literal

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lca_core.cli.charts import bar
from lca_core.cli.spelling import spell_out
from lca_core.cli.trimmed import Trimmed
from lca_core.story import story
from lca_core.summary import books, closure, layer_lines

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from rich.measure import Measurement

    from lca_core.run import Run
    from lca_core.summary import LayerLine

UNKNOWN = "–"
_PIPE_WIDTH = 120
_NAME_WIDTH = 12
_READABLE = 96
_SHORTEST_BAR, _LONGEST_BAR, _GUTTER = 7, 32, 2
_FIXED_POINT = (1e-3, 1e7)
_PER_PARAMETER = "LCA per\nparameter"
_DISPENSABLE = (_PER_PARAMETER, "parameters", "share", "helping")
"""Columns that a narrow terminal does without, the first to go first: never LCA and its ±."""


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
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(max_width=_READABLE)
    for passage in story(run, measure):
        grid.add_row(passage.topic, Text(passage.text))
    console.print(grid)


def print_summary(console: Console, run: Run, measure: str, by: str) -> None:
    """Print the table of one measure, and a closing line for every measure.

    Args:
        console: where to.
        run: a finished run.
        measure: whose table.
        by: "layer" or "leaf".
    """
    left_out = _left_out(console, run, measure, by)
    table = allocation_table(run, measure, by, left_out=left_out)
    whole = _measured(console, table)
    console.width = max(console.width, whole.minimum)  # a narrow terminal must not cut numbers
    room = min(console.width - whole.maximum - _GUTTER, _LONGEST_BAR)
    if room >= _SHORTEST_BAR:
        drawn = bars(run, measure, by, room, ascii_only=console.options.ascii_only)
        table = allocation_table(run, measure, by, drawn, left_out=left_out)
    console.print(table)
    for name in run.measures:
        say(console, closure(run, name))


def _left_out(console: Console, run: Run, measure: str, by: str) -> Sequence[str]:
    """Return the fewest columns without which the table fits."""
    for count in range(len(_DISPENSABLE)):
        left_out = _DISPENSABLE[:count]
        table = allocation_table(run, measure, by, left_out=left_out)
        if _measured(console, table).minimum <= console.width:
            return left_out
    return _DISPENSABLE


def _measured(console: Console, table: Table) -> Measurement:
    """Return how narrow and how wide a table can be, wherever it is shown."""
    return console.measure(table, options=console.options.update(max_width=_PIPE_WIDTH))


def bars(run: Run, measure: str, by: str, width: int, *, ascii_only: bool) -> list[str]:
    """Return a bar a group and none for the total, all on one scale.

    Args:
        run: a finished run.
        measure: its name.
        by: "layer" or "leaf".
        width: characters.
        ascii_only: draw with what every terminal has.
    """
    *lines, _ = layer_lines(run, measure, by)
    pairs = [
        (0.0 if math.isnan(line.lca) else line.lca, 0.0 if math.isnan(line.error) else line.error)
        for line in lines
    ]
    low = min([0.0, *(lca - error for lca, error in pairs)])
    high = max([0.0, *(lca + error for lca, error in pairs)])
    drawn = [bar(*pair, (low, high), width, ascii_only=ascii_only) for pair in pairs]
    return [*drawn, ""]


def allocation_table(
    run: Run,
    measure: str,
    by: str,
    drawn: Sequence[str] = (),
    *,
    left_out: Collection[str] = (),
) -> Table:
    """Return the table of one measure: a line a group and their total.

    Args:
        run: a finished run.
        measure: its name.
        by: "layer" or "leaf".
        drawn: a bar a line, if there is room for them.
        left_out: headings of columns for which there is no room.
    """
    lines = layer_lines(run, measure, by)
    columns = _columns(lines, drawn)
    shown = {name: cells for name, cells in columns.items() if cells and name not in left_out}
    title = f"{measure}: loss change allocated to every {by}, over {books(run, measure).span}"
    names = min(_NAME_WIDTH, max(len(line.layer) for line in lines))
    table = _empty_table(title, _caption(shown, sampled=run.redrawn(measure)))
    table.add_column(by, overflow="fold", min_width=names, vertical="bottom")
    for heading, cells in shown.items():
        widest = max(map(len, (*heading.split("\n"), *cells)))  # Rich would part "35.1 %"
        justify: Literal["left", "right"] = "right" if heading else "left"
        table.add_column(
            heading, justify=justify, no_wrap=True, min_width=widest, vertical="bottom"
        )
    for line, *row in zip(lines, *shown.values(), strict=True):
        table.add_row(Text(line.layer), *row, end_section=line is lines[-2])
    return table


def _columns(
    lines: Sequence[LayerLine], drawn: Sequence[str]
) -> Mapping[str, Sequence[str | Text]]:
    """Return heading -> cells; the bars have no heading."""

    def inked(texts: Sequence[str]) -> list[Text]:
        return [coloured(text, line.lca) for text, line in zip(texts, lines, strict=True)]

    return {
        "parameters": [f"{line.parameters:,}" for line in lines],
        "LCA": inked(aligned([line.lca for line in lines])),
        "": inked(drawn) if drawn else [],
        "share": [known(100.0 * line.share, ".1f", " %") for line in lines],
        _PER_PARAMETER: inked([known(line.per_parameter, "+.2e") for line in lines]),
        "helping": [known(100.0 * line.helping, ".1f", " %") for line in lines],
        "± error": [known(line.error, ".1e") for line in lines],
    }


def _caption(shown: Collection[str], *, sampled: bool) -> str:
    """Say what the columns mean."""
    total = "1.96 standard errors of sampling" if sampled else "the sum of all gaps"
    parts = [
        "loss units, negative helped, positive hurt",
        "helping: helped / (helped + hurt), mean over steps" * ("helping" in shown),
        f"± of the total: {total}",
        "bars: LCA, shaded within its ±" * ("" in shown),
    ]
    return "; ".join(filter(None, parts))


def aligned(values: Sequence[float], digits: int = 5) -> list[str]:
    """Write signed numbers with the same number of decimals, so that they line up.

    Args:
        values: a column; NaN becomes a dash.
        digits: significant ones of the largest.

    Example:
        >>> aligned([-1.25, 0.5, float("nan")])
        ['-1.2500', '+0.5000', '–']
    """
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    low, high = _FIXED_POINT
    if largest and not low <= largest < high:
        return [known(value, f"+.{digits - 2}e") for value in values]
    magnitude = math.floor(math.log10(largest)) if largest else 0
    return [known(value, f"+.{max(digits - 1 - magnitude, 0)}f") for value in values]


def _empty_table(title: str, caption: str) -> Table:
    return Table(
        title=Text(title, "bold"),
        caption=Text(caption),
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        collapse_padding=True,
    )


def known(value: float, form: str, unit: str = "") -> str:
    """Write a number; a dash where it is not known."""
    return UNKNOWN if math.isnan(value) else format(value, form) + unit


def coloured(text: str, lca: float) -> Text:
    """Return text in green where it helped, in red where it hurt."""
    if lca == 0.0 or math.isnan(lca):
        return Text(text)
    return Text(text, "green" if lca < 0.0 else "red")
