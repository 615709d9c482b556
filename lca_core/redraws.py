"""A measure whose examples are drawn anew at every step, as the core sees it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from attrs import evolve, field, frozen

from lca_core.probes import Lots, Probed, Redrawn, lots
from lca_core.rules import MIDPOINT, SIMPSON
from lca_core.typing import Evaluation, GradientOracle, Params, Sample

if TYPE_CHECKING:
    from typing import Self

    from lca_core.rules import Rule

Pick = Callable[[np.ndarray], Sample]
"""Places of shape (subsamples, size) -> the losses over these examples, one a row."""


@frozen
class Redraws:
    """Stands in the place of an oracle: it has fresh ones for every step.

    Args:
        drawing: which examples.
        pick: how the adapter makes a sample of them.
        asked: where along a step to look; None where that is left to `rule`.
        eps: machine epsilon of its arithmetic.
        long: segments are of several steps.

    Example:
        >>> import numpy as np
        >>> from lca_core import Redrawn
        >>> from lca_core.redraws import Apart, Redraws
        >>> from lca_core.reference import logistic
        >>> rng = np.random.default_rng(0)
        >>> x, y = rng.standard_normal((40, 3)), rng.integers(2, size=40)
        >>> def pick(places):
        ...     return Apart([logistic(x[row], y[row], classes=2) for row in places])
        >>> redraws = Redraws.of(Redrawn((x, y), 10), 40, pick, eps=2.0**-52)
        >>> [len(oracle.labels) for oracle in redraws.at(step=3).oracles]
        [5, 5]
    """

    drawing: Lots
    pick: Pick = field(repr=False)
    asked: Rule | None
    eps: float
    long: bool = False

    @classmethod
    def of(cls, probe: Redrawn, examples: int, pick: Pick, eps: float) -> Self:
        """Return what a probe asks for.

        Args:
            probe: as the user wrote it.
            examples: how many its data hold.
            pick: how the adapter makes a sample of places.
            eps: machine epsilon of its arithmetic.

        Raises:
            DataError: the data hold too few examples, or another number of labels.
        """
        return cls(lots(probe, examples), pick, probe.rule, eps)

    def along(self, every: int) -> Self:
        """Return the same for segments of so many steps."""
        return evolve(self, long=every > 1)

    @property
    def rule(self) -> Rule:
        """Where along a step to look: a single one is short, a longer segment is not."""
        return self.asked or (SIMPSON if self.long else MIDPOINT)

    @property
    def sees_ends(self) -> bool:
        """Whether the rule looks at both ends of a step, so that a sample's own change is known."""
        return {0.0, 1.0} <= set(self.rule.nodes)

    @property
    def probed(self) -> Probed:
        """What is drawn of how much."""
        return Probed.by(self.drawing, self.rule)

    @property
    def every(self) -> int:
        """The steps that one of them counts for."""
        return self.drawing.every

    def looks_at(self, step: int) -> bool:
        """Return whether a step is looked at; see `Lots.looks_at`."""
        return self.drawing.looks_at(step)

    def at(self, step: int) -> Sample:
        """Return the sample that is drawn for a step.

        Args:
            step: its number, from 0.
        """
        return self.pick(self.drawing.at(step))


@frozen
class Apart:
    """A `Sample` whose subsamples are evaluated one by one.

    Args:
        oracles: losses over as many examples each.
    """

    oracles: Sequence[GradientOracle]

    def __call__(self, params: Params, buffers: Params) -> list[Evaluation]:
        """Return loss and gradient over every subsample."""
        return [oracle(params, buffers) for oracle in self.oracles]
