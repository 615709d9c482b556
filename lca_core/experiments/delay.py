"""Does a layer hurt because it comes late? Its momentum from 0 to 0.9, the others' as it was."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from lca_core.errors import ExperimentError
from lca_core.experiments.delay_sweep import paired_sweep, place_of
from lca_core.experiments.delay_words import against_each_other, setting, told
from lca_core.experiments.experiment import Outcome, Planned
from lca_core.experiments.planning import tracking
from lca_core.experiments.saying import said
from lca_core.experiments.statements import Statement, verdict
from lca_core.experiments.usable import left_out, usable
from lca_core.optimizers import SGD, Override

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.figure import Figure

    from lca_core.experiments.delay_sweep import PairedSweep
    from lca_core.experiments.experiment import Arms, Verdict
    from lca_core.run import Run
    from lca_core.training import TrainingSpec

DELAYS = tuple(range(10))
"""Steps; m = d / (1 + d)."""

KEPT = ("learning rate", "effective step")
"""What stays as the layer's momentum changes; the effective step is lr / (1 - m)."""

STRAIGHT = 0.9
"""R² from which on a line is almost straight."""

MOST_DRAWN = 20
"""Layers of a figure, counted from the last; the article leaves the first ones out too."""

_MEASURE = "train"


@frozen
class Delay:
    """The article's sweep of one layer's momentum, and one that leaves its effective step alone.

    A momentum m delays a gradient by m/(1-m) steps on average, and multiplies the step that it
    makes in the end by 1/(1-m): to change m alone changes both.

    Args:
        layer: whose momentum it is; None for the last.
    """

    layer: str | None = None
    name: str = "delay"
    claim: str = (
        "The later the last layer's steps come, the less it helps and the more it hurts, almost "
        "linearly in the delay, while the other layers do the reverse (ResNet-20: from helping "
        "at delay 0 to hurting at delay 9)."
    )

    def plan(self, base: TrainingSpec, seeds: Sequence[int]) -> tuple[Planned, ...]:
        """Return ten delays twice, or 19 runs a seed where both sweeps meet at the base."""
        # Sums by layer are in the ledger: nothing else is kept.
        measured = tracking(base.network, ())
        arms = self._overrides(base)
        return tuple(
            Planned(arm, evolve(base, seed=seed, overrides=overrides), measured)
            for seed in seeds
            for arm, overrides in arms.items()
        )

    def judge(self, arms: Arms) -> Outcome:
        """Test the slopes over the delay, in both sweeps."""
        given, arms = arms, usable(arms, [_MEASURE])
        runs = {kept: {float(d): _arm(arms, kept, d) for d in DELAYS} for kept in KEPT}
        sweeps = {kept: paired_sweep(runs[kept], _MEASURE, self.layer) for kept in KEPT}
        decided, why = _verdict(sweeps)
        one = sweeps[KEPT[0]]
        text = (
            why,
            setting(sweeps),
            *(text for kept, sweep in sweeps.items() for text in told(kept, sweep)),
            *against_each_other(*sweeps.values()),
            left_out(given, arms),
        )
        return Outcome(
            verdict=decided,
            text=tuple(filter(None, text)),
            results={
                "layer": one.label,
                "sweeps": {kept: sweep.as_json() for kept, sweep in sweeps.items()},
            },
            figures={
                f"delay-{kept.replace(' ', '-')}-kept": partial(_draw, runs[kept], sweeps[kept])
                for kept in KEPT
            },
        )

    def _overrides(self, base: TrainingSpec) -> dict[str, Mapping[str, Override]]:
        """Return arm -> overrides; an arm that both sweeps have is there once."""
        labels = base.network.layout.labels("layer")
        layer = labels[-1] if self.layer is None else labels[place_of(self.layer, labels)]
        own = base.overrides.get(layer, Override())
        settings = own.applied(base.optimizer)
        if not isinstance(settings, SGD):
            msg = (
                "The experiment 'delay' needs SGD, whose momentum delays and does nothing else; "
                f"got {type(settings).__name__}."
            )
            raise ExperimentError(msg)
        arms: dict[str, Mapping[str, Override]] = {}
        for kept in KEPT:
            for delay in DELAYS:
                momentum = delay / (1 + delay)
                shared = math.isclose(momentum, settings.momentum)
                shrink = 1.0 if shared else (1 - momentum) / (1 - settings.momentum)
                rate = settings.learning_rate * (shrink if kept == "effective step" else 1.0)
                changed = evolve(own, learning_rate=rate, momentum=momentum)
                arms[_name(kept, delay, shared=shared)] = {**base.overrides, layer: changed}
        return arms


def _name(kept: str, delay: int, *, shared: bool) -> str:
    return f"delay {delay}" if shared else f"delay {delay}, {kept} kept"


def _arm(arms: Arms, kept: str, delay: int) -> Mapping[int, Run]:
    """Return an arm's runs, of the one sweep or of both."""
    for shared in (False, True):
        if (name := _name(kept, delay, shared=shared)) in arms:
            return arms[name]
    msg = f"The sweep with the {kept} kept has no arm of delay {delay}; there are {sorted(arms)}."
    raise ExperimentError(msg)


def _verdict(sweeps: Mapping[str, PairedSweep]) -> tuple[Verdict, str]:
    """Return the verdict, and what it rests on."""
    statements: list[Statement] = []
    for kept, one in sweeps.items():
        own, rest = f"the slope of {one.label}", "that of the others"
        statements += [
            Statement(f"{own} is above zero with the {kept} kept", one.slope, "above"),
            Statement(f"{rest} is below zero with the {kept} kept", one.others_slope, "below"),
        ]
    found = verdict(statements)
    bent = [kept for kept, one in sweeps.items() if not one.linearity >= STRAIGHT]
    if found == "agrees" and bent:
        return "undecided", f"{said(statements)} But a line is not straight (R² < {STRAIGHT})."
    return found, said(statements)


def _draw(runs: Mapping[float, Mapping[int, Run]], sweep: PairedSweep) -> Figure:
    from lca_core.figures import delay_sweep

    paired = {delay: [some[seed] for seed in sweep.seeds] for delay, some in runs.items()}
    skip = max(len(sweep.labels) - MOST_DRAWN, 0)
    return delay_sweep(paired, _MEASURE, sweep.label, skip=skip, paired=sweep.slope)


DELAY = Delay()
