"""What the steps of a run so far have left open, so that its gaps do not add up unseen."""

from __future__ import annotations

import math

from attrs import frozen


@frozen
class Account:
    r"""The gaps of one measure's steps so far, and how far its loss has travelled.

    Args:
        gap: :math:`\sum_t \mathrm{gap}_t`, loss units.
        travelled: :math:`\sum_t |\Delta L_t|`, loss units; of a part, of the whole where that
            moved less.

    Example:
        >>> from lca_core.account import Account
        >>> Account().after(change=-0.5, gap=0.01).after(change=0.25, gap=-0.02)
        Account(gap=-0.01, travelled=0.75)
    """

    gap: float = 0.0
    travelled: float = 0.0

    def after(self, *, change: float, gap: float) -> Account:
        """Return it behind one more step; one that is not finite leaves it as it is.

        Args:
            change: ΔL, loss units.
            gap: ΔL - Σ allocation, loss units.
        """
        if not (math.isfinite(change) and math.isfinite(gap)):
            return self
        return Account(self.gap + gap, self.travelled + abs(change))
