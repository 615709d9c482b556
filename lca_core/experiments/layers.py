"""Which layers hurt, over seeds."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import evolve, frozen

from lca_core.analyses import Mean, corrected, mean_of, over_runs, sign_test, verdicts
from lca_core.errors import ExperimentError
from lca_core.experiments.experiment import Outcome, Planned
from lca_core.experiments.planning import tracking
from lca_core.experiments.statements import (
    LEVEL,
    Side,
    Statement,
    as_values,
    refuted,
    unsettled,
    verdict,
)
from lca_core.experiments.usable import left_out, usable
from lca_core.experiments.values import plain
from lca_core.experiments.words import p_value, table, with_p
from lca_core.figures import allocation_by_layer, allocation_over_runs
from lca_core.observers import Counts, Totals
from lca_core.words import called, counted, few, measured

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from matplotlib.figure import Figure

    from lca_core.experiments.experiment import Arms
    from lca_core.run import Run
    from lca_core.training import TrainingSpec

_MEASURE = "train"
_ALL_HELP, _ENDS_HURT = ("fc", "lenet"), ("resnet",)


@frozen
class Layers:
    """LCA of every layer over seeds, and which of them hurt.

    The arm is named after the network, since the article says another thing of each.
    """

    name: str = "layers"
    claim: str = (
        "The first and the last layer of ResNet-20 hurt in each of ten runs, p < 1e-4; every layer "
        "of FC and LeNet helps."
    )

    def plan(self, base: TrainingSpec, seeds: Sequence[int]) -> tuple[Planned, ...]:
        """Return one arm, the base."""
        observed = tracking(base.network, (Totals(), Counts()))
        return tuple(
            Planned(base.network.name, evolve(base, seed=seed), observed) for seed in seeds
        )

    def judge(self, arms: Arms) -> Outcome:
        """Test every layer, and say what became of what the article says of this network."""
        if len(arms) != 1:
            msg = f"'{self.name}' judges one arm, named after its network; got {sorted(arms)}."
            raise ExperimentError(msg)
        given, arms = arms, usable(arms, [_MEASURE])
        ((network, of_seed),) = arms.items()
        if not of_seed:
            msg = f"'{self.name}' needs a run of '{network}' that ended well; there is none."
            raise ExperimentError(msg)
        runs = [of_seed[seed] for seed in sorted(of_seed)]
        found = _Found.of(runs)
        statements = _statements(network, found)
        text = (
            _said(network, statements, found),
            _table(found),
            *_hurting(found),
            left_out(given, arms),
        )
        return Outcome(
            verdict=verdict(statements),
            text=tuple(filter(None, text)),
            results=plain({
                "statements": as_values(statements),
                "network": network,
                "seeds": sorted(of_seed),
                "measure": _MEASURE,
                "layers": [_row(found, i) for i in range(len(found.labels))],
                "final_loss": mean_of([run.loss(_MEASURE)[-1] for run in runs]),
            }),
            figures=_figures(runs),
        )  # fmt: skip


@frozen
class _Found:
    """What every layer did.

    Args:
        labels: names of the layers.
        sizes: their parameters.
        totals: of every run, shape (runs, layers), loss units.
        errors: ± of each by the integral, the same shape.
    """

    labels: tuple[str, ...]
    sizes: np.ndarray
    totals: np.ndarray
    errors: np.ndarray

    @classmethod
    def of(cls, runs: Sequence[Run]) -> _Found:
        each = [verdicts(run, _MEASURE) for run in runs]
        # Refuses runs of different networks.
        totals = over_runs(runs, _MEASURE).totals if len(runs) > 1 else each[0].total[None]
        sizes = runs[0].layout.group_sizes("layer")
        return cls(each[0].labels, sizes, totals, np.array([one.error for one in each]))

    @property
    def means(self) -> list[Mean]:
        """Of every layer, over runs."""
        return [mean_of(column) for column in self.totals.T]

    @property
    def p(self) -> np.ndarray:
        """P of "the mean is 0", t-test, corrected for the number of layers (Holm)."""
        return np.array([mean.p for mean in corrected(self.means)])

    @property
    def moved(self) -> list[int]:
        """Places of the layers that were allocated anything."""
        return np.flatnonzero(self.totals.any(axis=0)).tolist()


def _statements(network: str, found: _Found) -> tuple[Statement, ...]:
    """Return what the article says of this network, layer by layer."""
    sides: dict[int, Side] = {}
    if network in _ALL_HELP:
        sides = dict.fromkeys(found.moved, "below")
    elif network in _ENDS_HURT:
        sides = {0: "above", len(found.labels) - 1: "above"}
    does = {"below": "helps", "above": "hurts"}
    return tuple(
        Statement(f"{called(found.labels[i])} {does[side]}", found.means[i], side)
        for i, side in sides.items()
    )


def _said(network: str, statements: Sequence[Statement], found: _Found) -> str:
    """Say what became of the article's statements."""
    runs = len(found.totals)
    if not statements:
        return (
            f"What the article says of its layers is of FC, LeNet and ResNet-20; nothing is known "
            f"to us of '{network}'. Here is what its layers did."
        )
    if runs < 2:
        return "One run is no sample: whether a layer hurts in general takes more seeds."
    expected = "every layer helps" if network in _ALL_HELP else "the first and last layer hurt"
    lead = f"Of this network the article says that {expected}."
    against, open_ = refuted(statements), unsettled(statements)
    if not against and not open_:
        return f"{lead} So it is over {counted(runs, 'run')}: {_each(statements)}."
    parts = [
        f"It does not hold that {_each(against)}." if against else "",
        f"It is not settled whether {_each(open_)}." if open_ else "",
    ]
    return " ".join(filter(None, (lead, *parts)))


