"""Whether barely over half of the parameters help, whatever the settings."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from attrs import asdict, evolve, frozen

from lca_core.analyses import Mean, corrected, mean_of, paired
from lca_core.errors import ExperimentError
from lca_core.experiments.experiment import Outcome, Planned
from lca_core.experiments.noisiness import MEASURE, Noisiness, share_over_time
from lca_core.experiments.planning import tracking
from lca_core.experiments.settings import BASE, star
from lca_core.experiments.statements import (
    LEVEL,
    Side,
    Statement,
    as_values,
    refuted,
    unsettled,
    verdict,
)
from lca_core.experiments.usable import usable
from lca_core.experiments.values import plain
from lca_core.experiments.words import p_value, percent_of, table
from lca_core.figures import (
    Line,
    distribution,
    heroes_and_villains,
    means_over_steps,
    shares_of_arms,
)
from lca_core.observers import Counts, Distribution, Oscillation, Tallies
from lca_core.words import counted, few, listed, percent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.figure import Figure

    from lca_core.experiments.experiment import Arms
    from lca_core.run import Run
    from lca_core.training import TrainingSpec

    Found: TypeAlias = Mapping[str, Mapping[int, Noisiness]]

HALF, BARELY = 0.5, 0.6
_WINDOWS = 40
_FALLS = 0.05
"""How much the share must fall in a run for its beginning to be a reason."""
_ENOUGH, _TOGETHER = 5, 0.6
"""Arms to rank, and the rank correlation from which they are said to go together."""


@frozen
class Noise:
    """The share of parameters that help, over optimizers, learning rates, momenta and batches.

    A star around the base: one thing is varied at a time.
    """

    name: str = "noise"
    claim: str = (
        "Barely over 50 % of the parameters help at a step (50.7 % on average in ResNet-20, below "
        "60 % early on), whatever the settings within those that train."
    )

    def plan(self, base: TrainingSpec, seeds: Sequence[int]) -> tuple[Planned, ...]:
        """Return at most twelve arms."""
        observed = tracking(base.network, (Counts(), Tallies(), Oscillation(), Distribution()))
        return tuple(
            Planned(arm, evolve(spec, seed=seed), observed)
            for arm, spec in star(base).items()
            for seed in seeds
        )

    def judge(self, arms: Arms) -> Outcome:
        """Compare the share of every arm with 50 and 60 %."""
        runs = {arm: dict(sorted(of_seed.items())) for arm, of_seed in _that_train(arms).items()}
        lost = [arm for arm, of_seed in runs.items() if not of_seed]
        runs = {arm: of_seed for arm, of_seed in runs.items() if of_seed}
        if BASE not in runs:
            msg = f"'{self.name}' needs a run of '{BASE}' whose loss fell; choose a smaller --lr."
            raise ExperimentError(msg)
        found = {
            arm: {seed: Noisiness.of(run) for seed, run in of_seed.items()}
            for arm, of_seed in runs.items()
        }
        statements = _statements(found)
        text = (
            _said(found, statements),
            _shares(found),
            _reasons(found, statements),
            _single(found),
            f"Did not train, and left out: {few(lost)}." if lost else "",
        )
        return Outcome(
            verdict=verdict(statements),
            text=tuple(filter(None, text)),
            results=plain({
                "statements": as_values(statements),
                "seeds": {arm: list(of_seed) for arm, of_seed in arms.items()},
                "did_not_train": {
                    arm: sorted(of_seed.keys() - runs.get(arm, {}).keys())
                    for arm, of_seed in arms.items()
                },
                "arms": {arm: _values(of_seed) for arm, of_seed in found.items()},
                "over_time": {arm: _over_time(of_seed) for arm, of_seed in runs.items()},
            }),
            figures=_figures(runs, found),
        )  # fmt: skip


def _that_train(arms: Arms) -> dict[str, dict[int, Run]]:
    """Return the runs whose loss fell."""
    return {
        arm: {
            seed: run
            for seed, run in of_seed.items()
            if run.loss(MEASURE)[-1] < run.loss(MEASURE)[0]
        }
        for arm, of_seed in usable(arms).items()
    }


def _each(of_seed: Mapping[int, Noisiness], name: str) -> dict[int, float]:
    """Return one number of every run in which it is known."""
    each = {seed: getattr(one, name) for seed, one in of_seed.items()}
    return {seed: value for seed, value in each.items() if np.isfinite(value)}


def _mean(of_seed: Mapping[int, Noisiness], name: str) -> Mean:
    each = _each(of_seed, name)
    return mean_of(list(each.values())) if each else Mean(np.nan, np.nan, np.nan, 0)


def _against_base(found: Found) -> dict[str, Mean]:
    """Return the shares of all other arms minus the base's, p corrected for their number."""
    base = _each(found[BASE], "of_moving")
    others = {arm: _each(of_seed, "of_moving") for arm, of_seed in found.items() if arm != BASE}
    means = (
        paired(base, other) if base.keys() & other.keys() else Mean(np.nan, np.nan, np.nan, 0)
        for other in others.values()
    )
    return dict(zip(others, corrected(means), strict=True))


