"""Pictures of a run, for papers and screens: one file a picture; needs matplotlib."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lca_core.figures.distribution import distribution
from lca_core.figures.generalisation import generalisation
from lca_core.figures.helping import helping_over_time
from lca_core.figures.heroes import heroes_and_villains
from lca_core.figures.layers import allocation_by_layer
from lca_core.figures.loss import loss_and_allocation
from lca_core.figures.peaks import moments_of_learning
from lca_core.figures.style import DPI
from lca_core.figures.trajectories import trajectories
from lca_core.figures.units import units_over_time

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from matplotlib.figure import Figure

    from lca_core.run import Run

__all__ = [
    "FIGURES",
    "allocation_by_layer",
    "distribution",
    "generalisation",
    "helping_over_time",
    "heroes_and_villains",
    "loss_and_allocation",
    "moments_of_learning",
    "save",
    "trajectories",
    "units_over_time",
]

FIGURES: dict[str, Callable[[Run, str], Figure]] = {
    "loss": loss_and_allocation,
    "layers": allocation_by_layer,
    "helping": helping_over_time,
    "units": units_over_time,
    "peaks": moments_of_learning,
    "distribution": distribution,
    "heroes": heroes_and_villains,
    "trajectories": trajectories,
    "generalisation": generalisation,
}
"""name -> function of a run and the name of a measure; `NotRecordedError` says what is missing."""


def save(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write a figure; the end of the name says the format, PNG if there is none.

    Args:
        figure: any.
        path: "loss.pdf", "loss.svg", "loss.png", ...

    Raises:
        ValueError: matplotlib does not write that format.
    """
    figure.savefig(path, format=Path(path).suffix.lstrip(".") or "png", dpi=DPI)
