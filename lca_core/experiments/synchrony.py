"""Do layers learn at the same moments? Peaks by class over seeds, three nulls, and controls."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen

from lca_core.analyses import Mean, mean_of
from lca_core.analyses.stretches import STRETCH
from lca_core.errors import ExperimentError
from lca_core.experiments.aligning import Aligned, Series, aligned, peaks_of
from lca_core.experiments.experiment import Outcome, Planned
from lca_core.experiments.saying import said
from lca_core.experiments.statements import Statement, verdict
from lca_core.experiments.usable import left_out, usable
from lca_core.experiments.values import plain
from lca_core.experiments.words import p_value, table, with_p
from lca_core.figures import moments_of_learning
from lca_core.observers import Sizes
from lca_core.words import counted, listed, percent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from matplotlib.figure import Figure

    from lca_core.analyses.moments import Quantity
    from lca_core.experiments.experiment import Arms, Verdict
    from lca_core.run import Run
    from lca_core.training import TrainingSpec

HONEST = ("rotation", "minima")
"""Nulls that know of bunching, or of minima; "uniform" takes bunching for synchrony."""

NULLS = (*HONEST, "uniform")

ARTICLES_P = 0.001

_MEASURE, _ARM = "train", "by class"
_WHAT = {
    "allocation": "LCA by class",
    "gradient": "gradient by class",
    "whole": "LCA",
    "whole_gradient": "gradient",
    "motion": "motion",
}


@frozen
class Synchrony:
    """Alignment over layers of the peaks of LCA by class; gradient and motion as controls."""

    name: str = "synchrony"
    claim: str = (
        "Layers learn at the same moments: the peaks of their LCA, class by class, are aligned "
        "far more often than by chance (p < 0.001); peaks of motion and peaks of LCA generally do "
        "not coincide."
    )

    def plan(self, base: TrainingSpec, seeds: Sequence[int]) -> tuple[Planned, ...]:
        """Return one arm: the base, every class a measure of its own."""
        layers = base.network.layout.labels("layer")
        if len(layers) < 2:
            msg = f"Synchrony needs at least two layers; '{base.network.name}' has {list(layers)}."
            raise ExperimentError(msg)
        # By class the loss is measured in "eval" mode: classes apart have other batch statistics.
        tracking = {"observers": (Sizes(),)}
        return tuple(
            Planned(_ARM, evolve(base, seed=seed), tracking, by_class=True) for seed in seeds
        )

    def judge(self, arms: Arms) -> Outcome:
        """Count aligned peaks, and ask chance and the controls."""
        if _ARM not in arms:
            msg = f"'{self.name}' judges the arm '{_ARM}'; got {sorted(arms)}."
            raise ExperimentError(msg)
        given, arms = arms, usable(arms, [_MEASURE])
        runs = arms[_ARM]
        if not runs:
            msg = f"'{self.name}' needs a run that ended well; there is none."
            raise ExperimentError(msg)
        found = _Found.of({seed: runs[seed] for seed in sorted(runs)})
        statements = _statements(found)
        decided, why = _verdict(statements, found)
        text = (
            f"{said(statements)}{why}",
            _setting(found),
            _table(found),
            _controls(found),
            left_out(given, arms),
        )
        return Outcome(
            verdict=decided,
            text=tuple(filter(None, text)),
            results=plain(found.as_json()),
            figures=_figures(runs[found.seeds[0]], found.count),
        )


@frozen
class _Found:
    """What was counted.

    Args:
        seeds: that could be tested.
        left_out: seeds in which fewer than two layers moved, or that have fewer than three steps.
        layers, steps: of the first seed.
        count: peaks a series.
        alignment: what has peaks -> null -> counts.
        share, chance: LCA peaks by class on a motion peak, one a seed, and by chance.
    """

    seeds: tuple[int, ...]
    left_out: tuple[int, ...]
    layers: int
    steps: int
    count: int
    alignment: Mapping[str, Mapping[str, Aligned]]
    share: tuple[float, ...]
    chance: tuple[float, ...]

    @classmethod
    def of(cls, runs: Mapping[int, Run]) -> _Found:
        every = {seed: Series.of(run, _MEASURE) for seed, run in runs.items()}
        each = {seed: one for seed, one in every.items() if one.layers > 1 and one.steps > 2}
        if not each:
            sizes = {seed: (one.layers, one.steps) for seed, one in every.items()}
            msg = (
                "Synchrony needs a run with at least three steps on which two layers moved; got "
                f"{sizes} (seed: layers that moved, steps). Train longer, or freeze less."
            )
            raise ExperimentError(msg)
        first = next(iter(each.values()))
        count = peaks_of(min(one.steps for one in each.values()))
        on_motion = [one.on_motion(count) for one in each.values()]
        return cls(
            seeds=tuple(each),
            left_out=tuple(seed for seed in every if seed not in each),
            layers=first.layers,
            steps=first.steps,
            count=count,
            alignment={
                what: {
                    null: aligned([getattr(one, what) for one in each.values()], null, count)
                    for null in NULLS
                }
                for what in _WHAT
            },
            share=tuple(share for share, _ in on_motion),
            chance=tuple(chance for _, chance in on_motion),
        )

    @property
    def off_motion(self) -> Mean:
        """By how much fewer than half of the LCA peaks fall on a motion peak."""
        return mean_of([0.5 - share for share in _known(self.share)])

    def as_json(self) -> dict[str, Any]:
        return {
            "seeds": self.seeds,
            "seeds_left_out": self.left_out,
            "layers": self.layers,
            "steps": self.steps,
            "peaks": self.count,
            "aligned": {
                _WHAT[what]: {null: one.as_json() for null, one in nulls.items()}
                for what, nulls in self.alignment.items()
            },
            "lca_peaks_on_motion_peaks": {
                "share": self.share,
                "by_chance": self.chance,
                "mean": mean_of(_known(self.share)),
            },
        }


def _statements(found: _Found) -> tuple[Statement, ...]:
    nulls = found.alignment["allocation"]
    more = tuple(
        Statement(f"more are aligned than under the null “{null}”", nulls[null].excess, "above")
        for null in HONEST
    )
    fewer = "fewer than half of the LCA peaks fall on a motion peak (half minus their share)"
    return (*more, Statement(fewer, found.off_motion, "above"))


def _verdict(statements: Sequence[Statement], found: _Found) -> tuple[Verdict, str]:
    """Return the verdict, and what more than the statements it rests on."""
    decided = verdict(statements)
    nulls = found.alignment["allocation"]
    shut = [null for null in HONEST if not nulls[null].open]
    if shut and decided != "disagrees":
        return "undecided", (
            f" But {listed([f'“{null}”' for null in shut])} could only have placed the peaks where "
            "they are: so short a run has no other minima. Train longer."
        )
    joint = max(nulls[null].joint for null in HONEST)
    if decided == "agrees" and joint > ARTICLES_P:
        return "undecided", f" But over all seeds {p_value(joint)}, above the article's 0.001."
    for one, null in zip(statements, HONEST, strict=False):
        expected = float(nulls[null].expected.mean())
        if decided == "undecided" and not one.holds and one.mean.value + one.mean.half < expected:
            return "disagrees", (
                f" Twice as many as the null “{null}” expects can be excluded: that is not far "
                "above chance."
            )
    return decided, ""


def _setting(found: _Found) -> str:
    text = (
        f"Aligned are steps at which all {found.layers} layers have one of their {found.count} "
        "deepest peaks (LCA downwards, lengths of gradient and motion upwards; the article takes "
        f"20 of longer runs, here are {counted(found.steps, 'step')}), counted over classes. "
        f"“rotation” rotates every layer, all its classes together, within stretches of about "
        f"{STRETCH} steps, “minima” draws the peaks of every class among its own local minima, "
        "“uniform” wherever one can be, and takes for synchrony that all layers peak early. "
        "Excess: aligned minus expected, mean ± (95 %) and t-test over "
        f"{counted(len(found.seeds), 'seed')}; joint p: empirical, all seeds drawn together, "
        f"{1 / (1 + found.alignment['allocation']['rotation'].draws):.2g} at least; by class it "
        "is too small under “minima” and “uniform” if the classes of a layer peak together."
    )
    if found.left_out:
        text += f" Left out, nothing to align: seed {listed(list(map(str, found.left_out)))}."
    return text


def _table(found: _Found) -> str:
    rows = [
        (
            _WHAT[what],
            null,
            f"{one.observed.mean():.2f}",
            f"{one.expected.mean():.2f}",
            with_p(one.excess),
            f"{one.joint:.2g}",
        )
        for what, nulls in found.alignment.items()
        for null, one in nulls.items()
    ]
    return table(("peaks of", "null", "aligned a seed", "expected", "excess", "joint p"), rows)


def _controls(found: _Found) -> str:
    """Say what gradient and motion do, and whether motion is when learning is."""

    def does(what: str) -> str:
        joint = max(found.alignment[what][null].joint for null in HONEST)
        return (
            "are aligned" if joint <= ARTICLES_P else f"are not surely aligned ({p_value(joint)})"
        )

    return (
        "The controls, which the article finds aligned too: peaks of the gradient by class "
        f"{does('gradient')}, peaks of the motion {does('motion')}. "
        f"{_on_motion(mean_of(_known(found.share)).value, mean_of(_known(found.chance)).value)}"
    )


def _on_motion(share: float, chance: float) -> str:
    if math.isnan(share):
        return "The motion of no layer has a peak."
    return (
        f"{percent(share, 1)} of the LCA peaks by class fall on one of the motion peaks of their "
        f"layer; {percent(chance, 1)} would if the motion were rotated."
    )


def _known(shares: Sequence[float]) -> list[float]:
    """Leave out the runs in which no motion has a peak, unless that is so in all."""
    return [share for share in shares if not math.isnan(share)] or [math.nan]


def _figures(run: Run, count: int) -> Mapping[str, Callable[[], Figure]]:
    of: dict[str, Quantity] = {
        "peaks": "allocation",
        "gradient-peaks": "gradient",
        "motion-peaks": "motion",
    }
    return {
        name: partial(moments_of_learning, run, _MEASURE, what, count=count)
        for name, what in of.items()
    }


SYNCHRONY = Synchrony()