def _statements(found: Found) -> tuple[Statement, ...]:
    """Return that every arm lies above one half, and below what is barely more."""
    ends: tuple[tuple[Side, float], ...] = (("above", HALF), ("below", BARELY))
    return tuple(
        Statement(f"{arm} {side} {percent(end)}", mean_of(np.array(share) - end), side)
        for arm, of_seed in found.items()
        if (share := list(_each(of_seed, "of_moving").values()))
        for side, end in ends
    )


def _said(found: Found, statements: Sequence[Statement]) -> str:
    """Say which arms are where the article has them."""
    means = [_mean(of_seed, "of_moving") for of_seed in found.values()]
    if max(mean.n for mean in means) < 2:
        return "One seed is no sample: how sure a share is takes more of them."
    values = [mean.value for mean in means if mean.n]
    lead = (
        f"Of the parameters that move, {percent(min(values), 1)} to {percent(max(values), 1)} help "
        f"at a step, on average over steps and runs, in {counted(len(values), 'arm')}"
    )
    against, open_ = refuted(statements), unsettled(statements)
    if not against and not open_:
        return f"{lead}: all between {percent(HALF)} and {percent(BARELY)}."
    parts = [
        f"refuted: {listed([one.text for one in against])}" if against else "",
        f"not settled: {listed([one.text for one in open_])}" if open_ else "",
    ]
    return f"{lead}; {'; '.join(filter(None, parts))}."


def _shares(found: Found) -> str:
    """Write the shares of every arm."""
    rows, changes = [], _against_base(found)
    for arm, of_seed in found.items():
        shares = (_mean(of_seed, name) for name in ("of_moving", "of_all", "early", "late"))
        change = changes.get(arm)
        differs = f"{percent_of(change, '+')} ({p_value(change.p)})" if change else ""
        loss = f"{_mean(of_seed, 'loss').value:.3g}"
        rows.append((arm, *map(percent_of, shares), differs, loss, len(of_seed)))
    head = ("arm", "helped, of moving", "of all", "first tenth", "second half")
    return table((*head, "minus base (p: Holm)", "final loss", "runs"), rows)


def _reasons(found: Found, statements: Sequence[Statement]) -> str:
    """Say what the numbers give as reasons where more than barely half help."""
    if not any(one.side == "below" for one in refuted(statements)):
        return ""
    dead = percent_of(_mean(found[BASE], "of_all"))
    said = (
        _beginning(found[BASE]),
        _progress(found),
        *(f"{what}: {listed(names)}." for what, names in _moving(found).items() if names),
    )
    of_all = (
        f"Of all parameters, those that never move (dead pixels, dead units) included, {dead} help "
        "in the base: which share the article's 50.7 % is of, decides what to compare with it."
    )
    return " ".join(filter(None, (*said, of_all)))


def _beginning(base: Mapping[int, Noisiness]) -> str:
    """Say whether the share falls as training goes on, in the base."""
    early, late = _each(base, "early"), _each(base, "late")
    if not early.keys() & late.keys():
        return ""
    falls = paired(early, late)
    if not (falls.p < LEVEL and falls.value < -_FALLS):
        return ""
    mean = _mean(base, "late")
    where = "within the article's range" if mean.value < BARELY else "still above it"
    return (
        f"The share falls as training goes on, in the base by {percent_of(falls, '+')} from the "
        f"first tenth of the steps to the second half ({percent_of(mean)}, {where}): a short run "
        "is for a large part the steep beginning, for which the article too reports more."
    )


