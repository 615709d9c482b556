"""Which figure: an argument that comes behind runs, and is easily forgotten there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lca_core.figures import FIGURES

if TYPE_CHECKING:
    from click import Context, Parameter


class FigureName(click.Choice[str]):
    """One of `FIGURES`."""

    def __init__(self) -> None:
        super().__init__(list(FIGURES))

    def convert(self, value: Any, param: Parameter | None, ctx: Context | None) -> Any:
        """Return the name.

        Raises:
            BadParameter: it is none of a figure, or a run stands in its place.
        """
        if value not in FIGURES and Path(value).exists():
            names = ", ".join(f"'{name}'" for name in FIGURES)
            self.fail(f"the figure's name is missing behind '{value}': one of {names}.", param, ctx)
        return super().convert(value, param, ctx)
