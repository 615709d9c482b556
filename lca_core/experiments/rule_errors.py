"""How wrong a rule was on a trajectory, against a much finer one on the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from attrs import frozen

from lca_core.analyses.hurting import summed

if TYPE_CHECKING:
    from lca_core.run import Run

_SAME = 1e-5


@frozen
class RuleError:
    """What a rule got wrong over one run.

    Args:
        total: |Σ gap| / |loss change|; known without another rule.
        worst_step: largest |gap| of a step, loss units.
        layers: total of every layer minus the true one, shape (layers,), loss units.
        layers_flipped: names of the layers whose total has the wrong sign.
        parameters: Σ |total - true total| / Σ |true total| over single parameters.
        parameters_flipped: share of the parameters with a total whose sign is wrong.
        cost: gradients a step.
    """

    total: float
    worst_step: float
    layers: np.ndarray
    layers_flipped: tuple[str, ...]
    parameters: float
    parameters_flipped: float
    cost: float


def same_trajectory(run: Run, truth: Run, measure: str) -> bool:
    """Return whether two trainings went the same way: as far as losses tell, in float32."""
    one, other = run.loss(measure), truth.loss(measure)
    return one.shape == other.shape and bool(
        np.allclose(one, other, rtol=_SAME, atol=0.0, equal_nan=True)
    )


def rule_error(run: Run, truth: Run, measure: str) -> RuleError:
    """Compare a run with the same run, measured finely.

    Args:
        run: with the observer `Totals()`.
        truth: the same training, with `Totals()`.
        measure: its name.
    """
    finite = run.finite(measure)
    gap, loss = run.gap(measure)[finite], run.loss(measure)
    found, true = summed(run, measure, "layer"), summed(truth, measure, "layer")
    single, true_single = flat(run, measure), flat(truth, measure)
    moved = true_single != 0
    return RuleError(
        total=_ratio(abs(float(gap.sum())), abs(float(loss[-1] - loss[0]))),
        worst_step=float(np.abs(gap).max(initial=0.0)),
        layers=found - true,
        layers_flipped=tuple(
            label
            for label, a, b in zip(run.layout.labels("layer"), found, true, strict=True)
            if b and np.sign(a) != np.sign(b)
        ),
        parameters=_ratio(
            float(np.abs(single - true_single).sum()), float(np.abs(true_single).sum())
        ),
        parameters_flipped=_ratio(
            float((np.sign(single) != np.sign(true_single))[moved].sum()), float(moved.sum())
        ),
        cost=float(run.evaluations(measure).mean()) if run.steps else float("nan"),
    )


def flat(run: Run, measure: str) -> np.ndarray:
    """Return every parameter's total, shape (parameters,), loss units."""
    return np.concatenate([leaf.reshape(-1) for leaf in run.total(measure).values()])


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")
