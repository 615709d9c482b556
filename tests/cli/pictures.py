"""Every picture there is, of fixed runs."""

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from cli.descent import observed
from lca_core.figures import (
    AUTHORS,
    FIGURES,
    Line,
    Theme,
    allocation_over_runs,
    delay_sweep,
    error_against_cost,
    means_over_steps,
    shares_of_arms,
    toy,
    two_arms,
)
from lca_core.reference import demo_run

THEMES = {"light": AUTHORS, "dark": Theme.of("colour-blind", dark=True)}
RUNS = [demo_run(10 + seed, seed=seed) for seed in range(4)]
RUN = observed(80)
SHARES = 0.4 + 0.2 * np.sin(np.arange(4.0)[:, None] + np.arange(12.0) / 3)

PICTURES = {
    **{name: lambda theme, draw=draw: draw(RUN, "train", theme=theme)
       for name, draw in FIGURES.items()},
    "layers-of-runs": lambda theme: allocation_over_runs(RUNS, "train", theme=theme),
    "layers-of-arms": lambda theme: two_arms(RUNS, "train", RUNS[:3], theme=theme),
    "delays": lambda theme: delay_sweep({0: RUNS, 4: RUNS[:3], 9: RUNS[1:]}, "train", theme=theme),
    "toy": lambda theme: toy(theme=theme),
    "shares": lambda theme: shares_of_arms(
        {"sgd": SHARES[0], "adam, a long name": SHARES[1] / 2}, expected=(0.5, 0.51),
        what="helping", heading="share that helps", theme=theme),
    "means-over-steps": lambda theme: means_over_steps(
        [Line(f"arm {arm}", np.arange(12), SHARES + arm / 5) for arm in range(3)],
        what="share", heading="share over steps", level=0.5, theme=theme),
    "rules": lambda theme: error_against_cost(
        {"trapezoid": 1.0, "simpson": 2.0, "adaptive": 1.1},
        {"error of totals": {"trapezoid": [1e-2, 3e-2], "simpson": [1e-5], "adaptive": [2e-4]}},
        marked=("adaptive",), line=1e-3, theme=theme),
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
