"""What becomes of the loss and of the other layers when one layer is frozen."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import evolve, frozen

from lca_core.analyses import Mean, corrected, mean_of, paired
from lca_core.analyses.hurting import common_labels, summed
from lca_core.errors import ExperimentError
from lca_core.experiments.experiment import Outcome, Planned
from lca_core.experiments.planning import tracking
from lca_core.experiments.saying import said
from lca_core.experiments.statements import LEVEL, Statement, as_values, refuted, verdict
from lca_core.experiments.usable import left_out, usable
from lca_core.experiments.values import plain
from lca_core.experiments.words import table, with_p
from lca_core.figures import two_arms
from lca_core.observers import Counts, Totals
from lca_core.optimizers import Override
from lca_core.words import called, counted, few, listed, signed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lca_core.experiments.experiment import Arms
    from lca_core.run import Run
    from lca_core.training import TrainingSpec

_PLAIN, _FIRST, _LAST = "plain", "first frozen", "last frozen"
_MEASURES = ("train", "val")


@frozen
class Freeze:
    """Freeze the first or the last layer from the start, or the last from a step on.

    Args:
        step: from which the last layer is frozen in the third arm; half of `lca run` on digits in
            batches of 250 over ten epochs.
        layer: one more to freeze, from the start and from this step on.
    """

    step: int = 30
    layer: str | None = None
    name: str = "freeze"
    claim: str = (
        "Freezing ResNet-20's first layer does not lower the loss and the others help less; "
        "freezing its last layer at initialisation lowers training and test loss, p < 0.001."
    )

    def plan(self, base: TrainingSpec, seeds: Sequence[int]) -> tuple[Planned, ...]:
        """Return the plain arm and others that differ in what is frozen alone.

        Raises:
            ExperimentError: the network has one layer only, or none of the name.
        """
        layers = base.network.layout.labels("layer")
        if len(layers) < 2:
            msg = (
                f"'{self.name}' freezes one layer and looks at the others: the network must have "
                f"at least two, '{base.network.name}' has {list(layers)}. Choose another --network."
            )
            raise ExperimentError(msg)
        if self.layer not in (None, *layers):
            msg = (
                f"'{self.name}' is to freeze {self.layer!r}, but '{base.network.name}' has no such "
                f"layer; it has {', '.join(layers)}."
            )
            raise ExperimentError(msg)
        arms = {_PLAIN: base} | {
            arm: _frozen(base, layer, step)
            for arm, (layer, step) in self._freezings(layers).items()
        }
        observed = tracking(base.network, (Totals(), Counts()))
        return tuple(
            Planned(arm, evolve(spec, seed=seed), observed)
            for arm, spec in arms.items()
            for seed in seeds
        )

    def judge(self, arms: Arms) -> Outcome:
        """Compare every arm with the plain one, seed by seed."""
        given, arms = arms, usable(arms)
        needed = (_PLAIN, _FIRST, _LAST)
        missing = [arm for arm in needed if not arms.get(arm)]
        if missing:
            msg = (
                f"'{self.name}' compares {listed(needed)}; {listed(missing)} has no run that "
                "ended well: run more seeds, or a smaller learning rate."
            )
            raise ExperimentError(msg)
        layers = next(iter(arms[_PLAIN].values())).layout.labels("layer")
        effects = {
            arm: _Effect.of(arms[_PLAIN], arms[arm], layers.index(layer))
            for arm, (layer, _) in self._freezings(layers).items()
            if arms.get(arm)
        }
        statements = _statements(effects[_FIRST], effects[_LAST])
        text = [
            f"{said(statements)} All differences are frozen minus plain, of the same seeds.",
            _losses(effects),
            *(_others(arm, one) for arm, one in effects.items()),
            _reason(effects[_LAST], statements),
            _whole(arms[_PLAIN], self.step),
            left_out(given, arms),
        ]
        return Outcome(
            verdict=verdict(statements),
            text=tuple(filter(None, text)),
            results=plain({
                "statements": as_values(statements),
                "step": self.step,
                "seeds": {arm: sorted(runs) for arm, runs in arms.items()},
                "final_loss": {arm: _final(runs) for arm, runs in arms.items()},
                "against_plain": {arm: one.as_values() for arm, one in effects.items()},
            }),
            figures={
                arm.replace(" ", "-"): partial(
                    two_arms,
                    list(arms[_PLAIN].values()),
                    "train",
                    list(arms[arm].values()),
                    names=(_PLAIN, arm),
                )
                for arm in effects
            },
        )  # fmt: skip

    def _freezings(self, layers: Sequence[str]) -> dict[str, tuple[str, int]]:
        """Return arm -> the layer that is frozen in it, and from which step on."""
        late = f"from step {self.step}"
        arms = {
            _FIRST: (layers[0], 0),
            _LAST: (layers[-1], 0),
            f"{_LAST} {late}": (layers[-1], self.step),
        }
        if self.layer is not None:
            arms |= {
                f"{self.layer} frozen": (self.layer, 0),
                f"{self.layer} frozen {late}": (self.layer, self.step),
            }
        return arms


def _frozen(base: TrainingSpec, layer: str, step: int) -> TrainingSpec:
    changed = evolve(base.overrides.get(layer, Override()), frozen_from=step)
    return evolve(base, overrides={**base.overrides, layer: changed})


@frozen
class _Effect:
    """What freezing did, against the plain runs of the same seeds.

    Args:
        layer: that was frozen.
        own: LCA of this layer in the plain runs, loss units.
        labels: of the other layers.
        layers: frozen minus plain, of each of the other layers' LCA; negative helped more.
        others: the same of their sum.
        loss: the same of the final loss of each measure.
    """

    layer: str
    own: Mean
    labels: tuple[str, ...]
    layers: tuple[Mean, ...]
    others: Mean
    loss: Mapping[str, Mean]

    @classmethod
    def of(
        cls, plain_runs: Mapping[int, Run], frozen_runs: Mapping[int, Run], place: int
    ) -> _Effect:
        """Compare runs of the same seeds.

        Raises:
            ExperimentError: there is none that both have.
        """
        seeds = sorted(plain_runs.keys() & frozen_runs.keys())
        if not seeds:
            msg = (
                f"No seed is finished both plain ({sorted(plain_runs)}) and frozen "
                f"({sorted(frozen_runs)}): there is nothing to compare."
            )
            raise ExperimentError(msg)
        before, after = (
            np.array([summed(runs[seed], "train", "layer") for seed in seeds])
            for runs in (plain_runs, frozen_runs)
        )
        labels = plain_runs[seeds[0]].layout.labels("layer")
        # Refuses runs of different networks.
        common_labels([runs[seed] for seed in seeds for runs in (plain_runs, frozen_runs)], "layer")
        rest = np.delete(after - before, place, axis=1)
        return cls(
            layer=labels[place],
            own=mean_of(before[:, place]),
            labels=tuple(np.delete(np.array(labels, object), place)),
            layers=tuple(mean_of(column) for column in rest.T),
            others=mean_of(rest.sum(axis=1)),
            loss={
                measure: paired(_ends(plain_runs, measure), _ends(frozen_runs, measure))
                for measure in _MEASURES
            },
        )

    def as_values(self) -> dict[str, Any]:
        """Return it by name."""
        return {
            "frozen": self.layer,
            "its_lca_when_free": self.own,
            "others": self.others,
            "layers": dict(zip(self.labels, self.layers, strict=True)),
            "loss": self.loss,
        }


def _ends(runs: Mapping[int, Run], measure: str) -> dict[int, float]:
    return {seed: float(run.loss(measure)[-1]) for seed, run in runs.items()}


def _final(runs: Mapping[int, Run]) -> dict[str, Any]:
    ends = {measure: _ends(runs, measure) for measure in _MEASURES}
    return {
        measure: {"runs": of_seed, "mean": mean_of(list(of_seed.values()))}
        for measure, of_seed in ends.items()
    }


def _statements(first: _Effect, last: _Effect) -> tuple[Statement, ...]:
    """Return what the article says, as differences from the plain runs."""
    return (
        *(
            Statement(f"freezing the last layer lowers the {measure} loss", mean, "below")
            for measure, mean in last.loss.items()
        ),
        *(
            Statement(
                f"freezing the first layer does not lower the {measure} loss", mean, "not below"
            )
            for measure, mean in first.loss.items()
        ),
        Statement("with the first layer frozen the others help less", first.others, "above"),
    )


def _losses(effects: Mapping[str, _Effect]) -> str:
    rows = [
        (arm, one.layer, with_p(one.loss["train"]), with_p(one.loss["val"]), with_p(one.others))
        for arm, one in effects.items()
    ]
    return table(("arm", "frozen", "train loss", "val loss", "LCA of the others"), rows)


def _others(arm: str, effect: _Effect) -> str:
    """Name the layers that did otherwise; one seed alone does not tell."""
    if np.isnan([mean.p for mean in effect.layers]).all():
        return ""
    changed = [
        f"{called(label)} ({with_p(mean)})"
        for label, mean in zip(effect.labels, corrected(effect.layers), strict=True)
        if mean.p < LEVEL
    ]
    what = few(changed) if changed else "no other layer, as far as these runs tell"
    several = f", corrected for {counted(len(effect.labels), 'layer')}" * (len(effect.labels) > 1)
    return f"{arm}: LCA changed of {what}{several}."


def _reason(last: _Effect, statements: Sequence[Statement]) -> str:
    """Say why freezing the last layer does not help here, where the numbers say it."""
    if not any(one in refuted(statements) for one in statements[:2]):
        return ""
    others = "made up for a part of it" if last.others.value < 0 else "did not make up for it"
    if last.own.p < LEVEL and last.own.value < 0:
        return (
            f"The article's last layer hurts; here {called(last.layer)} helps when it is free "
            f"({with_p(last.own)}): freezing it takes this help away, and the others {others} "
            f"({with_p(last.others)})."
        )
    return (
        f"Free, {called(last.layer)} was allocated {signed(last.own.value)}; freezing it changed "
        f"what the others did by {with_p(last.others)}, more than it saved."
    )


def _whole(runs: Mapping[int, Run], step: int) -> str:
    """Say where in the run the late freezing lay."""
    longest = max(int(run.iteration[-1]) for run in runs.values())
    if step >= longest:
        return f"The runs have {counted(longest, 'step')}: nothing was frozen from step {step} on."
    return f"The runs have {counted(longest, 'step')}."


FREEZE = Freeze()
