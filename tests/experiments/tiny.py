"""A small experiment, importable in workers: does a larger learning rate learn more?"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from attrs import evolve, frozen

from lca_core.errors import ExperimentError
from lca_core.experiments import Outcome, Planned
from lca_core.observers import Totals
from lca_core.optimizers import Override
from lca_core.reference.adapter import NumpyAdapter


@frozen
class Tiny:
    """Two arms that differ in their learning rate."""

    name: str = "tiny"
    claim: str = "A larger learning rate learns more."

    def plan(self, base, seeds):
        """Return a slow arm and a fast one."""
        rates = {"slow": 0.01, "Fast, it is": 0.1}
        return tuple(
            Planned(
                arm,
                evolve(base, seed=seed, optimizer=Override(rate).applied(base.optimizer)),
                {"observers": (Totals(),)},
            )
            for arm, rate in rates.items()
            for seed in seeds
        )

    def judge(self, arms):
        """Compare the means over seeds."""
        means = {arm: sum(map(_learned, runs.values())) / len(runs) for arm, runs in arms.items()}
        if len(arms["slow"]) < 2:
            raise ExperimentError("Two seeds are needed, got 1: pass --seeds.")
        verdict = "agrees" if means["Fast, it is"] < means["slow"] else "disagrees"
        text = (f"slow: {means['slow']:+.4f}; fast: {means['Fast, it is']:+.4f}.",)
        results = {"means": means, "unknown": float("nan")}
        return Outcome(verdict, text, results, {"means": lambda: _bars(means)})


def _learned(run):
    return float(run.loss("train")[-1] - run.loss("train")[0])


def _bars(means):
    from lca_core.figures.style import new_figure
    from lca_core.figures.theme import AUTHORS

    figure = new_figure(2.0, AUTHORS)
    figure.subplots().bar(list(means), list(means.values()))
    return figure


class Watched(NumpyAdapter):
    """The numpy adapter; every training that is begun leaves a mark, a line in a file.

    LCA_TINY_MARKS is the file; LCA_TINY_PAUSE is how long every step takes, in seconds;
    LCA_TINY_FAULT is "SEED raise" or "SEED die", while the file LCA_TINY_FAULTY is there.
    """

    name = "watched"

    def train(self, spec, dataset, *, on_step, tracking, by_class=False):
        """Train as numpy does, under watch."""
        from lca_core.resuming import resumes_at

        line = f"{tracking['path']} {resumes_at(**tracking)} {os.getpid()}\n"
        with Path(os.environ["LCA_TINY_MARKS"]).open("a") as file:
            file.write(line)
        seed, _, fault = os.environ.get("LCA_TINY_FAULT", "-1 ").partition(" ")
        faulty = int(seed) == spec.seed and Path(os.environ.get("LCA_TINY_FAULTY", "-")).exists()
        pause = float(os.environ.get("LCA_TINY_PAUSE", "0"))

        def watched(tracker):
            time.sleep(pause)
            if faulty and tracker.iteration == 6:
                if fault == "die":
                    os.kill(os.getpid(), signal.SIGKILL)
                raise RuntimeError("It does not work.")
            on_step(tracker)

        return super().train(
            spec, dataset, on_step=watched, tracking={**tracking, "chunk": 4}, by_class=by_class
        )


TINY = Tiny()
WATCHED = Watched()
