"""What became of the statements of a claim, in a sentence each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lca_core.experiments.statements import Statement, refuted, unsettled
from lca_core.experiments.words import with_p
from lca_core.words import listed

if TYPE_CHECKING:
    from collections.abc import Sequence


def said(statements: Sequence[Statement]) -> str:
    """Say which statements hold, which are refuted and which are open, with their means.

    Args:
        statements: of a claim.

    Example:
        >>> from lca_core.experiments.saying import said
        >>> from lca_core.experiments.statements import Statement
        >>> from lca_core.analyses import mean_of
        >>> said([Statement("it rises", mean_of([-1.0, -1.1, -0.9]), "above")])
        'It does not hold that it rises: -1.00 ± 0.25 (p = 0.0033).'
    """
    against, open_ = refuted(statements), unsettled(statements)
    holding = [one for one in statements if one not in against and one not in open_]
    parts = [
        f"It holds that {_each(holding)}." if holding else "",
        f"It does not hold that {_each(against)}." if against else "",
        f"It is not settled whether {_each(open_)}." if open_ else "",
        "One seed gives no interval." if all(one.mean.n < 2 for one in statements) else "",
    ]
    return " ".join(filter(None, parts))


def _each(statements: Sequence[Statement]) -> str:
    return listed([f"{one.text}: {with_p(one.mean)}" for one in statements])
