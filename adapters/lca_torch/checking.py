"""Which reading of a loss is the user's own mean over examples; none, and it is refused."""

from __future__ import annotations

import itertools
import math
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from attrs import evolve
from torch import nn

from lca_core.errors import LossError
from lca_torch.cutting import first_lengths, is_clear
from lca_torch.looks import FEWEST, Checks
from lca_torch.losses import count
from lca_torch.reached import reached
from lca_torch.sources import Sliced
from lca_torch.untouched import untouched_rng

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager

    from torch import Tensor

    from lca_torch.attributes import Touched
    from lca_torch.losses import Objective, Readings
    from lca_torch.oracle import TorchOracle
    from lca_torch.sources import Source

EXAMPLES = 256
"""Examples that are looked at."""

_BATCHES = 8
_NOISE = 0.3


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
    return evolve(oracle, measured=evolve(oracle.measured, objective=chosen))


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


def refuse_held(model: nn.Module, loss_fn: Any) -> None:
    """Refuse losses that hold parameters of the model themselves.

    Raises:
        LossError: there are such parameters.
    """
    held = {id(one) for one in reached(loss_fn, nn.Parameter)}
    names = [name for name, one in model.named_parameters() if id(one) in held]
    if names:
        msg = (
            f"The loss holds parameters of the model itself, {names}: it would see the live ones "
            "wherever it is measured. Ask the model in the loss, by model.parameters() or by name."
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
    if checks.batch.examples < FEWEST:
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
    if len(clear) == 1:  # its weight does not matter
        return
    if not all(clear) and checks.counts(loss):
        raise LossError(
            "The loss of a batch came as one number, and nobody can tell how many examples it is "
            "the mean of: the tensors in a batch are not all of one length, as with graphs (first "
            f"lengths {sorted(first_lengths(checks.batch.whole))}). Return one loss an example, or "
            "a pair, (mean, torch.tensor(how_many))."
        )
    if checks.doubles(loss):
        raise _not_a_mean()


def _carries_over(touched: Sequence[Touched]) -> LossError:
    what = ", ".join(map(str, touched)) or "none"
    return LossError(
        "The loss of a batch is another one when it is looked at again: model or loss_fn carry "
        "something from one batch to the next, so that the loss depends on the order of the "
        f"batches (attributes that a look changes: {what}). Let every batch begin anew where the "
        "loss is measured, by BatchLoss(fn) with an fn(model, batch) that resets it first; the "
        "tracker gives training back its own."
    )


def _not_a_mean() -> LossError:
    return LossError(
        "The loss of a batch is not the mean of the losses of its parts: loss_fn sums over "
        "examples, weighs them, or compares them with each other, as where outputs of shape (n, 1) "
        "meet targets of shape (n,). Return per-example losses (with weights, as a pair) or a "
        "plain mean. If it is the model that compares them, by batch norm "
        "without moving averages, pass mode='batch-stats'."
    )


def _recording(checks: Checks, loss: Objective) -> AbstractContextManager[Any]:
    """Keep nothing for gradients, unless the loss differentiates inside."""
    sparing = torch.no_grad()
    try:
        evolve(checks, recording=sparing).look(loss, 0, min(FEWEST, checks.batch.examples))
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
