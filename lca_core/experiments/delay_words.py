"""The sweeps of a layer's delay in words and tables."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from lca_core.analyses import mean_of
from lca_core.experiments.statements import LEVEL
from lca_core.experiments.words import p_value, table, with_p
from lca_core.words import FEW, counted, few, listed, measured

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from lca_core.analyses import Mean
    from lca_core.experiments.delay_sweep import PairedSweep


def setting(sweeps: Mapping[str, PairedSweep]) -> str:
    """Say what was done."""
    one = next(iter(sweeps.values()))
    seeds = sorted({len(sweep.seeds) for sweep in sweeps.values()})
    last = float(one.delays[-1])
    return (
        f"The momentum m of {one.label} goes from 0 to {last / (1 + last):g}, its delay m/(1-m) "
        f"from 0 to {last:g} steps; the other layers keep theirs. A smaller m also makes the "
        "effective step lr/(1-m) smaller: one sweep keeps the layer's learning rate, the other "
        "its effective step, so that only the delay changes. Each of "
        f"{counted(seeds[-1], 'seed')} gives a slope of its own, since its runs share initial "
        "weights and batches; ± (95 %) and p are Student's over these slopes. LCA summed "
        "over the run, training data, loss units."
    )


def told(kept: str, sweep: PairedSweep) -> tuple[str, ...]:
    """Tell one sweep: totals at every delay, and slopes.

    Args:
        kept: what stays as the momentum changes.
        sweep: its numbers.
    """
    rows = [
        (f"{delay:g}", f"{delay / (1 + delay):.4f}", _mean(sweep.own[:, i]), _mean(others))
        for i, (delay, others) in enumerate(zip(sweep.delays.tolist(), sweep.others.T, strict=True))
    ]
    head = ("delay", "m", f"LCA of {sweep.label}", "LCA of the others")
    return (f"### The {kept} kept", table(head, rows), f"{_slopes(sweep)} {_ends(sweep)}")


def against_each_other(rate: PairedSweep, step: PairedSweep) -> tuple[str, ...]:
    """Say what the two sweeps tell together, as far as their numbers do.

    Args:
        rate: with the learning rate kept.
        step: with the effective step kept.
    """
    texts = []
    if max(rate.slope.p, step.slope.p) < LEVEL and rate.slope.value * step.slope.value < 0:
        less = "less" if step.slope.value > 0 else "more"
        texts.append(
            f"The two slopes of {rate.label} have opposite signs. With the learning rate kept, "
            f"its effective step grows {1 + rate.delays[-1]:g}-fold along the sweep, and it is the "
            f"size of its steps that decides what it does; by the delay alone it helps {less}."
        )
    if all((one.own.mean(axis=0) < 0).all() for one in (rate, step)):
        texts.append(
            f"{rate.label} helps at every delay of both sweeps, with the base's momentum too: "
            "there is no hurting here for a delay to explain. In the article this layer of "
            "ResNet-20 hurts."
        )
    return tuple(texts)


def _slopes(sweep: PairedSweep) -> str:
    rest = [
        f"{label} {mean.value:+.2g}"
        for label, mean in sweep.slope_by_layer.items()
        if label != sweep.label
    ]
    each = f" ({few(rest)})" if 1 < len(rest) <= FEW else ""
    straight = (
        "all the same"
        if math.isnan(sweep.linearity)
        else f"{100 * sweep.linearity:.0f} % on a straight line (R²)"
    )
    return (
        f"A step of delay changes {sweep.label} by {with_p(sweep.slope)} and the others by "
        f"{with_p(sweep.others_slope)}{each}. The means of {sweep.label} are {straight}."
    )


def _ends(sweep: PairedSweep) -> str:
    """Say whether the layer goes from helping to hurting, and which seeds do not count."""
    first, last = mean_of(sweep.own[:, 0]), mean_of(sweep.own[:, -1])
    low, high = sweep.delays[[0, -1]]
    text = (
        f"It {_does(first)} at delay {low:g} ({p_value(first.p)}) and {_does(last)} at delay "
        f"{high:g} ({p_value(last.p)})."
    )
    if sweep.left_out:
        missing = listed([str(seed) for seed in sweep.left_out])
        text += f" Left out, since a delay is missing: seed {missing}."
    return text


def _does(mean: Mean) -> str:
    return "helps" if mean.value < 0 else "hurts" if mean.value > 0 else "does nothing"


def _mean(values: np.ndarray) -> str:
    found = mean_of(values)
    return measured(found.value, found.half)
