"""Every picture there is, of fixed runs."""

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from cli.descent import observed
from lca_core.figures import (
    AUTHORS,
    FIGURES,
    Theme,
    allocation_over_runs,
    delay_sweep,
    toy,
    two_arms,
)
from lca_core.reference import demo_run

THEMES = {"light": AUTHORS, "dark": Theme.of("colour-blind", dark=True)}
RUNS = [demo_run(10 + seed, seed=seed) for seed in range(4)]
RUN = observed(80)

PICTURES = {
    **{name: lambda theme, draw=draw: draw(RUN, "train", theme=theme)
       for name, draw in FIGURES.items()},
    "layers-of-runs": lambda theme: allocation_over_runs(RUNS, "train", theme=theme),
    "layers-of-arms": lambda theme: two_arms(RUNS, "train", RUNS[:3], theme=theme),
    "delays": lambda theme: delay_sweep({0: RUNS, 4: RUNS[:3], 9: RUNS[1:]}, "train", theme=theme),
    "toy": lambda theme: toy(theme=theme),
}  # fmt: skip
"""Name -> function of a theme."""


def rendered(figure):
    """Return the canvas that a figure was drawn on."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return canvas


def words(figure):
    """Return the texts that are seen."""
    return [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]
