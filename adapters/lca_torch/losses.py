"""The user's loss function as weighted sums over examples."""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from attrs import frozen
from torch import Tensor, nn

from lca_core.errors import LossError

Objective: TypeAlias = Callable[[nn.Module, Any], tuple[Tensor, Tensor]]
"""(model, batch) -> weighted losses and weights, any shapes: L = Σ losses / Σ weights."""


@frozen
class BatchLoss:
    """Marks a loss function of the general form, `fn(model, batch)`.

    Args:
        fn: returns per-example losses of shape (n, ...), or a pair of them and their weights,
            or a scalar: the plain mean over the batch's examples.

    Example:
        >>> import torch
        >>> from lca_torch import BatchLoss
        >>> loss = BatchLoss(lambda model, batch: (model(batch["x"]) - batch["y"]).square())
        >>> batch = {"x": torch.ones(3, 2), "y": torch.zeros(3, 1)}
        >>> loss.fn(torch.nn.Linear(2, 1), batch).shape
        torch.Size([3, 1])
    """

    fn: Callable[[Any, Any], Any]


def objective(loss_fn: Callable[..., Any] | BatchLoss) -> Objective:
    """Return the loss as weighted sums, whatever form it came in.

    Losses that know a `reduction` (`nn.CrossEntropyLoss()`, `F.mse_loss`, ...) are asked for
    single examples and averaged in float64, with their class weights and `ignore_index`.

    Args:
        loss_fn: `loss_fn(outputs, targets)`, or `BatchLoss(fn)` for `fn(model, batch)`.

    Raises:
        LossError: the loss sums over examples.
    """
    if isinstance(loss_fn, BatchLoss):
        return functools.partial(_general, loss_fn.fn)
    each, reduction = _one_by_one(loss_fn)
    _refuse_sum(reduction)
    return functools.partial(_short, each, _mean_weights(loss_fn), reduction)


def is_plain_mean(model: nn.Module, batch: Any, parts: Sequence[Any], loss: Objective) -> bool:
    """Return whether the loss of a batch is the mean of the losses of its parts.

    Only a loss that comes as a scalar can fail: losses of single examples add up by themselves.
    """
    whole, weight = loss(model, batch)
    if whole.dim() > 0 or not bool(torch.isfinite(whole)):
        return True
    summed = torch.stack([loss(model, part)[0].double() for part in parts]).sum()
    return bool(torch.isclose(whole.double() / weight, summed / weight, rtol=1e-3, atol=1e-6))


def _one_by_one(loss_fn: Callable[..., Any]) -> tuple[Callable[..., Any], str]:
    """Return a loss that does not average over examples, where it can, and how it did."""
    if isinstance(loss_fn, nn.Module) and hasattr(loss_fn, "reduction"):
        each: Any = copy.copy(loss_fn)
        each.reduction = "none"
        return each, str(loss_fn.reduction)
    if "reduction" in _parameters(loss_fn):
        reduction = _keywords(loss_fn).get("reduction", "mean")
        return functools.partial(loss_fn, reduction="none"), str(reduction)
    return loss_fn, "mean"


def _short(
    loss_fn: Callable[..., Any],
    mean_weights: Callable[[Tensor], Tensor] | None,
    reduction: str,
    model: nn.Module,
    batch: Any,
) -> tuple[Tensor, Tensor]:
    if not isinstance(batch, (tuple, list)) or len(batch) < 2:
        msg = (
            "loss_fn(outputs, targets) needs batches of (inputs, targets), got "
            f"{type(batch).__name__}. Pass BatchLoss(fn) with fn(model, batch) instead."
        )
        raise LossError(msg)
    *inputs, targets = batch
    result = loss_fn(model(*inputs), targets)
    if mean_weights is not None:
        return result, mean_weights(targets)
    if reduction == "batchmean":
        return result, torch.ones(len(targets), device=result.device)
    return _weighted(result, batch)


def _general(fn: Callable[[Any, Any], Any], model: nn.Module, batch: Any) -> tuple[Tensor, Tensor]:
    return _weighted(fn(model, batch), batch)


def _weighted(result: Any, batch: Any) -> tuple[Tensor, Tensor]:
    n = count(batch)
    if isinstance(result, tuple):
        losses, weights = result
        return losses * weights, weights.expand_as(losses)
    if result.dim() == 0:
        return result * n, torch.full((), float(n), dtype=torch.float64, device=result.device)
    if len(result) != n:
        msg = (
            f"The loss function must return a scalar or one loss per example, shape ({n}, ...), "
            f"got shape {tuple(result.shape)}. For other counts return (losses, weights)."
        )
        raise LossError(msg)
    weight = torch.full((), float(result.numel()), dtype=torch.float64, device=result.device)
    return result, weight


def count(batch: Any) -> int:
    """Return the number of examples: the first axis of the first tensor in the batch."""
    leaves = torch.utils._pytree.tree_leaves(batch)
    for leaf in leaves:
        if isinstance(leaf, Tensor) and leaf.dim() > 0:
            return len(leaf)
    msg = f"A batch must hold a tensor with examples along its first axis, got {type(batch)}."
    raise LossError(msg)


def _refuse_sum(reduction: str) -> None:
    if reduction == "sum":
        msg = (
            "reduction='sum' makes the loss depend on how the data are cut into batches. "
            "Use reduction='mean'; the allocation of a sum is that of the mean times n."
        )
        raise LossError(msg)


def _mean_weights(loss_fn: Any) -> Callable[[Tensor], Tensor] | None:
    """Return what a class-weighted mean divides by, as a function of the targets."""
    is_module = isinstance(loss_fn, (nn.CrossEntropyLoss, nn.NLLLoss))
    if not is_module and _function(loss_fn) not in (F.cross_entropy, F.nll_loss):
        return None
    settings = vars(loss_fn) | loss_fn._buffers if is_module else _keywords(loss_fn)
    return functools.partial(
        _class_weights, settings.get("weight"), settings.get("ignore_index", -100)
    )


def _class_weights(weight: Tensor | None, ignore_index: int, targets: Tensor) -> Tensor:
    if targets.is_floating_point():  # class probabilities: a plain mean over examples
        shape = (len(targets), *targets.shape[2:])
        return torch.ones(shape, device=targets.device)
    counted = targets != ignore_index
    if weight is None:
        return counted
    return weight.to(targets.device)[targets.where(counted, 0)] * counted


def _function(loss_fn: Any) -> Any:
    return loss_fn.func if isinstance(loss_fn, functools.partial) else loss_fn


def _keywords(loss_fn: Any) -> dict[str, Any]:
    return dict(loss_fn.keywords) if isinstance(loss_fn, functools.partial) else {}


def _parameters(loss_fn: Callable[..., Any]) -> tuple[str, ...]:
    try:
        return tuple(inspect.signature(loss_fn).parameters)
    except (TypeError, ValueError):  # builtins without a signature
        return ()