def _each(statements: Sequence[Statement]) -> str:
    return few([f"{one.text}: {with_p(one.mean)}" for one in statements])


def _table(found: _Found) -> str:
    rows = []
    for i, (mean, p) in enumerate(zip(found.means, found.p.tolist(), strict=True)):
        half = mean.half if mean.n > 1 else float(found.errors[0, i])
        positive = int((found.totals[:, i] > 0).sum())
        rows.append((
            called(found.labels[i]),
            f"{found.sizes[i]:,}",
            measured(mean.value, half),
            f"{mean.value / max(found.sizes[i], 1):+.2e}",
            p_value(p),
            p_value(sign_test(found.totals[:, i])),
            f"{positive} of {mean.n}",
        ))  # fmt: skip
    head = (
        "layer",
        "parameters",
        "LCA",
        "a parameter",
        "p (t-test, Holm)",
        "p (sign test)",
        "hurt in",
    )
    return table(head, rows)


def _hurting(found: _Found) -> tuple[str, ...]:
    """Say which layers hurt, whatever the article says, and how sure the integrals are."""
    if len(found.totals) < 2:
        return ("The ± is the error of the integral of this one run.",)
    p = found.p
    hurt = [i for i in found.moved if found.means[i].value > 0 and p[i] < LEVEL]
    names = [f"{called(found.labels[i])} ({p_value(p[i])})" for i in hurt]
    first = (
        f"Corrected for {counted(len(found.labels), 'layer')}, {few(names)} hurt."
        if names
        else f"Corrected for {counted(len(found.labels), 'layer')}, none hurts."
    )
    worst = float(np.nanmax(found.errors, initial=-np.inf))
    known = f" The integrals' own errors are at most {worst:.1g} a run." * bool(worst >= 0)
    return (f"{first} The ± is the 95 % interval of the mean over runs.{known}",)


def _row(found: _Found, i: int) -> dict[str, Any]:
    return {
        "layer": found.labels[i],
        "parameters": found.sizes[i],
        "totals": found.totals[:, i],
        "errors": found.errors[:, i],
        "mean": found.means[i],
        "p_holm": found.p[i],
        "p_sign": sign_test(found.totals[:, i]),
    }


def _figures(runs: Sequence[Run]) -> Mapping[str, Callable[[], Figure]]:
    if len(runs) < 2:
        return {"layers": partial(allocation_by_layer, runs[0], _MEASURE)}
    return {"layers": partial(allocation_over_runs, runs, _MEASURE)}


LAYERS = Layers()
