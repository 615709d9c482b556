"""Looks at a loss on one batch, on cuts of it, nearby and again: what kind of loss it is."""

from __future__ import annotations

import itertools
import math
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from attrs import evolve, frozen

from lca_core.streams import HostStreams
from lca_torch.cutting import doubled
from lca_torch.handing import copied
from lca_torch.untouched import untouched_rng

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

    from torch import Tensor, nn

    from lca_torch.losses import Objective, Weighted
    from lca_torch.oracle import TorchOracle
    from lca_torch.sources import Sliced

FEWEST = 2
"""Examples in a part: batch norm wants two."""

_RTOL = 1e-4
_ATOL = 1e-6
_PARTS = 4


class Look(NamedTuple):
    """What a loss gives of one batch.

    Args:
        total: the weighted sum.
        weight: of all examples.
        scalar: the loss came as one number.
    """

    total: float
    weight: float
    scalar: bool

    @property
    def mean(self) -> float:
        """Return the mean over examples; not a number where nothing counts."""
        return self.total / self.weight if self.weight else math.nan


@frozen
class Checks:
    """A loss at hand for comparisons, on one batch and cuts of it.

    Args:
        oracle: the model and how it is measured.
        batch: some examples.
        points: where to look: as the model stands, and shaken, since equal losses hide weights.
        recording: entered at every look.
    """

    oracle: TorchOracle
    batch: Sliced
    points: tuple[Mapping[str, Tensor], ...]
    recording: AbstractContextManager[Any]

    def look(self, loss: Objective, begin: int, end: int, *, point: int = 0, seed: int = 0) -> Look:
        """Evaluate the loss of some neighbouring examples."""
        found: list[Look] = []

        def add(one: Weighted) -> None:
            total = one.losses.detach().sum(dtype=torch.float64).item()
            found.append(Look(total, float(one.weigh()), one.losses.dim() == 0))

        measured = evolve(self.oracle.measured, objective=loss)
        oracle = evolve(self.oracle, measured=measured, host=HostStreams())
        cut = self.batch.whole if self.batch.uncut else self.batch.cut(begin, end)
        with oracle.measuring() as live, untouched_rng(oracle.device, seed), self.recording:
            oracle.go_through(live, [copied(cut)], oracle.points(self.points[point]), {}, add)
        return found[0]

    def whole(self, loss: Objective, *, point: int = 0, seed: int = 0) -> Look:
        """Evaluate the loss of all the examples."""
        return self.look(loss, 0, self.batch.examples, point=point, seed=seed)

    def same(self, one: float, other: float, scale: float = 0.0) -> bool:
        """Return whether two losses are equal within rounding, or not finite."""
        rtol = max(_RTOL, 4.0 * self.oracle.eps)
        far = abs(one - other) > _ATOL + rtol * max(abs(one), scale)
        return not (math.isfinite(one) and math.isfinite(other) and far)

    def agree(self, one: Objective, other: Objective) -> bool:
        """Return whether two readings have the same mean; one that fails agrees with nothing."""
        for point in range(len(self.points)):
            try:
                expected = self.whole(one, point=point).mean
            except Exception:
                if point == 0:
                    raise
                return True  # the shaken model is not one that the loss can take
            try:
                got = self.whole(other, point=point).mean
            except Exception:  # noqa: BLE001 - it may raise anything where it knows no "none"
                return False
            if not self.same(expected, got):
                return False
        return True

    def adds_up(self, loss: Objective) -> bool:
        """Return whether the loss of the batch is the mean of the losses of its parts."""
        n = self.batch.examples
        for point, edges in itertools.product(range(len(self.points)), _cuts(n)):
            # A shaken model or a batch that cannot be cut may raise: no evidence.
            with suppress(Exception):
                whole = self.whole(loss, point=point)
                parts = [self.look(loss, *edge, point=point) for edge in itertools.pairwise(edges)]
                weight = sum(part.weight for part in parts) or math.nan
                mean = sum(part.total for part in parts) / weight
                if not self.same(whole.mean, mean, max(abs(part.mean) for part in parts)):
                    return False
        return True

    def grows(self, loss: Objective) -> bool:
        """Return whether the loss grows with the batch as a sum does, at every point."""
        n = self.batch.examples
        size = n // _PARTS
        if size < FEWEST:
            return False
        for point in range(len(self.points)):
            with suppress(Exception):
                whole = self.whole(loss, point=point).mean
                cut = [
                    self.look(loss, k * size, k * size + size, point=point) for k in range(_PARTS)
                ]
                ratio = whole * len(cut) / (sum(part.mean for part in cut) or math.nan)
                if math.isfinite(ratio) and not _PARTS / 2 < ratio < _PARTS * 2:
                    return False
        return True

    def counts(self, loss: Objective) -> bool:
        """Return whether one number comes, which weighs as much as the batch has rows."""
        seen: list[bool] = []

        def noted(model: nn.Module, batch: Any) -> Weighted:
            found = loss(model, batch)
            seen.append(found.counted)
            return found

        self.whole(noted)
        return seen[0]

    def doubles(self, loss: Objective) -> bool:
        """Return whether the loss of every example twice is twice the loss, as of a sum."""
        n = self.batch.examples
        twice = evolve(self.batch, whole=doubled(self.batch.whole, n), examples=2 * n)
        found = []
        for point in range(len(self.points)):
            # What cannot be doubled may raise: no evidence.
            with suppress(Exception):
                once = self.whole(loss, point=point).mean
                got = evolve(self, batch=twice).whole(loss, point=point).mean
                found.append(self.same(2.0 * once, got) and not self.same(once, got))
        return bool(found) and all(found)

    def remembers(self, loss: Objective) -> bool:
        """Return whether a look changes what the next one finds, by whatever it leaves behind."""

        def again(model: nn.Module, batch: Any) -> Weighted:
            with untouched_rng(self.oracle.device):
                loss(model, copied(batch))
            return loss(model, batch)

        return not self.same(self.whole(loss).mean, self.whole(again).mean)

    def draws(self, loss: Objective) -> bool:
        """Return whether the loss depends on the random streams."""
        return not self.same(self.whole(loss).mean, self.whole(loss, seed=1).mean)


def _cuts(n: int) -> tuple[list[int], ...]:
    """Return uneven cuts: a sum or a weighted mean cannot hide."""
    return sorted({0, max(1, n // 3), n}), sorted({0, max(1, n // 8), max(1, n // 2), n})
