"""Which runs count: those that ended at a loss that is a number."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lca_core.words import counted, few

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lca_core.experiments.experiment import Arms
    from lca_core.run import Run


def usable(arms: Arms, measures: Sequence[str] = ("train", "val")) -> dict[str, dict[int, Run]]:
    """Return the runs that ended well, by arm and seed; an arm may be left without any.

    Args:
        arms: all runs.
        measures: whose losses must be finite at the end.
    """
    return {
        arm: {
            seed: run
            for seed, run in runs.items()
            if run.steps and np.isfinite([run.loss(measure)[-1] for measure in measures]).all()
        }
        for arm, runs in arms.items()
    }


def left_out(arms: Arms, kept: Mapping[str, Mapping[int, Run]]) -> str:
    """Say which runs do not count; nothing where all do."""
    lost = {arm: len(runs) - len(kept[arm]) for arm, runs in arms.items()}
    told = [f"{counted(n, 'run')} of '{arm}'" for arm, n in lost.items() if n]
    if not told:
        return ""
    return f"Left out, as the loss was no number in the end: {few(told)}."
