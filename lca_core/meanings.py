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
    "discarded": {"long_name": "whether `error` compares with a finer rule that was not kept"},
    "reversed": {"units": "parameters", "long_name": "of another sign under the finer rule"},
    "helped": {"units": "parameters", "long_name": "parameters with an allocation below zero"},
    "hurt": {"units": "parameters", "long_name": "parameters with an allocation above zero"},
    "unit_allocation": {"units": LOSS, "long_name": "loss change allocated to units"},
    "axis_allocation": {"units": LOSS, "long_name": "loss change allocated to slices"},
    "subsample_allocation": {"units": LOSS, "long_name": "allocated as one subsample has it"},
    "subsample_unit_allocation": {
        "units": LOSS,
        "long_name": "allocated to units as one subsample has it",
    },
    **{
        f"{of}_turned": {
            "units": "parameters",
            "long_name": f"parameters whose {of} changed its sign since the last step seen",
        }
        for of in ("motion", "gradient", "allocation")
    },
    "motion_square": {
        "units": "parameter units squared",
        "long_name": "sum of squared motions of the step",
    },
    "gradient_square": {
        "units": "(loss units per parameter unit) squared",
        "long_name": "sum of squares of the mean gradient along the step",
    },
    **{
        f"{how}_{of}": {"units": units, "long_name": f"{what} of single parameters"}
        for how in ("watched", "dense")
        for of, units, what in (
            ("weight", "parameter units", "value at the end of the step"),
            ("gradient", "loss units per parameter unit", "gradient at the end of the step"),
            ("allocation", LOSS, "loss change allocated, negative helped,"),
        )
    },
    "parameters": {"units": "parameters", "long_name": "size of the leaf"},
}
"""Array -> its attributes; an observer of one's own may declare arrays that are not here."""


def attributes(name: str, leaf: str = "") -> dict[str, Any]:
    """Return the attributes of an array; no meaning for one that only its observer knows.

    Args:
        name: of the array.
        leaf: that it is of, if it is of one; its name then ends in the leaf's number.

    Example:
        >>> from lca_core.meanings import attributes
        >>> attributes("status")["flag_meanings"]
        'ok cap stalled nonfinite estimated'
        >>> attributes("dense_weight_0", leaf="fc1.bias")["leaf"]
        'fc1.bias'
    """
    kind = name.rpartition("_")[0] if leaf else name
    return {**MEANINGS.get(kind, {}), **({"leaf": leaf} if leaf else {})}
