"""Who learns and who overfits, as training goes on."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import evolve, frozen

from lca_core import analyses
from lca_core.analyses import Mean, corrected, mean_of, overfitting, paired
from lca_core.analyses.common_steps import same_steps
from lca_core.analyses.overfitting import ParameterPairs
from lca_core.errors import ExperimentError
from lca_core.experiments.experiment import Outcome, Planned
from lca_core.experiments.planning import tracking
from lca_core.experiments.statements import LEVEL, Statement, as_values, verdict
from lca_core.experiments.usable import left_out, usable
from lca_core.experiments.values import plain
from lca_core.experiments.windows import HELD_OUT, LEARNED, Windows, equal, windows
from lca_core.experiments.words import p_value, percent_of, table, with_p
from lca_core.figures import Line, generalisation, means_over_steps
from lca_core.observers import Counts, Totals
from lca_core.words import called, counted, few, measured

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.figure import Figure

    from lca_core.experiments.experiment import Arms
    from lca_core.run import Run
    from lca_core.training import TrainingSpec

_WHOLE, _HALF = "whole", "first half"
_WINDOWS, _MOST_LINES = 10, 6
_SAME = 1e-3
"""Relative difference of losses up to which two runs count as one."""


@frozen
class Overfit:
    """Training against validation LCA, by layer over windows, by parameter over both halves.

    Totals of single parameters are kept of a whole run only: a second arm of half the epochs has
    those of the first half, and what is missing to the whole is the second.
    """

    name: str = "overfit"
    claim: str = (
        "Comparing training with validation LCA tells who learns and who overfits (proposed as "
        "future work, without numbers): validation LCA falls behind as training goes on."
    )

    def plan(self, base: TrainingSpec, seeds: Sequence[int]) -> tuple[Planned, ...]:
        """Return the base, and the base for half the epochs.

        Raises:
            ExperimentError: there is one epoch only.
        """
        if base.epochs < 2:
            msg = (
                f"'{self.name}' compares the halves of a training: it needs at least 2 epochs, "
                f"got {base.epochs}. Pass more --epochs."
            )
            raise ExperimentError(msg)
        observed = tracking(base.network, (Totals(), Counts()))
        arms = {_WHOLE: base, _HALF: evolve(base, epochs=base.epochs // 2)}
        return tuple(
            Planned(arm, evolve(spec, seed=seed), observed)
            for arm, spec in arms.items()
            for seed in seeds
        )

    def judge(self, arms: Arms) -> Outcome:
        """Compare the second half of the training with the first."""
        given, arms = arms, usable(arms)
        if not arms.get(_WHOLE):
            msg = f"'{self.name}' needs a run of '{_WHOLE}' that ended well; there is none."
            raise ExperimentError(msg)
        whole, half = dict(sorted(arms[_WHOLE].items())), arms.get(_HALF, {})
        steps = next(iter(whole.values())).steps
        middle = min((run.steps for run in half.values()), default=steps // 2)
        behind = _Behind.of([windows(run, [0, middle, steps]) for run in whole.values()])
        each = [windows(run, equal(steps, _WINDOWS)) for run in whole.values()]
        shares = _shares(whole, half)
        statements = [Statement("validation falls behind", behind.lag[-1], "above")]
        judged = verdict(statements)
        text = (
            _said(judged, behind, middle),
            behind.table(),
            _layers(behind),
            _parameters(shares),
            _ended(list(whole.values())),
            left_out(given, arms),
        )
        first = next(iter(whole.values()))
        return Outcome(
            verdict=judged,
            text=tuple(filter(None, text)),
            results=plain({
                "statements": as_values(statements),
                "steps": steps,
                "middle": middle,
                "seeds": list(whole),
                "halves": behind.as_values(),
                "windows": _as_values(each),
                "parameters": shares,
                "final_loss": {
                    measure: mean_of([run.loss(measure)[-1] for run in whole.values()])
                    for measure in (LEARNED, HELD_OUT)
                },
            }),
            figures={
                "behind": partial(_draw, list(whole.values())),
                "generalisation": partial(generalisation, first, LEARNED, HELD_OUT),
            },
        )  # fmt: skip


@frozen
class _Behind:
    r"""How far validation falls behind in the second half, layer by layer and of all.

    .. math:: V_2 - \frac{V_1}{T_1}\, T_2

    with V validation LCA and T training LCA of the halves: positive where validation gained less
    in the second half than it would have at the first half's rate. Means over the runs in which
    the first half learned anything (T_1 < 0).

    Args:
        labels: of the layers, and "all".
        first, second: V / T of the halves; of the runs in which T < 0.
        lag: the formula, loss units.
        left: runs in which it is not known.
    """

    labels: tuple[str, ...]
    first: tuple[Mean, ...]
    second: tuple[Mean, ...]
    lag: tuple[Mean, ...]
    left: tuple[int, ...]

    @classmethod
    def of(cls, halves: Sequence[Windows]) -> _Behind:
        ratio = np.array([one.ratio for one in halves])
        learned, held_out = (
            np.array([getattr(one, name)[1] for one in halves]) for name in ("learned", "held_out")
        )
        lag = held_out - ratio[:, 0] * learned
        first, second, behind = (
            tuple(_known_mean(column) for column in part.T)
            for part in (ratio[:, 0], ratio[:, 1], lag)
        )
        left = tuple(np.isnan(lag).sum(axis=0).tolist())
        return cls(halves[0].labels, first, second, behind, left)

    @property
    def of_layers(self) -> tuple[Mean, ...]:
        """The lag of the layers alone, p of "no lag" corrected for their number (Holm)."""
        return corrected(self.lag[:-1])

    def table(self) -> str:
        """Write it."""
        p = [mean.p for mean in (*self.of_layers, self.lag[-1])]
        rows = [
            (called(label), *map(_written, means), p_value(one), left)
            for label, *means, one, left in zip(
                self.labels, self.first, self.second, self.lag, p, self.left, strict=True
            )
        ]
        head = ("layer", "val / train, first half", "second half", "falls behind by")
        return table((*head, "p (layers: Holm)", "runs without"), rows)

    def as_values(self) -> list[dict[str, Any]]:
        """Return it by name."""
        columns = (self.labels, self.first, self.second, self.lag, self.left)
        names = ("of", "first", "second", "behind", "runs_without")
        return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _known_mean(values: np.ndarray) -> Mean:
    """Return the mean of those that are known; of none, nothing is."""
    known = values[np.isfinite(values)]
    return mean_of(known) if known.size else Mean(np.nan, np.nan, np.nan, 0)


def _written(mean: Mean) -> str:
    return measured(mean.value, mean.half) if mean.n else "unknown"


def _said(judged: str, behind: _Behind, middle: int) -> str:
    lag = behind.lag[-1]
    if lag.n < 2:
        return (
            f"What was gained before step {middle} can be compared with what was gained after it "
            f"in {counted(lag.n, 'run')}: too few to say whether validation falls behind."
        )
    found = {
        "agrees": "Validation falls behind",
        "disagrees": "Validation does not fall behind, it catches up",
        "undecided": "Whether validation falls behind is not settled",
    }[judged]
    return (
        f"{found}: before step {middle}, {_written(behind.first[-1])} of validation loss was "
        f"gained with every unit of training loss. Measured by that rate, validation fell short "
        f"by {with_p(lag)} loss units after it, over {counted(lag.n, 'run')}."
    )


def _layers(behind: _Behind) -> str:
    """Name the layers that fall behind."""
    if behind.lag[-1].n < 2:
        return ""
    rows = zip(behind.labels[:-1], behind.of_layers, strict=True)
    worse = [(label, mean) for label, mean in rows if mean.p < LEVEL and mean.value > 0]
    if not worse:
        return "No single layer falls behind, corrected for their number."
    named = [f"{called(label)} ({_written(mean)})" for label, mean in worse]
    return f"Corrected for the number of layers, these fall behind: {few(named)}."


def _shares(whole: Mapping[int, Run], half: Mapping[int, Run]) -> dict[str, Any]:
    """Return which share of the moving parameters helped training and hurt validation.

    Totals of single parameters cannot be cut to common steps: runs that lost others in one measure
    than in the other are left out.
    """
    given = len(whole)
    whole, half = (
        {seed: run for seed, run in runs.items() if same_steps(run, LEARNED, HELD_OUT)}
        for runs in (whole, half)
    )
    pairs = {seed: overfitting(run, LEARNED, HELD_OUT) for seed, run in whole.items()}
    begun = {
        seed: overfitting(half[seed], LEARNED, HELD_OUT)
        for seed, run in whole.items()
        if seed in half and _begins_with(run, half[seed])
    }
    ended = {seed: _rest(pairs[seed], first) for seed, first in begun.items()}
    found: dict[str, Any] = {
        "whole": _known_mean(np.array([_share(one) for one in pairs.values()])),
        "runs_without": given - len(pairs),
    }
    if begun:
        first, second = ({seed: _share(p) for seed, p in part.items()} for part in (begun, ended))
        found["first_half"] = mean_of(list(first.values()))
        found["second_half"] = mean_of(list(second.values()))
        found["change"] = paired(first, second)
    found["correlation"] = _known_mean(np.array([one.correlation for one in pairs.values()]))
    return found


def _begins_with(whole: Run, half: Run) -> bool:
    """Return whether a training for half the epochs was the beginning of the whole one."""
    begin = whole.loss(LEARNED)[: half.steps + 1]
    return bool(len(begin) == half.steps + 1 and np.allclose(begin, half.loss(LEARNED), rtol=_SAME))


def _rest(whole: ParameterPairs, first: ParameterPairs) -> ParameterPairs:
    return ParameterPairs(
        {name: total - first.learned[name] for name, total in whole.learned.items()},
        {name: total - first.held_out[name] for name, total in whole.held_out.items()},
    )


def _share(pairs: ParameterPairs) -> float:
    return pairs.shares["helped", "hurt"]


def _parameters(shares: Mapping[str, Any]) -> str:
    """Say it of single parameters."""
    lost = "lost other steps in one measure than in the other"
    if not shares["whole"].n:
        return f"What single parameters did is not known: every run {lost}."
    n = shares["runs_without"]
    return _of_parameters(shares) + (f" Left out: {counted(n, 'run')} that {lost}." if n else "")


def _of_parameters(shares: Mapping[str, Any]) -> str:
    whole = (
        f"Of the parameters that moved, {percent_of(shares['whole'])} helped training and hurt "
        "validation over the run"
    )
    if "change" not in shares:
        return (
            f"{whole}. What they did in each half is not known: no training for half the epochs is "
            "the beginning of a whole one (a schedule that depends on the length?)."
        )
    return (
        f"{whole}; {percent_of(shares['first_half'])} in the first half of the epochs, "
        f"{percent_of(shares['second_half'])} in the second, seed by seed "
        f"{percent_of(shares['change'], sign='+')} more ({p_value(shares['change'].p)})."
    )


def _ended(runs: Sequence[Run]) -> str:
    """Say how far training got, and how far validation is behind in all."""
    learned, held_out = (
        np.array([run.loss(measure)[-1] for run in runs]) for measure in (LEARNED, HELD_OUT)
    )
    return (
        f"The runs end at a training loss of {learned.mean():.3g}; validation is "
        f"{_written(mean_of(held_out - learned))} above it."
    )


def _as_values(each: Sequence[Windows]) -> dict[str, Any]:
    """Return means over runs, window by window."""
    parts = {
        "train": np.array([one.learned for one in each]),
        "val": np.array([one.held_out for one in each]),
        "ratio": np.array([one.ratio for one in each]),
    }
    return {
        "ends": each[0].ends,
        **{
            name: {
                label: [_known_mean(column) for column in values[:, :, i].T]
                for i, label in enumerate(each[0].labels)
            }
            for name, values in parts.items()
        },
    }


def _draw(runs: Sequence[Run], **look: Any) -> Figure:
    """Draw how far validation is behind training, of all and of the layers most behind."""
    found = [analyses.generalisation(run, LEARNED, HELD_OUT) for run in runs]
    start = np.zeros((len(runs), 1, len(found[0].labels)))
    behind = np.concatenate([start, [one.overfit for one in found]], axis=1)
    most = np.sort(np.argsort(-np.abs(behind[:, -1].mean(axis=0)))[:_MOST_LINES])
    steps = runs[0].iteration
    return means_over_steps(
        [
            Line("all", steps, behind.sum(axis=2)),
            *(Line(found[0].labels[i], steps, behind[:, :, i]) for i in most),
        ],
        what="validation LCA - training LCA\nsince the start (loss units)",
        heading="How far validation falls behind training: above 0, training gained more",
        level=0.0,
        **look,
    )


OVERFIT = Overfit()
