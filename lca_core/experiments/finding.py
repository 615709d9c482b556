"""How an experiment is found: in the catalogue, or in anybody's module."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lca_core.errors import UnknownNameError
from lca_core.experiments.catalogue import EXPERIMENTS
from lca_core.imported import imported

if TYPE_CHECKING:
    from lca_core.experiments.experiment import Experiment


def find_experiment(name: str) -> Experiment:
    """Return an experiment.

    Args:
        name: one of `EXPERIMENTS`, or `package.module:NAME`.

    Raises:
        UnknownNameError: there is none.
    """
    if ":" in name:
        own: Experiment = imported(name, "experiment")
        return own
    if name not in EXPERIMENTS:
        msg = (
            f"No experiment is called '{name}'; there are {', '.join(EXPERIMENTS)}. "
            "One of your own is named package.module:NAME."
        )
        raise UnknownNameError(msg)
    return EXPERIMENTS[name]
