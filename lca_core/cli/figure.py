"""One figure of a run file, or of several."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import click
from attrs import field, frozen

from lca_core.cli.terminal import make_console, say
from lca_core.figures import FIGURES, FIGURES_OF_ARMS, FIGURES_OF_RUNS, save
from lca_core.run import load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from matplotlib.figure import Figure

    from lca_core.figures import Theme

    Draw: TypeAlias = Callable[..., Figure]

_OF_A_LAYER = ("units", "totals")


@frozen
class Choice:
    """What to draw.

    Args:
        name: of the figure.
        runs: run files.
        against: run files of a second arm.
        measure: its name; the first run's first by default.
        layer: of the figures that are about one.
        theme: how it looks.
    """

    name: str
    runs: Sequence[Path]
    against: Sequence[Path] = ()
    measure: str | None = None
    layer: str | None = None
    theme: Theme = field(kw_only=True)

    def draw(self) -> Figure:
        """Return the figure.

        Raises:
            BadParameter: there is no such figure of so many runs, or it is not about a layer.
        """
        runs, against = ([load(path) for path in paths] for paths in (self.runs, self.against))
        measure = self.measure or runs[0].measures[0]
        if against:
            draw = self._among(FIGURES_OF_ARMS, "two arms")
            names = (_arm(self.runs), _arm(self.against))
            return draw(runs, measure, against, names=names, theme=self.theme)
        if len(runs) > 1:
            return self._among(FIGURES_OF_RUNS, "several runs")(runs, measure, theme=self.theme)
        return FIGURES[self.name](runs[0], measure, **self._layer(), theme=self.theme)

    def _among(self, figures: Mapping[str, Draw], of: str) -> Draw:
        if self.name not in figures or self.layer:
            about = " of one layer" * bool(self.layer)
            msg = f"Of {of} there is no figure '{self.name}'{about}; there is {_list(figures)}."
            raise click.BadParameter(msg, param_hint="NAME")
        return figures[self.name]

    def _layer(self) -> dict[str, str]:
        if self.layer and self.name not in _OF_A_LAYER:
            msg = f"'{self.name}' is not about one layer; {_list(_OF_A_LAYER)} are."
            raise click.BadParameter(msg, param_hint="--layer")
        return {"layer": self.layer} if self.layer else {}


def draw_figure(choice: Choice, output: Path) -> None:
    """Draw, and write the picture.

    Args:
        choice: what.
        output: where to; its ending says the format.
    """
    figure = choice.draw()
    try:
        save(figure, output)
    except ValueError as error:  # matplotlib names the formats that it writes
        raise click.BadParameter(str(error), param_hint="-o") from error
    say(make_console(), f"The figure: {output}.")


def _arm(paths: Sequence[Path]) -> str:
    """Name an arm by its first run: the directory of a run.zarr, or else the file."""
    first = paths[0].resolve()
    name = first.parent.name if first.name == "run.zarr" else first.stem
    return name if len(paths) == 1 else f"{name} and others"


def _list(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
