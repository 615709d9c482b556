"""A sample in the place of the full data: fixed, or fresh at every step."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import asdict, field, frozen
from attrs.validators import optional

from lca_core.errors import DataError, RuleError, UnsupportedError
from lca_core.numbers import whole
from lca_core.partition import Arranged, Partition, Take, check_data, check_length
from lca_core.rules import Rule, check_rule

if TYPE_CHECKING:
    from collections.abc import Mapping

Count = Callable[[Any], int]
"""data -> how many examples they hold."""

_ONCE = 2**64 - 1
"""The counter of the draw that is made once: no step has this number."""


def _seed(value: Any) -> int:
    return whole("seed", value, 0, below=2**64)  # what the generator takes


def _one_or_more(n: Any) -> int:
    return whole("n", n, 1)


def _two_or_more(n: Any) -> int:
    return whole("n", n, 2)


def _parts(subsamples: Any) -> int:
    return whole("subsamples", subsamples, 2)


def _steps(every: Any) -> int:
    return whole("every", every, 1)


@frozen
class FixedProbe(Arranged):
    r"""Some examples of the data, drawn once, in the place of all of them.

    .. math:: \hat L(\theta) = \frac1n \sum_{i \in S} \ell_i(\theta)

    A loss of its own, whose books close; what they say of the full loss is off by the luck of the
    draw, which no number of steps averages out. (`Fixed` is an integrator, hence the longer name.)

    Args:
        data: as the adapter takes it, but such that single examples can be picked.
        n: how many are drawn, without replacement.
        seed: of the draw, from 0 up.
        by: labels, shape (N,), or a function of `data` that returns them: every label is drawn in
            proportion to its share. None for a draw without regard to anything.

    Raises:
        RuleError: `n` or `seed` is out of range.
        DataError: there are fewer examples than `n`.

    Example:
        >>> import numpy as np
        >>> from lca_core.probes import lots
        >>> from lca_core import FixedProbe
        >>> probe = FixedProbe(np.arange(100.0), 10)
        >>> lots(probe, examples=100).once().size
        10

    Source: method.md, "Samples of the data".
    """

    data: Any = field(validator=check_data)
    n: int = field(converter=_one_or_more)
    seed: int = field(default=0, converter=_seed)
    by: Any = None

    @property
    def subsamples(self) -> int:
        """One: its spread is not asked for."""
        return 1

    @property
    def every(self) -> int:
        """One: all steps are looked at."""
        return 1


@frozen
class Redrawn(Arranged):
    r"""Fresh examples at every step in the place of the full data, the same all along the step.

    .. math:: \hat A_{t,i} = \frac1n \sum_{j \in S_t} A_{t,i}(\ell_j), \qquad
              s_t^2 = \Big(1 - \frac nN\Big) \frac1{m(m-1)} \sum_{k=1}^m (\hat A_t^k - \hat A_t)^2

    Unbiased, as S_t is independent of the training batch; \hat A^k is the mean over the k-th of m
    equal subsamples, and the squares of standard errors add over steps. The ends of a step are not
    looked at, so nothing is said to close.

    Args:
        data: as the adapter takes it, but such that single examples can be picked.
        n: how many are drawn at every step, without replacement; a multiple of `subsamples`.
        subsamples: equal parts of the sample, m, whose spread tells the standard error.
        seed: of all draws, from 0 up; the draw of a step depends on it and on the step's number
            alone, and on no other random stream.
        by: labels, shape (N,), or a function of `data` that returns them: every label is drawn in
            proportion to its share, in every subsample. None for a draw without regard to anything.
        every: look at one step of every so many, drawn at random, which counts for all of them;
            the standard error then comes from the differences of neighbours.
        rule: where along a step to look; each node costs a gradient over n examples. A rule with a
            nested one tells the error of integration too. None for the midpoint rule, and for
            Simpson's where segments are of several steps (`track(..., every=k)`): along those the
            loss is curved, and what the middle does not tell can be more than all luck of the draw.

    Raises:
        RuleError: a number is out of range, or `n` is no multiple of `subsamples`.
        DataError: there are fewer examples than `n`.

    Example:
        >>> import numpy as np
        >>> from lca_core.probes import lots
        >>> from lca_core import Redrawn
        >>> probe = Redrawn(np.arange(100.0), 10)
        >>> lots(probe, examples=100).at(step=0).shape
        (2, 5)

    Source: method.md, "Samples of the data"; Cochran, Sampling Techniques (1977), sections 2 and 5.
    """

    data: Any = field(validator=check_data)
    n: int = field(converter=_two_or_more)
    subsamples: int = field(default=2, converter=_parts)
    seed: int = field(default=0, converter=_seed)
    by: Any = None
    every: int = field(default=1, converter=_steps)
    rule: Rule | None = field(default=None, validator=optional(check_rule))

    def __attrs_post_init__(self) -> None:
        if self.n % self.subsamples:
            msg = (
                f"n must be a multiple of subsamples, which are of one size, got n = {self.n} and "
                f"subsamples = {self.subsamples}."
            )
            raise RuleError(msg)


@frozen
class Lots:
    """Draws examples by counter: every draw is made of a seed and a number, and of nothing before.

    Args:
        strata: places of the examples that share a label, label after label; or of all.
        n: how many are drawn.
        subsamples: in how many equal parts.
        seed: from 0 up.
        every: of so many steps, one is looked at.
    """

    strata: tuple[np.ndarray, ...] = field(repr=False)
    n: int
    subsamples: int
    seed: int
    every: int = 1

    @property
    def examples(self) -> int:
        """How many there are to draw from, N."""
        return sum(map(len, self.strata))

    def once(self) -> np.ndarray:
        """Return the places of the one fixed draw, ascending, shape (n,)."""
        return np.sort(self._draw(_ONCE), axis=None)

    def at(self, step: int) -> np.ndarray:
        """Return the places drawn for a step, shape (subsamples, n / subsamples).

        Args:
            step: its number, from 0.
        """
        return self._draw(step)

    def looks_at(self, step: int) -> bool:
        """Draw one step of every block of `every`, the same one whenever it is asked.

        Args:
            step: its number, from 0.
        """
        block, place = divmod(step, self.every)
        return random.Random(f"{self.seed}, {block}").randrange(self.every) == place

    def _draw(self, number: int) -> np.ndarray:
        key = np.array([self.seed, number], np.uint64)
        rng = np.random.Generator(np.random.Philox(key=key))
        # Systematic: one start for all strata, so that every example is as likely as any other;
        # in an order of its own, as the luck of one start would fall on every so many-th label.
        strata = [self.strata[place] for place in rng.permutation(len(self.strata))]
        sizes = np.array([len(stratum) for stratum in strata])
        edges = np.cumsum(sizes) * self.n / self.examples + rng.random()
        counts = np.diff(np.floor(edges[:-1]), prepend=0, append=self.n).astype(int)
        drawn = [
            stratum[rng.choice(len(stratum), count, replace=False)]
            for stratum, count in zip(strata, counts.tolist(), strict=True)
        ]
        # Dealt out like cards, so that every subsample has its share of every stratum.
        dealt = np.concatenate(drawn).reshape(-1, self.subsamples).T
        return np.roll(dealt, rng.integers(self.subsamples), axis=0)


@frozen
class Probed:
    """What a measure saw of its data.

    Args:
        redrawn: fresh examples at every step; otherwise the same ones all along.
        examples: how many at once, n.
        of: how many there are, N.
        subsamples: parts of the sample, m.
        seed: of the draws.
        stratified: labels were drawn in proportion to their shares.
        every: of so many steps, one was looked at.
        rule: where along a step one looked; "" where the integrator said so.
        strata: a checksum of which examples have one label; "" where there are no labels, and in
            files of earlier versions.
    """

    redrawn: bool
    examples: int
    of: int
    subsamples: int
    seed: int
    stratified: bool
    every: int
    rule: str
    strata: str = ""

    @property
    def unseen(self) -> float:
        """The share of the data outside of the sample, 1 - n/N."""
        return 1.0 - self.examples / self.of

    @classmethod
    def by(cls, drawing: Lots, rule: Rule | None = None) -> Probed:
        """Say what was drawn how; without a rule of its own, once."""
        return cls(
            rule is not None,
            drawing.n,
            drawing.examples,
            drawing.subsamples,
            drawing.seed,
            len(drawing.strata) > 1,
            drawing.every,
            rule.name if rule else "",
            _checksum(drawing.strata),
        )

    def to_json(self) -> dict[str, Any]:
        """Return itself as JSON values."""
        return asdict(self)


def _checksum(strata: tuple[np.ndarray, ...]) -> str:
    """Return what differs where the strata do, and with them the draws; "" for one."""
    if len(strata) == 1:
        return ""
    digest = hashlib.sha256()
    for places in strata:
        digest.update(len(places).to_bytes(8, "little"))
        digest.update(places.astype("<i8").tobytes())
    return digest.hexdigest()[:16]


def lots(probe: FixedProbe | Redrawn, examples: int) -> Lots:
    """Return how a probe draws.

    Args:
        probe: what was asked for.
        examples: how many its data hold, N.

    Raises:
        DataError: fewer than are to be drawn, or as many labels as examples are not there.
    """
    if probe.n > examples:
        msg = (
            f"A probe of {probe.n} examples was asked for, the data hold {examples}. Ask for "
            "fewer, or pass the data themselves: then nothing is left to chance."
        )
        raise DataError(msg)
    if probe.by is None:
        strata: tuple[np.ndarray, ...] = (np.arange(examples),)
    else:
        strata = tuple(Partition(probe.data, probe.by).places().values())
        check_length(examples, sum(map(len, strata)))
    return Lots(strata, probe.n, probe.subsamples, probe.seed, probe.every)


def drawn_once(data: Mapping[str, Any], take: Take, count: Count) -> dict[str, Any]:
    """Return data with the examples of every `FixedProbe` in its place.

    Args:
        data: measure -> data, or a probe or partition of them.
        take: how the adapter picks examples.
        count: how it counts them.
    """

    def drawn(probe: FixedProbe) -> Any:
        examples = count(probe.data)
        return take(probe.data, lots(probe, examples).once(), examples)

    return {
        measure: drawn(what) if isinstance(what, FixedProbe) else what
        for measure, what in data.items()
    }


def told(data: Mapping[str, Any], count: Count) -> dict[str, dict[str, Any]]:
    """Return measure -> what `Probed` says of every `FixedProbe`, JSON values for the run file.

    Args:
        data: measure -> data, or a probe or partition of them.
        count: how the adapter counts examples.
    """
    return {
        measure: Probed.by(lots(what, count(what.data))).to_json()
        for measure, what in data.items()
        if isinstance(what, FixedProbe)
    }


def refuse_redrawn(data: Mapping[str, Any], adapter: str) -> None:
    """Raise an `UnsupportedError` where an adapter that cannot is asked to redraw a measure."""
    redrawn = [measure for measure, what in data.items() if isinstance(what, Redrawn)]
    if redrawn:
        msg = (
            f"{adapter} does not draw examples anew at every step, as {redrawn} asks for; "
            "the adapters' `track` does. Pass a FixedProbe here, or all data."
        )
        raise UnsupportedError(msg)


def check_redrawn(mode: str) -> None:
    """Refuse to redraw where the loss depends on how the data are cut.

    Args:
        mode: of batch norm.

    Raises:
        RuleError: the loss of a sample would not be the mean of its examples' losses.
    """
    if mode != "eval":
        msg = (
            f"A redrawn probe needs mode='eval', got {mode!r}: with batch norm on each "
            "chunk's own statistics, the loss of all examples is not the mean over samples."
        )
        raise RuleError(msg)
