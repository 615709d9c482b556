"""What a claim says of means over seeds, and the verdict on all of it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from attrs import frozen

from lca_core.analyses import Mean, corrected

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lca_core.experiments.experiment import Verdict

Side: TypeAlias = Literal["below", "above", "not below"]
"""Where a claim expects a mean, seen from 0."""

LEVEL = 0.05


@frozen
class Statement:
    """One thing that a claim says of a mean.

    Args:
        text: what it says, as a sentence goes on after "that".
        mean: of what was measured, one value a seed.
        side: where the claim expects it, seen from 0.
    """

    text: str
    mean: Mean
    side: Side

    @property
    def holds(self) -> bool:
        """Whether the runs bear it out, p < 0.05; "not below", where they do not speak against."""
        if self.side == "not below":
            return not math.isnan(self.mean.half) and not self.speaks_against(self.mean.p)
        return self.mean.p < LEVEL and self._beyond == (1 if self.side == "above" else -1)

    def speaks_against(self, p: float) -> bool:
        """Return whether the mean is on the other side, given its p (corrected or not)."""
        wrong = 1 if self.side == "below" else -1
        return p < LEVEL and self._beyond == wrong

    @property
    def _beyond(self) -> int:
        return int(np.sign(self.mean.value))


def verdict(statements: Sequence[Statement]) -> Verdict:
    """Return "agrees" if all hold, "disagrees" if one is refuted, else "undecided".

    All of them holding at p < 0.05 each is a test of that level as it stands; that any of them is
    refuted is corrected for there being several (Holm).

    Args:
        statements: of a claim; without any, nothing is decided.

    Example:
        >>> from lca_core.experiments.statements import Statement, verdict
        >>> from lca_core.analyses import mean_of
        >>> falls = Statement("it falls", mean_of([-1.0, -1.1, -0.9]), "below")
        >>> rises = Statement("it rises", mean_of([-1.0, -1.1, -0.9]), "above")
        >>> verdict([falls]), verdict([falls, rises]), verdict([])
        ('agrees', 'disagrees', 'undecided')

    Source: Berger (1982), Technometrics 24, 295-300; Holm (1979), Scandinavian Journal of
    Statistics 6, 65-70.
    """
    if refuted(statements):
        return "disagrees"
    return "agrees" if statements and all(one.holds for one in statements) else "undecided"


def refuted(statements: Sequence[Statement]) -> tuple[Statement, ...]:
    """Return those that the runs speak against, corrected for their number."""
    means = corrected(one.mean for one in statements)
    pairs = zip(statements, means, strict=True)
    return tuple(one for one, mean in pairs if one.speaks_against(mean.p))


def unsettled(statements: Sequence[Statement]) -> tuple[Statement, ...]:
    """Return those that neither hold nor are refuted."""
    against = refuted(statements)
    return tuple(one for one in statements if not one.holds and one not in against)


def as_values(statements: Sequence[Statement]) -> list[dict[str, Any]]:
    """Return what was said, the mean that it is about, and what became of it."""
    against = refuted(statements)
    return [
        {
            "statement": one.text,
            "side": one.side,
            "mean": one.mean,
            "holds": one.holds,
            "refuted": one in against,
        }
        for one in statements
    ]
