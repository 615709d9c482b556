"""The film of a run, with a bar for each half of the work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from lca_core.cli.terminal import make_console, say
from lca_core.film import named_colours, write_film
from lca_core.run import load
from lca_core.words import counted

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from lca_core.figures.theme import ColourNames
    from lca_core.film import Film

_TASKS = {"scale": "measuring the scale, steps", "frames": "drawing, frames"}


def animate_run(
    path: Path,
    output: Path,
    measure: str | None,
    *,
    colours: ColourNames,
    dark: bool,
    **options: Any,
) -> None:
    """Write the film of a run, and say what it shows.

    Args:
        path: a run file.
        output: the film to write.
        measure: its name; the run's first by default.
        colours: "authors" or "colour-blind".
        dark: on black.
        options: of `write_film`.
    """
    run, console = load(path), make_console()
    chosen = named_colours(colours, dark=dark)
    with _Bars(console) as bars:
        film = write_film(run, output, measure, colours=chosen, told=bars, **options)
    say(console, description(film))


class _Bars(Progress):
    """A bar a kind of work, shown from its first sign of life."""

    def __init__(self, console: Console) -> None:
        super().__init__(
            TextColumn("{task.description}"),
            BarColumn(bar_width=12),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("left"),
            console=console,
        )
        self._known: dict[str, Any] = {}

    def __call__(self, what: str, done: int, of: int) -> None:
        """Show how far it is."""
        if what not in self._known:
            self._known[what] = self.add_task(_TASKS[what], total=of)
        self.update(self._known[what], completed=done)


def description(film: Film) -> str:
    """Return what a film shows.

    Args:
        film: as it was written.
    """
    square = f"{film.zoom} × {film.zoom} pixels" if film.zoom > 1 else "one pixel"
    what = "a parameter" if film.pool == 1 else f"the sum of {film.pool} × {film.pool} parameters"
    return (
        f"The film: {film.path} ({counted(film.frames, 'frame')} of {film.width} × {film.height}; "
        f"{what} is {square}; full colour from |LCA| = {film.scale:.2g} on{_pace(film)})."
    )


def _pace(film: Film) -> str:
    """Say how a .gif keeps a pace that its delays, whole hundredths of a second, do not have."""
    if film.path.suffix.lower() != ".gif" or len(film.delays) == 1:
        return ""
    stay = " and ".join(f"{delay / 100:.2f}" for delay in film.delays)
    return f"; {film.fps:g} frames a second on average, delays of {stay} s"
