"""The ways of measuring: what a look costs, and how exact a sample is expected to be."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, TypeAlias

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Kind: TypeAlias = Literal["all", "probe", "redrawn"]
"""All examples; a `FixedProbe` of each measure; `Redrawn` of the first, and a probe of others."""

_COARSER = 10
_MOST = 1_000


@frozen
class Way:
    """A way to look at the data, and what one look costs.

    Args:
        kind: which.
        examples: of the first measure, at once; n.
        of: how many it holds; N.
        seconds: that closing a step takes.
        memory: bytes, at most: copies of the parameters, and the activations of a chunk.
        refining: steps -> seconds that a segment of so many takes beyond these, as it needs more
            gradients.
    """

    kind: Kind
    examples: int
    of: int
    seconds: float
    memory: int
    refining: Mapping[int, float] = field(factory=dict)

    def look(self, every: int) -> float:
        """Return the seconds that a segment of so many steps takes.

        It counts as the next longer one that is known, or as the longest.
        """
        if not self.refining:
            return self.seconds
        longer = (steps for steps in self.refining if steps >= every)
        return self.seconds + self.refining[min(longer, default=max(self.refining))]

    def factor(self, every: int, alone: float) -> float:
        r"""Return time with measuring / time of the training alone; NaN where that is not known.

        .. math:: 1 + \frac{\text{seconds of a segment of } k}{k \cdot \text{seconds alone}}

        Args:
            every: steps of a segment, k.
            alone: seconds a step of the training alone.
        """
        return 1.0 + self.look(every) / (every * alone) if alone > 0.0 else math.nan


@frozen
class Noise:
    r"""What sampling would do to the sum of all allocations.

    .. math:: \frac{s}{|A|} = \sqrt{\Big(1 - \frac nN\Big) \frac{\sigma^2}{n\,T}} \Big/ |\bar A|

    as if all T steps were like those looked at: fresh examples average over the steps, a fixed
    probe does not (T = 1). No more steps are counted than would bring a loss above zero to zero;
    one below it, such as that of a density, has no such end.

    Args:
        change: what a step allocates on average, \bar A, loss units.
        variance: of the allocation of a step by one example, \sigma²; NaN where it is unknown.
        loss: where the training stands.
    """

    change: float = math.nan
    variance: float = math.nan
    loss: float = math.nan

    def of(self, way: Way, every: int, steps: int) -> float:
        """Return one standard error of the total, relative to it; 0 for all examples.

        Args:
            way: how the data are looked at.
            every: steps between two looks.
            steps: of the training.
        """
        if way.kind == "all":
            return 0.0
        unseen = 1.0 - way.examples / way.of
        one = math.sqrt(unseen * self.variance / way.examples)
        change = abs(self.change)
        if not change > 0.0:
            return math.nan
        down = min(float(steps), self.loss / change) if self.loss > 0.0 else float(steps)
        looks = max(down / every, 1.0) if way.kind == "redrawn" else 1.0
        return one / change / math.sqrt(looks)


@frozen
class Choice:
    """One row of a plan.

    Args:
        kind: "all" examples; "probe", a `FixedProbe` of each measure; "redrawn", `Redrawn` of the
            first measure and a `FixedProbe` of the others.
        examples: of the first measure, at once.
        every: steps between two looks.
        seconds: of training and measuring, a step on average.
        factor: time with measuring / time of the training alone; NaN where that is not known.
        memory: bytes, at most: copies of the parameters, and the activations of a chunk.
        error: expected standard error of the total over the run, relative to it; 0 where the
            books close on the full loss, NaN where it is not known.
    """

    kind: Kind
    examples: int
    every: int
    seconds: float
    factor: float
    memory: int
    error: float

    @property
    def what(self) -> str:
        """What is looked at, in words."""
        words = {"all": "all {:,}", "probe": "{:,} drawn once", "redrawn": "{:,} fresh ones"}
        return words[self.kind].format(self.examples) if self.examples else self.kind

    @property
    def options(self) -> tuple[str, ...]:
        """The same as options of `lca run`."""
        words = {"all": (), "probe": ("--probe",), "redrawn": ("--redrawn", "--probe")}
        sizes = [word for option in words[self.kind] for word in (option, str(self.examples))]
        return (*sizes, *(("--every", str(self.every)) if self.every > 1 else ()))


def rows(
    ways: Sequence[Way], noise: Noise, *, alone: float, steps: int, budget: float | None
) -> tuple[Choice, ...]:
    """Return every way at every step, and as seldom as the budget asks for.

    Args:
        ways: to look at the data.
        noise: of samples.
        alone: seconds a step of the training alone.
        steps: of the training.
        budget: the most that time / time of the training alone may be; None for no limit.
    """
    own = max(0.0, alone)
    return tuple(
        Choice(
            way.kind,
            way.examples,
            every,
            own + way.look(every) / every,
            way.factor(every, alone),
            way.memory,
            noise.of(way, every, steps),
        )
        for way in ways
        for every in dict.fromkeys((1, _seldom(way, alone, steps, budget)))
    )


def _seldom(way: Way, alone: float, steps: int, budget: float | None) -> int:
    """Return how many steps lie between two looks that fit the budget; 10 without one.

    No more than the training has, at the end of which there is a look in any case.
    """
    most = max(min(_MOST, steps), 1)
    if budget is None or not alone > 0.0:
        return min(_COARSER, most)
    fits = (k for k in range(1, most + 1) if way.factor(k, alone) <= budget)
    return next(fits, most)
