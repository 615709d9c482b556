"""What every layer did as one layer's delay grew: lines through the runs of each seed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen

from lca_core.analyses import Mean, mean_of
from lca_core.analyses.hurting import common_labels, summed
from lca_core.errors import ExperimentError
from lca_core.experiments.values import plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lca_core.run import Run


@frozen
class PairedSweep:
    """Runs of the same seeds at every delay.

    A seed's runs share their initial weights and their batches, so they are no independent
    points: each seed gives one slope, and the test is over these.

    Args:
        labels: names of the layers.
        place: of the layer whose delay it is.
        delays: steps, ascending, shape (delays,).
        seeds: that have a run at every delay.
        totals: allocation over the run, shape (seeds, delays, layers), loss units.
        left_out: seeds that lack a delay.
    """

    labels: tuple[str, ...]
    place: int
    delays: np.ndarray
    seeds: tuple[int, ...]
    totals: np.ndarray
    left_out: tuple[int, ...]

    @property
    def label(self) -> str:
        """Name of the layer."""
        return self.labels[self.place]

    @property
    def own(self) -> np.ndarray:
        """Totals of the layer, shape (seeds, delays)."""
        return np.asarray(self.totals[:, :, self.place])

    @property
    def others(self) -> np.ndarray:
        """Totals of all other layers together, shape (seeds, delays)."""
        return np.asarray(self.totals.sum(axis=2) - self.own)

    @property
    def slope(self) -> Mean:
        """By how much a step of delay changes the layer's total, loss units a step."""
        return mean_of(slopes(self.delays, self.own))

    @property
    def others_slope(self) -> Mean:
        """By how much it changes that of the others together."""
        return mean_of(slopes(self.delays, self.others))

    @property
    def slope_by_layer(self) -> dict[str, Mean]:
        """By how much it changes that of every layer."""
        each = slopes(self.delays, self.totals)
        return {name: mean_of(one) for name, one in zip(self.labels, each.T, strict=True)}

    @property
    def linearity(self) -> float:
        """Share of the variance of the means over seeds that a straight line explains."""
        return linearity(self.delays, self.own.mean(axis=0))

    def as_json(self) -> dict[str, Any]:
        """Return everything that a figure or a table of it needs."""
        parts: dict[str, Any] = plain(
            {
                "delays": self.delays,
                "seeds": self.seeds,
                "seeds_left_out": self.left_out,
                "layers": self.labels,
                "totals": self.totals,
                "slope": self.slope,
                "others_slope": self.others_slope,
                "slope_by_layer": self.slope_by_layer,
                "linearity": self.linearity,
            }
        )
        return parts


def paired_sweep(
    arms: Mapping[float, Mapping[int, Run]], measure: str, layer: str | None
) -> PairedSweep:
    """Return what the layers did in the seeds that have a run at every delay.

    Args:
        arms: delay in steps -> seed -> run.
        measure: its name.
        layer: whose delay it is; None for the last.

    Raises:
        ExperimentError: no seed has a run at every delay.
    """
    delays = sorted(arms)
    every = set().union(*arms.values())
    seeds = sorted(every.intersection(*arms.values()))
    if not seeds:
        have = {f"{delay:g}": sorted(arms[delay]) for delay in delays}
        msg = (
            "A slope needs a seed that has a run at every delay; found these seeds by delay: "
            f"{have}. Finish the runs that are missing; those whose loss is no number in the end "
            "do not count."
        )
        raise ExperimentError(msg)
    labels = common_labels([arms[one][seed] for seed in seeds for one in delays], "layer")
    return PairedSweep(
        labels=labels,
        place=len(labels) - 1 if layer is None else place_of(layer, labels),
        delays=np.array(delays, np.float64),
        seeds=tuple(seeds),
        totals=np.array(
            [[summed(arms[one][seed], measure, "layer") for one in delays] for seed in seeds]
        ),
        left_out=tuple(sorted(every.difference(seeds))),
    )


def place_of(layer: str, labels: Sequence[str]) -> int:
    """Return where a layer stands, however a backend joins its name ("block1/conv1").

    Raises:
        ExperimentError: there is no such layer.

    Example:
        >>> from lca_core.experiments.delay_sweep import place_of
        >>> place_of("block1.conv1", ["conv1", "block1/conv1"])
        1
    """
    for place, label in enumerate(labels):
        if layer in (label, label.replace("/", "."), label.replace("_", ".")):
            return place
    msg = f"There is no layer '{layer}'; the layers are {list(labels)}."
    raise ExperimentError(msg)


def slopes(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    r"""Return the least-squares slope of every series.

    .. math:: b = \frac{\sum (x - \bar x)\,y}{\sum (x - \bar x)^2}

    Args:
        x: shape (points,).
        y: shape (series, points, ...).

    Returns:
        Shape (series, ...).
    """
    centred = x - x.mean()
    return np.asarray(np.tensordot(y, centred / (centred**2).sum(), axes=(1, 0)))


def linearity(x: np.ndarray, y: np.ndarray) -> float:
    """Return R² of a straight line through points, shape (points,); NaN if y never changes."""
    spread = float(((y - y.mean()) ** 2).sum())
    if not spread:
        return float("nan")
    line = slopes(x, y[None])[0] * (x - x.mean())
    return 1 - float(((y - y.mean() - line) ** 2).sum()) / spread
