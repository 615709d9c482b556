"""What the arrays of every run mean, in the words of the CF conventions, for xarray say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lca_core.segment import Status

if TYPE_CHECKING:
    from collections.abc import Mapping

LOSS = "loss units"

_STATUS = {
    "long_name": "how the books of the step closed",
    "flag_values": [int(one) for one in Status],
    "flag_meanings": " ".join(one.name.lower() for one in Status),
}

MEANINGS: Mapping[str, Mapping[str, Any]] = {
    "iteration": {"units": "steps", "long_name": "optimizer steps so far"},
    "loss": {"units": LOSS, "long_name": "loss over the measure's data"},
    "gap": {"units": LOSS, "long_name": "loss change minus all that was allocated"},
    "buffers": {"units": LOSS, "long_name": "loss change that moving buffers caused"},
    "noise": {"units": LOSS, "long_name": "rounding floor of the gap"},
    "allocation": {"units": LOSS, "long_name": "loss change allocated; negative helped"},
    "error": {"units": LOSS, "long_name": "finer minus coarser rule of integration"},
    "evaluations": {"units": "gradients", "long_name": "gradients evaluated over the data"},
    "status": _STATUS,
    "audited": {"long_name": "whether the step was refined by lot, beyond need"},
    "reversed": {"units": "parameters", "long_name": "of another sign under the finer rule"},
    "helped": {"units": "parameters", "long_name": "parameters with an allocation below zero"},
    "hurt": {"units": "parameters", "long_name": "parameters with an allocation above zero"},
    "unit_allocation": {"units": LOSS, "long_name": "loss change allocated to units"},
    "parameters": {"units": "parameters", "long_name": "size of the leaf"},
}
"""Array -> its attributes; an observer of one's own may declare arrays that are not here."""


def attributes(name: str) -> dict[str, Any]:
    """Return the attributes of an array; none for one that only its observer knows.

    Args:
        name: of the array.

    Example:
        >>> from lca_core.meanings import attributes
        >>> attributes("status")["flag_meanings"]
        'ok cap stalled nonfinite estimated'
    """
    return dict(MEANINGS.get(name, {}))
