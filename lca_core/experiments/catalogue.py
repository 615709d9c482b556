"""The experiments by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lca_core.experiments.delay import DELAY
from lca_core.experiments.freeze import FREEZE
from lca_core.experiments.integrator import INTEGRATOR
from lca_core.experiments.layers import LAYERS
from lca_core.experiments.noise import NOISE
from lca_core.experiments.overfit import OVERFIT
from lca_core.experiments.synchrony import SYNCHRONY

if TYPE_CHECKING:
    from lca_core.experiments.experiment import Experiment

_ALL: tuple[Experiment, ...] = (
    NOISE,
    LAYERS,
    FREEZE,
    DELAY,
    SYNCHRONY,
    INTEGRATOR,
    OVERFIT,
)

EXPERIMENTS: dict[str, Experiment] = {one.name: one for one in _ALL}
"""name -> experiment, in the article's order."""
