"""What is shown of the groups of a run: layers, leaves and units, over the run and its steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lca_core.errors import NotRecordedError
from lca_core.report.names import short
from lca_core.report.packing import single
from lca_core.summary import layer_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lca_core.report.sampling import Buckets
    from lca_core.run import Run

MOST_UNITS = 300
COLUMNS = ("parameters", "lca", "share", "per_parameter", "helping", "error")


def groupings(run: Run) -> dict[str, np.ndarray]:
    """Return by what the run can be read, and which groups are shown: all, or the busiest units.

    Args:
        run: a finished run.

    Returns:
        "layer", "leaf" and "unit" (where recorded, and where it is another grouping) -> places
        of the groups that are shown.
    """
    found = {"layer": np.arange(len(run.layout.labels("layer")))}
    leaves = len(run.layout.labels("leaf"))
    if leaves > len(found["layer"]):
        found["leaf"] = np.arange(leaves)
    try:
        values = run.allocation(run.measures[0], "unit").values
    except NotRecordedError:
        return found
    if values.shape[1] > leaves:
        total = np.abs(values[run.finite(run.measures[0])].sum(axis=0))
        found["unit"] = np.sort(np.argsort(-total, kind="stable")[:MOST_UNITS])
    return found


def group_names(run: Run, by: str, shown: np.ndarray) -> dict[str, Any]:
    """Return labels of the groups that are shown, short ones, their layers, and how many exist."""
    labels = run.layout.labels(by)
    layer_of = dict(zip(labels, labels, strict=True))
    for leaf in run.layout.leaves:
        units = [leaf.name, *(f"{leaf.layer}[{i}]" for i in range(leaf.units))]
        layer_of |= dict.fromkeys([leaf.name] if by == "leaf" else units, leaf.layer)
    if by == "layer":
        layer_of = {label: label for label in labels}
    chosen = [labels[i] for i in shown]
    layers = [layer_of[one] for one in chosen]
    return {"labels": chosen, "short": short(chosen), "layer": layers, "of": len(labels)}


def table(run: Run, measure: str, by: str, shown: np.ndarray) -> dict[str, np.ndarray]:
    """Return the table's columns, float64; by layer and leaf the last line is the total."""
    if by != "unit":
        lines = layer_lines(run, measure, by)
        return {name: np.array([getattr(line, name) for line in lines], float) for name in COLUMNS}
    sizes = run.layout.group_sizes("unit")
    unknown = np.full(sizes.shape, np.nan)
    seen = run.seen(measure)
    lca = run.allocation(measure, "unit").values[seen].sum(axis=0) if seen.any() else unknown
    share = lca / lca.sum() if lca.sum() else unknown
    columns = (sizes, lca, share, lca / np.maximum(sizes, 1), unknown, unknown)
    return {name: one[shown].astype(float) for name, one in zip(COLUMNS, columns, strict=True)}


def over_steps(
    run: Run, measure: str, by: str, shown: np.ndarray, buckets: Buckets
) -> dict[str, Any]:
    """Return the allocation of every group step by step, and added up since the start.

    Steps of which nothing is known are holes of the map and add nothing to the sums; where nothing
    is known of any step, there are no sums.
    """
    seen = run.seen(measure)[:, None]
    values = run.allocation(measure, by).values[:, shown]
    start = np.zeros((1, len(shown)))
    since = np.concatenate([start, np.where(seen, values, 0.0).cumsum(axis=0)])
    if not seen.any():
        since = np.full_like(since, np.nan)
    return {
        "map": single(buckets.largest(np.where(seen, values, np.nan)).T),
        "since": lines(run.iteration, since, buckets.extremes(since[1:]), offset=1),
    }


def helping(run: Run, measure: str, by: str, buckets: Buckets) -> dict[str, np.ndarray]:
    """Return shares of all parameters that helped and hurt, averaged over every bucket's steps.

    Returns:
        `helped` and `hurt`, shape (groups + 1, buckets), float32; the last row is all together.
        Empty where it was not recorded.
    """
    try:
        counts = run.helping(measure, by)
    except NotRecordedError:
        return {}
    sizes = np.append(run.layout.group_sizes(by), run.layout.parameters)
    seen = run.seen(measure)
    shares = {}
    for name, count in (("helped", counts.helped), ("hurt", counts.hurt)):
        with_all = np.concatenate([count, count.sum(axis=1, keepdims=True)], axis=1)
        mean = buckets.mean(with_all / np.maximum(sizes, 1), seen)
        shares[name] = mean.T.astype(np.float32)
    return shares


def lines(
    x: np.ndarray, values: np.ndarray, kept: Sequence[np.ndarray], offset: int = 0
) -> dict[str, np.ndarray]:
    """Return lines with points of their own, one behind the other.

    Args:
        x: where the values are, shape (points,).
        values: shape (points, lines).
        kept: the points to draw of every line, counted from `offset`; those before are drawn.
        offset: how many lead.
    """
    ahead = np.arange(offset)
    chosen = [np.concatenate([ahead, one + offset]).astype(int) for one in kept]
    none = np.zeros(0)
    y = [values[one, i] for i, one in enumerate(chosen)]
    return {
        "x": np.concatenate([none, *(x[one] for one in chosen)]).astype(np.int32),
        "y": single(np.concatenate([none, *y])),
        "ends": np.cumsum([0, *map(len, chosen)]).astype(np.int32),
    }
