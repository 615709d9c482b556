"""How the trainings of an experiment are measured, as the article measured them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lca_core.networks import NetworkSpec
    from lca_core.typing import Observer


def tracking(network: NetworkSpec, observers: Sequence[Observer]) -> dict[str, Any]:
    """Return arguments of `track`: batch norm is measured with the statistics of the data.

    Args:
        network: that is trained.
        observers: what is kept of every step.

    Example:
        >>> from lca_core.experiments.planning import tracking
        >>> from lca_core.networks import fc, resnet20
        >>> tracking(fc(), []), tracking(resnet20(), [])
        ({'observers': ()}, {'observers': (), 'mode': 'batch-stats'})
    """
    mode = {"mode": "batch-stats"} if network.buffers else {}
    return {"observers": tuple(observers), **mode}
