"""P-values where several tests are made at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from attrs import evolve

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lca_core.analyses.means import Mean


def holm(p: np.ndarray) -> np.ndarray:
    """Return p-values corrected for there being several tests; NaN stays and is no test.

    Args:
        p: shape (tests,).

    Example:
        >>> import numpy as np
        >>> from lca_core.analyses import holm
        >>> holm(np.array([0.01, 0.04, 0.03])).tolist()
        [0.03, 0.06, 0.06]

    Source: Holm (1979), Scandinavian Journal of Statistics 6, 65-70.
    """
    found = np.full(p.shape, np.nan)
    order = [i for i in np.argsort(p) if not np.isnan(p[i])]
    worst = 0.0
    for rank, i in enumerate(order):
        worst = max(worst, min(1.0, (len(order) - rank) * float(p[i])))
        found[i] = worst
    return found


def corrected(means: Iterable[Mean]) -> tuple[Mean, ...]:
    """Return means whose p is corrected for there being several of them (Holm).

    Args:
        means: of one family: layers of a network, arms beside one base.

    Example:
        >>> from lca_core.analyses import corrected, mean_of
        >>> [round(one.p, 3) for one in corrected([mean_of([1, 2, 3]), mean_of([1, 2, 4])])]
        [0.148, 0.148]
    """
    means = tuple(means)
    p = holm(np.array([mean.p for mean in means]))
    return tuple(evolve(mean, p=float(one)) for mean, one in zip(means, p, strict=True))
