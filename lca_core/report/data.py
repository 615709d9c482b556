"""What the page shows of its runs: names, numbers and arrays, small enough to travel."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import asdict, evolve, frozen

from lca_core import analyses
from lca_core.analyses.hurting import common_labels
from lca_core.errors import AnalysisError
from lca_core.report.groups import group_names, groupings, helping, lines, over_steps, table
from lca_core.report.observed import observed
from lca_core.report.packing import single
from lca_core.report.sampling import Buckets
from lca_core.segment import Status
from lca_core.summary import booked_loss, books, span

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lca_core.run import Run

NUMBERS = {"layer": 450_000, "leaf": 200_000, "unit": 200_000}
"""How many numbers the pictures of a grouping may have over all runs and measures."""

_NOT_SHOWN = ("statuses", "probe")

_FEWEST, _MOST, _NUMBERS_A_CELL, _MOST_OPEN = 60, 1000, 6, 2000
_FEWEST_RUNS = 2


@frozen
class View:
    """A run as the page shows it: which groups, and in how many points.

    Args:
        run: a finished run, or one that is being written.
        share: of the numbers that all runs of a page together may have.
    """

    run: Run
    share: float = 1.0

    @cached_property
    def shown(self) -> dict[str, np.ndarray]:
        """Grouping -> places of the groups that are shown."""
        return groupings(self.run)

    @cached_property
    def buckets(self) -> dict[str, Buckets]:
        """Grouping -> the points of its charts."""
        found = {}
        for by, places in self.shown.items():
            holding = sum(self._holds(measure, by) for measure in self.run.measures)
            cells = NUMBERS[by] * self.share / (_NUMBERS_A_CELL * max(len(places), 1) * holding)
            found[by] = Buckets(self.run.steps, int(np.clip(cells, _FEWEST, _MOST)))
        return found

    def itself(self, name: str) -> dict[str, Any]:
        """Return what all measures share: names, sizes, where the points are."""
        run = self.run
        return {
            "name": name,
            "steps": run.steps,
            "trained": int(run.iteration[-1]),
            "span": span(run),
            "parameters": run.layout.parameters,
            "measures": list(run.measures),
            "parts": [[run.measures.index(p) for p in run.parts(m)] for m in run.measures],
            "by": {
                by: {
                    **group_names(run, by, self.shown[by]),
                    "edges": np.append(run.iteration[:-1][b.starts], run.iteration[-1]).astype(
                        "i4"
                    ),
                    "stride": b.size,
                }
                for by, b in self.buckets.items()
            },
        }

    def measure(self, measure: str) -> dict[str, Any]:
        """Return all numbers of one measure."""
        run, found = self.run, books(self.run, measure)
        return {
            "name": measure,
            "books": {
                **asdict(found, filter=lambda a, _: a.name not in _NOT_SHOWN),
                "change": found.change,
                "cost": found.cost,
                "closing": found.closing,
                "estimated": found.estimated,
            },
            "course": _course(run, measure),
            "known": bool(run.seen(measure).any()),
            "lost": int((~run.finite(measure)).sum()),
            "passed": int((~run.looked_at(measure)).sum()),
            "every": probe.every if (probe := run.probe(measure)) else 1,
            "uncertainty": _uncertainty(run, measure),
            "by": {
                by: {
                    "table": table(run, measure, by, places),
                    **over_steps(run, measure, by, places, self.buckets[by]),
                    **(helping(run, measure, by, self.buckets[by]) if by != "unit" else {}),
                }
                for by, places in self.shown.items()
                if self._holds(measure, by)
            },
            **observed(run, measure),
        }

    def _holds(self, measure: str, by: str) -> bool:
        """Return whether it is shown; units of a part would weigh more than they tell."""
        return by != "unit" or all(measure not in self.run.parts(one) for one in self.run.measures)


def comparison(runs: Mapping[str, Run], measure: str) -> dict[str, Any]:
    """Return layers side by side: totals, ±, differences to the first run; empty if they differ.

    A run of which nothing is known, as all its steps were lost, is in no mean, and has no numbers.

    Args:
        runs: name -> run.
        measure: its name.
    """
    if any(measure not in run.measures for run in runs.values()):
        return {}
    try:
        common_labels(list(runs.values()), "layer")
    except AnalysisError:  # one run, or runs of different networks
        return {}
    known = np.array([run.seen(measure).any() for run in runs.values()])
    found = analyses.compare(runs, measure)
    total, error = (np.where(known[:, None], one, np.nan) for one in (found.total, found.error))
    found = evolve(found, total=total, error=error)
    return {
        "labels": list(found.labels),
        "total": found.total,
        "error": found.error,
        "difference": found.difference,
        "difference_error": found.difference_error,
        "known": np.flatnonzero(known).astype(np.int32),
        **_mean([run for run, one in zip(runs.values(), known, strict=True) if one], measure),
    }


def _mean(runs: list[Run], measure: str) -> dict[str, Any]:
    """Return the mean of every layer over runs and its 95 % interval; none of a single run."""
    if len(runs) < _FEWEST_RUNS:
        return {}
    together = analyses.over_runs(runs, measure)
    return {"mean": together.mean, "interval": together.interval}


def _uncertainty(run: Run, measure: str) -> str:
    """Say what the ± of groups is: that of a redrawn measure is first of all of sampling."""
    if not run.redrawn(measure):
        return "the ± of the integral"
    sampled = run.sampling_error(measure).values
    wider = (run.error(measure).values > sampled).any()
    return f"the 95 % of sampling{' and the ± of the integral' * bool(wider)}"


def _course(run: Run, measure: str) -> dict[str, Any]:
    """Return the loss, what was booked, and the gap, step by step."""
    finite, gap = run.finite(measure), np.abs(run.gap(measure))
    of_steps = np.stack([np.where(finite, gap, np.nan), run.noise(measure)], axis=1)
    of_iterates = np.stack([run.loss(measure), booked_loss(run, measure)], axis=1)
    steps, iterates = Buckets(run.steps, _MOST), Buckets(run.steps + 1, _MOST)
    course = lines(run.iteration, of_iterates, iterates.extremes(of_iterates))
    kept = steps.extremes(of_steps) if run.steps else [np.zeros(0, int)] * 2
    return {
        "loss": course,
        "gap": lines(run.iteration[1:], of_steps, kept),
        "open": _open(run, measure, gap),
        "stride": steps.size,
    }


def _open(run: Run, measure: str, gap: np.ndarray) -> dict[str, Any]:
    """Return the steps that did not close, those of the largest gaps where there are many."""
    status = run.status(measure)
    places = np.flatnonzero((status != Status.OK) & (status != Status.ESTIMATED))
    size = np.where(np.isfinite(gap[places]), gap[places], np.inf)
    chosen = np.sort(places[np.argsort(-size, kind="stable")[:_MOST_OPEN]])
    return {
        "step": run.iteration[chosen + 1].astype(np.int32),
        "gap": single(gap[chosen]),
        "status": [Status(value).name for value in status[chosen].tolist()],
        "of": len(places),
    }
