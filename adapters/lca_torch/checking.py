"""Which reading of a loss is the user's own mean over examples; none, and it is refused."""

from __future__ import annotations

import itertools
import math
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from attrs import evolve, frozen

from lca_core.errors import LossError
from lca_torch.cutting import doubled, first_lengths, is_clear
from lca_torch.data import Sliced
from lca_torch.handing import copied
from lca_torch.losses import count
from lca_torch.oracle import Measured, fresh
from lca_torch.untouched import untouched_rng

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager

    from torch import Tensor, nn

    from lca_torch.attributes import Touched
    from lca_torch.data import Source
    from lca_torch.losses import Objective, Readings, Weighted
    from lca_torch.oracle import TorchOracle

EXAMPLES = 256
"""Examples that are looked at."""

_BATCHES = 8
_RTOL = 1e-4
_ATOL = 1e-6
_NOISE = 0.3
_PARTS = 4
_FEWEST = 2  # examples in a part: batch norm wants two


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

        def add(losses: Tensor, weights: Tensor) -> None:
            total = losses.detach().sum(dtype=torch.float64).item()
            weight = weights.detach().sum(dtype=torch.float64).item()
            found.append(Look(total, weight, losses.dim() == 0))

        measured = Measured(self.oracle.leaves.model, loss, list(self.oracle.measured.parts))
        oracle = evolve(self.oracle, measured=measured)
        cut = self.batch.whole if self.batch.uncut else self.batch.cut(begin, end)
        with oracle.measuring() as live, untouched_rng(oracle.device, seed), self.recording:
            oracle.go_through(live, [copied(cut)], fresh(self.points[point]), {}, add)
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
        if size < _FEWEST:
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


def suited(oracle: TorchOracle, readings: Readings) -> TorchOracle:
    """Return the oracle with the reading of the loss that is the user's own mean.

    Args:
        oracle: how the model is measured.
        readings: of the loss.

    Raises:
        LossError: the loss is not a mean over examples in any reading.
    """
    batch = _some(oracle.source, oracle.device)
    points = _points(oracle)
    checks = Checks(oracle, batch, points, nullcontext())
    first = readings.each if readings.known and readings.each is not None else readings.own
    checks = evolve(checks, recording=_recording(checks, first))
    chosen = first
    if readings.each is not None and not readings.known:
        chosen = readings.each if checks.agree(readings.own, readings.each) else readings.own
    _refuse(checks, chosen)
    parts = list(oracle.measured.parts)
    return evolve(oracle, measured=Measured(oracle.leaves.model, chosen, parts))


def refuse_trainable(model: nn.Module, parts: Sequence[nn.Module]) -> None:
    """Refuse losses with parameters that train but are not the model's.

    Raises:
        LossError: there are such parameters.
    """
    known = {id(parameter) for parameter in model.parameters()}
    own = [
        name
        for part in parts
        for name, parameter in part.named_parameters()
        if parameter.requires_grad and id(parameter) not in known
    ]
    if own:
        msg = (
            f"The loss has trainable parameters of its own, {own}: they would move the loss "
            "without being leaves. Make the loss a submodule of the tracked model and pass "
            "BatchLoss(fn), or freeze it: loss_fn.requires_grad_(False)."
        )
        raise LossError(msg)


def _refuse(checks: Checks, loss: Objective) -> None:
    scalar = checks.whole(loss).scalar
    if checks.remembers(loss):
        raise _carries_over(checks.oracle.touched)
    if checks.batch.uncut:
        if scalar:
            _refuse_uncut(checks, loss)
        return
    if checks.batch.examples < _FEWEST:
        return
    if checks.oracle.mode != "eval":  # every cut has statistics of its own
        if scalar and checks.grows(loss):
            raise _not_a_mean()
        return
    if checks.adds_up(loss):
        return
    if not checks.draws(loss):
        raise _not_a_mean()
    if scalar:
        msg = (
            "The loss of a batch is not the mean of the losses of its parts, and it differs when "
            "the random streams do: model or loss_fn draw noise, other noise for the whole than "
            "for the parts. Return per-example losses instead of their mean."
        )
        raise LossError(msg)


def _refuse_uncut(checks: Checks, loss: Objective) -> None:
    """Refuse one number for a batch where it is a sum, or nobody can tell how many it is of."""
    source = checks.oracle.source
    clear = [is_clear(batch) for batch in source.batches(source.uncut)]
    # Of a single batch the weight does not matter.
    if len(clear) > 1 and not all(clear) and checks.counts(loss):
        raise LossError(
            "The loss of a batch came as one number, and nobody can tell how many examples it is "
            "the mean of: the tensors in a batch are not all of one length, as with graphs (first "
            f"lengths {sorted(first_lengths(checks.batch.whole))}). Return one loss an example, or "
            "a pair, (mean, torch.tensor(how_many))."
        )
    if checks.doubles(loss):
        raise _not_a_mean()


def _carries_over(touched: Sequence[Touched]) -> LossError:
    what = ", ".join(map(str, touched)) or "something that is no plain attribute of a module"
    return LossError(
        "The loss of a batch is another one when it is looked at again: model or loss_fn carry "
        f"something from one batch to the next ({what}), so that the loss depends on the order of "
        "the batches. Let every batch begin anew where the loss is measured, by BatchLoss(fn) "
        "with an fn(model, batch) that resets it first; the tracker gives training back its own."
    )


def _not_a_mean() -> LossError:
    return LossError(
        "The loss of a batch is not the mean of the losses of its parts: loss_fn sums over "
        "examples, weighs them, or compares them with each other. Return per-example losses (with "
        "weights, as a pair) or a plain mean. If it is the model that compares them, by batch norm "
        "without moving averages, pass mode='batch-stats'."
    )


def _recording(checks: Checks, loss: Objective) -> AbstractContextManager[Any]:
    """Keep nothing for gradients, unless the loss differentiates inside."""
    sparing = torch.no_grad()
    try:
        evolve(checks, recording=sparing).look(loss, 0, min(_FEWEST, checks.batch.examples))
    except RuntimeError:
        return nullcontext()
    except Exception:  # noqa: BLE001 - it comes again where it is looked at in earnest
        return sparing
    return sparing


def _some(source: Source, device: torch.device) -> Sliced:
    """Return examples from all over the data, or the largest of the first batches."""
    if source.uncut:
        batch = source.first(EXAMPLES)
        return Sliced(batch, device, count(batch), 0, uncut=count(batch))
    if isinstance(source, Sliced):
        n = min(EXAMPLES, source.examples)
        return source.pick(np.linspace(0, source.examples - 1, n).astype(np.int64))
    batch = max(itertools.islice(source.batches(EXAMPLES), _BATCHES), key=count)
    return Sliced(batch, device, count(batch), 0)


def _points(oracle: TorchOracle) -> tuple[Mapping[str, Tensor], ...]:
    """Return where the model stands, and a place nearby."""
    here: dict[str, Any] = dict(oracle.leaves.capture().params.items())
    with untouched_rng(oracle.device):
        shaken = {name: _shaken(leaf) for name, leaf in here.items()}
    return here, shaken


def _shaken(leaf: Tensor) -> Tensor:
    size = leaf.abs() + math.pow(max(1, leaf.numel()), -0.25)
    return leaf + _NOISE * size * torch.randn_like(leaf)


def _cuts(n: int) -> tuple[list[int], ...]:
    """Return uneven cuts: a sum or a weighted mean cannot hide."""
    return sorted({0, max(1, n // 3), n}), sorted({0, max(1, n // 8), max(1, n // 2), n})
