"""Pictures of a run, for papers and screens: one file a picture; needs matplotlib."""

from __future__ import annotations

from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from lca_core.figures.arms import two_arms
from lca_core.figures.delays import delay_sweep
from lca_core.figures.distribution import distribution
from lca_core.figures.generalisation import generalisation
from lca_core.figures.helping import helping_over_time
from lca_core.figures.heroes import heroes_and_villains
from lca_core.figures.layers import allocation_by_layer
from lca_core.figures.loss import loss_and_allocation
from lca_core.figures.means_over_steps import Line, means_over_steps
from lca_core.figures.peaks import moments_of_learning
from lca_core.figures.per_parameter import allocation_per_parameter
from lca_core.figures.rules import error_against_cost
from lca_core.figures.seeds import allocation_over_runs
from lca_core.figures.shares import shares_of_arms
from lca_core.figures.style import write
from lca_core.figures.theme import AUTHORS, Theme
from lca_core.figures.totals import totals
from lca_core.figures.toy import toy
from lca_core.figures.trajectories import trajectories
from lca_core.figures.units import units_over_time
from lca_core.whole import whole

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from matplotlib.figure import Figure

__all__ = [
    "AUTHORS",
    "FIGURES",
    "FIGURES_OF_ARMS",
    "FIGURES_OF_RUNS",
    "Line",
    "Theme",
    "allocation_by_layer",
    "allocation_over_runs",
    "allocation_per_parameter",
    "delay_sweep",
    "distribution",
    "error_against_cost",
    "generalisation",
    "helping_over_time",
    "heroes_and_villains",
    "loss_and_allocation",
    "means_over_steps",
    "moments_of_learning",
    "save",
    "shares_of_arms",
    "totals",
    "toy",
    "trajectories",
    "two_arms",
    "units_over_time",
]

FIGURES: dict[str, Callable[..., Figure]] = {
    "loss": loss_and_allocation,
    "layers": allocation_by_layer,
    "helping": helping_over_time,
    "per-parameter": allocation_per_parameter,
    "units": units_over_time,
    "peaks": moments_of_learning,
    "gradient-peaks": partial(moments_of_learning, of="gradient"),
    "motion-peaks": partial(moments_of_learning, of="motion"),
    "totals": totals,
    "distribution": distribution,
    "heroes": heroes_and_villains,
    "trajectories": trajectories,
    "generalisation": generalisation,
}
"""name -> function of a run, the name of a measure and `theme=`; `NotRecordedError` says what is
missing."""

FIGURES_OF_RUNS: dict[str, Callable[..., Figure]] = {"layers": allocation_over_runs}
"""name -> function of several runs, the name of a measure and `theme=`."""

FIGURES_OF_ARMS: dict[str, Callable[..., Figure]] = {"layers": two_arms}
"""name -> function of runs, the name of a measure, the runs against them, `names=`, `theme=`."""


def save(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write a figure; the end of the name says the format, PNG if there is none.

    Args:
        figure: any.
        path: "loss.pdf", "loss.svg", "loss.png", ...; an earlier one is replaced in one rename.

    Raises:
        ValueError: matplotlib does not write that format.
        FileNotFoundError: there is no such folder.
        OSError: the file could not be written; its name is in the words.
    """
    place, drawn = Path(path), BytesIO()
    # In memory first: what matplotlib makes of a full disk depends on the format.
    write(figure, drawn, place.suffix.lstrip(".") or "png")
    with whole(place) as aside:
        aside.write_bytes(drawn.getvalue())
