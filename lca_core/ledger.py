"""What is written of every step of every measure, whatever the observers add."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from lca_core.segment import Integral, Status, noise_floor
from lca_core.typing import Declared

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lca_core.rules import Rule

ITERATION = Declared("iteration", (), "int64")
"""Calls of `step` at a step's end, the same of every measure."""

LEDGER = (
    Declared("loss", (), "float64"),
    Declared("gap", (), "float64"),
    Declared("buffers", (), "float64"),
    Declared("noise", (), "float64"),
    Declared("allocation", ("leaf",), "float64"),
    Declared("error", ("leaf",), "float64"),
    Declared("evaluations", (), "float64"),
    Declared("status", (), "int8"),
    Declared("audited", (), "bool"),
    Declared("reversed", ("leaf",), "float64"),
    Declared("discarded", (), "bool"),
)
"""The arrays of the run file.

`loss` at the step's end, `gap` = ΔL - Σ allocation - buffers, `buffers` = the part of ΔL
that moving buffers caused, `noise` = the rounding floor of the gap (all in loss units),
`allocation` and `error` by leaf, gradient `evaluations` (passes over the measure's data),
`status`, whether the step was refined by lot once more than it needed (`audited`), and how many
parameters of a leaf have another sign under the used rule than under the coarser one that `error`
compares it with (`reversed`; NaN where there is none); `discarded`: that one is finer, and opened
the books.
"""


def stood_still(leaves: int, rule: Rule, change: float) -> Integral:
    """Return exact zeros; the change is 0, or not a number.

    Args:
        leaves: how many there are.
        rule: whatever the integrator begins with.
        change: ΔL, loss units.
    """
    return Integral(
        mean_gradient={},
        leaf_allocation=np.zeros(leaves),
        leaf_error=np.zeros(leaves),
        gap=change,
        rule=rule,
        evaluations=0,
        status=Status.OK if np.isfinite(change) else Status.NONFINITE,
    )


def entries(
    losses: Sequence[float],
    eps: float,
    integral: Integral,
    turned: np.ndarray,
    *,
    gradients: int,
    moved: bool,
) -> dict[str, Any]:
    """Return what `LEDGER` declares.

    A step that begins at a loss that is not finite is lost, even if its parameters' share of the
    change is known: moving buffers would be booked without end.

    Args:
        losses: before the step, at its start under the end's buffers, at its end.
        eps: of the oracle.
        integral: how the books closed.
        turned: what is `reversed`.
        gradients: spent on the ends.
        moved: whether the buffers did.
    """
    buffers = losses[1] - losses[0] if moved else 0.0
    return {
        "loss": losses[2],
        "gap": integral.gap,
        "buffers": buffers,
        "noise": noise_floor(eps, losses[1:]),
        "allocation": integral.leaf_allocation,
        "error": integral.leaf_error,
        "evaluations": integral.evaluations + gradients,
        "status": int(integral.status if math.isfinite(buffers) else Status.NONFINITE),
        "audited": integral.audited,
        "reversed": turned,
        "discarded": integral.discarded,
    }


def of_whole(
    shares: Mapping[str, float],
    parts: Mapping[str, Mapping[str, Any]],
    judge: Callable[..., Status],
) -> dict[str, Any]:
    r"""Return the entries of a measure whose data others partition.

    .. math:: L = \sum_c w_c L_c \quad\Rightarrow\quad A = \sum_c w_c A_c

    All of it is linear in the loss but the noise, which is that of the noisiest part, the
    status: the whole's own gap is judged, whatever single parts ended with, and `reversed`,
    which here only says whether it is known of all parts.

    Args:
        shares: part -> w_c, its share of all weight.
        parts: part -> its own entries.
        judge: `Integrator.judge`.
    """

    def sum_of(name: str) -> Any:
        return sum(share * parts[part][name] for part, share in shares.items())

    def all_of(name: str) -> list[Any]:
        return [parts[part][name] for part in shares]

    linear = ("loss", "gap", "buffers", "allocation", "error", "evaluations", "reversed")
    numbers = {name: sum_of(name) for name in linear}
    gap, noise = numbers["gap"], max(all_of("noise"))
    status = judge(change=gap + float(numbers["allocation"].sum()), gap=gap, noise=noise)
    lost = Status.NONFINITE in all_of("status")
    return {
        **numbers,
        "noise": noise,
        "status": int(Status.NONFINITE if lost else status),
        # The lot falls on one step for all parts; those that would not close have none.
        "audited": any(all_of("audited")),
        "discarded": any(all_of("discarded")),
    }
