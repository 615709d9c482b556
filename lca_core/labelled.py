"""A run as an `xarray.Dataset`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lca_core.errors import MissingExtraError
from lca_core.meanings import attributes

if TYPE_CHECKING:
    import xarray

    from lca_core.run import Run


def dataset(run: Run) -> xarray.Dataset:
    """Return all that a run holds step by step; see `Run.to_xarray`.

    The loss has an axis "iterate", one longer than "step". Coordinates name measures, leaves,
    their layers and units; attributes say what arrays mean and in which units they are, and of the
    whole, its parts and probes.
    """
    try:
        import xarray
    except ImportError as error:
        need = "run.to_xarray()"
        raise MissingExtraError(need, "xarray") from error

    arrays = {
        one.name: (("step", "measure", *one.dims), np.asarray(run.rows[one.name][: run.steps]))
        for one in run.header.declared
        if one.name != "loss"
    }
    loss = np.stack([run.loss(measure) for measure in run.measures], axis=1)
    own = {dim: list(labels) for dim, labels in run.header.own_axes.items()}
    leaves = run.layout.leaves
    held = {dim for dims, _ in arrays.values() for dim in dims}
    names = [f"{leaf.name}[{i}]" for leaf in leaves for i in range(leaf.units)]
    units = {"unit": names} if "unit" in held else {}
    found = xarray.Dataset(
        {"loss": (("iterate", "measure"), loss), **arrays},
        coords={
            "iteration": ("iterate", run.iteration),
            "measure": list(run.measures),
            "leaf": list(run.layout.names),
            "layer": ("leaf", [leaf.layer for leaf in leaves]),
            "parameters": ("leaf", run.layout.sizes),
            **units,
            **own,
        },
        attrs={key: str(dict(run.config.get(key, {}))) for key in ("parts", "probes")},
    )
    leaf_of = {one.name: one.leaf for one in run.header.declared}
    for name, array in found.variables.items():
        array.attrs.update(attributes(str(name), leaf_of.get(str(name), "")))
    return found