def _progress(found: Found) -> str:
    """Say whether fewer help in the arms that got further."""
    loss, share = (
        np.array([_mean(one, name).value for one in found.values()])
        for name in ("loss", "of_moving")
    )
    if len(loss) < _ENOUGH or not np.isfinite([loss, share]).all():
        return ""
    together = float(np.corrcoef(_ranks(loss), _ranks(share))[0, 1])
    if together < _TOGETHER:
        return ""
    return (
        f"Over the {len(loss)} arms, the share goes with the final loss (rank correlation "
        f"{together:.2f}): fewer help where training got further, more where it is still on its "
        "way down."
    )


def _ranks(values: np.ndarray) -> np.ndarray:
    return np.argsort(np.argsort(values))


def _moving(found: Found) -> dict[str, list[str]]:
    """Return the settings in which fewer and in which more help than in the base."""
    sure = {arm: change for arm, change in _against_base(found).items() if change.p < LEVEL}
    return {
        what: [
            f"{arm} ({percent_of(one, '+')})" for arm, one in sure.items() if one.value * sign > 0
        ]
        for what, sign in (("Fewer help than in the base with", -1), ("More with", 1))
    }


def _single(found: Found) -> str:
    """Write how single parameters do: heroes and villains, turns, tails."""
    head = (
        "arm", "95 % of the parameters helped on", "coins", "steps between turns of motion",
        "of gradient", "of LCA", "tail index", "Gini of helps", "of hurts",
    )  # fmt: skip
    names = ("motion", "gradient", "allocation", "tail", "helps", "hurts")
    rows = []
    for arm, of_seed in found.items():
        low, high, coins = (_mean(of_seed, name).value for name in ("low", "high", "coins"))
        numbers = (_number(_mean(of_seed, name).value) for name in names)
        rows.append((arm, f"{_share(low)} to {_share(high)} of their steps",
                     f"± {_share(coins)}", *numbers))  # fmt: skip
    return table(head, rows)


def _share(value: float) -> str:
    return percent(value) if np.isfinite(value) else "unknown"


def _number(value: float) -> str:
    return f"{value:.3g}" if np.isfinite(value) else "unknown"


def _values(of_seed: Mapping[int, Noisiness]) -> dict[str, Any]:
    """Return all numbers of an arm: mean and runs."""
    each = {seed: asdict(one) for seed, one in of_seed.items()}
    return {
        name: {
            "mean": _mean(of_seed, name),
            "runs": {seed: numbers[name] for seed, numbers in each.items()},
        }
        for name in next(iter(each.values()))
    }


def _over_time(of_seed: Mapping[int, Run]) -> dict[str, np.ndarray]:
    """Return every run's share over windows of its steps."""
    steps, shares = zip(*(share_over_time(run, _WINDOWS) for run in of_seed.values()), strict=True)
    count = min(map(len, shares))
    return {"steps": steps[0][:count], "shares": np.array([one[:count] for one in shares])}


def _figures(runs: Mapping[str, Mapping[int, Run]], found: Found) -> dict[str, Any]:
    first = next(iter(runs[BASE].values()))
    return {
        "helping": partial(_draw_shares, found),
        "over-time": partial(_draw_over_time, runs),
        "heroes": partial(heroes_and_villains, first, MEASURE),
        "distribution": partial(distribution, first, MEASURE),
    }


def _draw_shares(found: Found, **look: Any) -> Figure:
    each = {arm: np.array(list(_each(one, "of_moving").values())) for arm, one in found.items()}
    return shares_of_arms(
        {arm: values for arm, values in each.items() if len(values)},
        expected=(HALF, BARELY),
        what="parameters that helped, of those that moved (%): mean over steps",
        heading="Share of helping parameters, one setting varied at a time",
        **look,
    )


def _draw_over_time(runs: Mapping[str, Mapping[int, Run]], **look: Any) -> Figure:
    lines = []
    for arm, of_seed in runs.items():
        one = _over_time(of_seed)
        lines.append(Line(arm, one["steps"], 100 * one["shares"]))
    return means_over_steps(
        lines,
        what="helped, of those that moved (%)",
        heading="Share of helping parameters as training goes on",
        level=100 * HALF,
        bounds=(0.0, 100.0),
        **look,
    )


NOISE = Noise()
