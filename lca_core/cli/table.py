"""The table of one measure: a line a layer and their total, as wide as there is room."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from attrs import frozen
from rich import box
from rich.table import Table
from rich.text import Text

from lca_core.cli.charts import bar
from lca_core.cli.numbers import aligned, coloured, known
from lca_core.summary import layer_lines, span

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from lca_core.run import Run
    from lca_core.summary import LayerLine

_NAME_WIDTH = 12
_PER_PARAMETER = "LCA per\nparameter"
DISPENSABLE = (_PER_PARAMETER, "parameters", "share", "helping")
"""Columns that a narrow terminal does without, the first to go first: never LCA and its ±."""


@frozen
class AllocationTable:
    """What is in the table of one measure; `drawn` as often as it takes to find what fits.

    Args:
        lines: one a group, and the total.
        by: "layer" or "leaf".
        title: over the table.
        sampled: whether the measure was redrawn.
    """

    lines: Sequence[LayerLine]
    by: str
    title: str
    sampled: bool

    @classmethod
    def of(cls, run: Run, measure: str, by: str) -> AllocationTable:
        """Return that of a run.

        Args:
            run: a finished run.
            measure: its name.
            by: "layer" or "leaf".
        """
        title = f"{measure}: loss change allocated to every {by}, over {span(run)}"
        return cls(layer_lines(run, measure, by), by, title, run.redrawn(measure))

    def drawn(self, bars: Sequence[str] = (), *, left_out: Collection[str] = ()) -> Table:
        """Return the table.

        Args:
            bars: one a line, if there is room for them.
            left_out: headings of columns for which there is no room.
        """
        columns = self._columns(bars)
        shown = {name: cells for name, cells in columns.items() if cells and name not in left_out}
        names = min(_NAME_WIDTH, max(len(line.layer) for line in self.lines))
        table = _empty_table(self.title, _caption(shown, sampled=self.sampled))
        table.add_column(self.by, overflow="fold", min_width=names, vertical="bottom")
        for heading, cells in shown.items():
            widest = max(map(len, (*heading.split("\n"), *cells)))  # Rich would part "35.1 %"
            justify: Literal["left", "right"] = "right" if heading else "left"
            table.add_column(
                heading, justify=justify, no_wrap=True, min_width=widest, vertical="bottom"
            )
        for line, *row in zip(self.lines, *shown.values(), strict=True):
            table.add_row(Text(line.layer), *row, end_section=line is self.lines[-2])
        return table

    def bars(self, width: int, *, ascii_only: bool) -> list[str]:
        """Return a bar a group and none for the total, all on one scale.

        Args:
            width: characters.
            ascii_only: draw with what every terminal has.
        """
        finite = [
            [value if math.isfinite(value) else 0.0 for value in (line.lca, line.error)]
            for line in self.lines[:-1]
        ]
        # A bar has no unit: without these powers of two, sums of a diverged run would overflow.
        _, power = math.frexp(max((abs(value) for pair in finite for value in pair), default=0.0))
        pairs = [[math.ldexp(value, -power) for value in pair] for pair in finite]
        low = min([0.0, *(lca - error for lca, error in pairs)])
        high = max([0.0, *(lca + error for lca, error in pairs)])
        drawn = [bar(lca, error, (low, high), width, ascii_only=ascii_only) for lca, error in pairs]
        return [*drawn, ""]

    def _columns(self, bars: Sequence[str]) -> Mapping[str, Sequence[str | Text]]:
        """Return heading -> cells; the bars have no heading."""
        lines = self.lines

        def inked(texts: Sequence[str]) -> list[Text]:
            return [coloured(text, line.lca) for text, line in zip(texts, lines, strict=True)]

        return {
            "parameters": [f"{line.parameters:,}" for line in lines],
            "LCA": inked(aligned([line.lca for line in lines])),
            "": inked(bars) if bars else [],
            "share": [known(100.0 * line.share, "z.1f", " %") for line in lines],
            _PER_PARAMETER: inked([known(line.per_parameter, "+.2e") for line in lines]),
            "helping": [known(100.0 * line.helping, ".1f", " %") for line in lines],
            "± error": [known(line.error, ".1e") for line in lines],
        }


def _caption(shown: Collection[str], *, sampled: bool) -> str:
    """Say what the columns mean."""
    total = "95 % of sampling" if sampled else "the sum of all gaps"
    parts = [
        "loss units, negative helped, positive hurt",
        "helping: helped / (helped + hurt), mean over steps" * ("helping" in shown),
        f"± of the total: {total}",
        "bars: LCA, shaded within its ±" * ("" in shown),
    ]
    return "; ".join(filter(None, parts))


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
