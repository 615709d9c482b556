"""The user's loss function as weighted sums over examples."""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import torch
import torch.nn.functional as F
from attrs import frozen
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from lca_core.errors import LossError
from lca_torch.cutting import is_clear
from lca_torch.parameters import unwrap
from lca_torch.reached import reached


class Weighted(NamedTuple):
    """What a loss gives of a batch; over all of them, L = Σ losses / Σ weights.

    Args:
        losses: weighted, of any shape.
        weigh: returns the sum of the weights, a float or float64 on the device; only who does not
            know it asks.
        counted: one number came, and weighs as much as the batch has rows.
    """

    losses: Tensor
    weigh: Callable[[], Any]
    counted: bool = False


Objective: TypeAlias = Callable[[nn.Module, Any], Weighted]
"""(model, batch) -> weighted losses."""


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


@frozen
class Readings:
    """How the user's loss can be read as weighted sums.

    Args:
        own: as it was passed.
        each: asked for single examples; None where it knows no `reduction`.
        known: PyTorch's own loss, whose mean is known to be that of `each`.
        modules: what the loss is, or was bound to it.
        reached: these, and the modules that it may call besides.
        weigh: batch -> the sum of its weights, where the batch alone tells.
    """

    own: Objective
    each: Objective | None = None
    known: bool = False
    modules: tuple[nn.Module, ...] = ()
    reached: tuple[nn.Module, ...] = ()
    weigh: Callable[[Any], Tensor] | None = None


def readings(loss_fn: Callable[..., Any] | BatchLoss) -> Readings:
    """Return the ways to read a loss, whatever form it came in.

    PyTorch's own losses (`nn.CrossEntropyLoss()`, `F.mse_loss`, ...) are asked for single
    examples and averaged in float64, with their class weights and `ignore_index`. What else knows
    a `reduction` may mean anything by it: `lca_torch.checking` compares.

    Args:
        loss_fn: `loss_fn(outputs, targets)`, or `BatchLoss(fn)` for `fn(model, batch)`.

    Raises:
        LossError: the loss sums over examples.
    """
    _check_callable(loss_fn)
    if isinstance(loss_fn, BatchLoss):
        own = functools.partial(_general, loss_fn.fn)
        return Readings(own, modules=_modules(loss_fn.fn), reached=reached(loss_fn.fn, nn.Module))
    loss_fn = unwrap(loss_fn) if isinstance(loss_fn, nn.Module) else loss_fn
    own = functools.partial(_short, loss_fn, None, "mean")
    each, reduction = _one_by_one(loss_fn)
    if _is_known(loss_fn):
        _refuse_sum(reduction)
        # Whoever averages by `.mean()` divides by the number of losses.
        weights = None if reduction == "none" else _mean_weights(loss_fn)
        known = functools.partial(_short, each, weights, reduction)
        weigh = functools.partial(_weight_of, weights) if weights else None
        return Readings(own, known, known=True, weigh=weigh)
    one_by_one = functools.partial(_short, each, None, "mean") if each is not None else None
    return Readings(own, one_by_one, modules=_modules(loss_fn), reached=reached(loss_fn, nn.Module))


def _check_callable(loss_fn: Any) -> None:
    """Raise a `LossError` unless this can be called with outputs and targets."""
    if isinstance(loss_fn, type) or not (callable(loss_fn) or isinstance(loss_fn, BatchLoss)):
        msg = (
            f"loss_fn must be a function or a made module, got {loss_fn!r}: "
            "for example nn.CrossEntropyLoss(), with its brackets, or F.cross_entropy."
        )
        raise LossError(msg)


def _one_by_one(loss_fn: Callable[..., Any]) -> tuple[Any, str]:
    """Return a loss that does not average over examples, where it can, and how it did."""
    # A plain attribute of its own: setting another kind may reach the user's loss.
    if isinstance(loss_fn, nn.Module) and "reduction" in vars(loss_fn):
        each: Any = copy.copy(loss_fn)
        each.reduction = "none"
        each.training = False
        return each, str(loss_fn.reduction)
    if not isinstance(loss_fn, nn.Module) and "reduction" in _parameters(loss_fn):
        _refuse_old_names(_keywords(loss_fn))
        reduction = _keywords(loss_fn).get("reduction", "mean")
        return functools.partial(loss_fn, reduction="none"), str(reduction)
    return None, "mean"


def _is_known(loss_fn: Any) -> bool:
    """Return whether this is a loss of PyTorch itself; subclasses may mean something else."""
    if isinstance(loss_fn, nn.Module):
        return type(loss_fn).__module__ == nn.modules.loss.__name__
    function = _function(loss_fn)
    return getattr(F, getattr(function, "__name__", ""), None) is function


def _modules(loss_fn: Any) -> tuple[nn.Module, ...]:
    """Return the modules that a loss is, or that were bound to it."""
    if isinstance(loss_fn, nn.Module):
        return (loss_fn,)
    if isinstance(loss_fn, functools.partial):
        bound = (loss_fn.func, *loss_fn.args, *loss_fn.keywords.values())
        return tuple(module for part in bound for module in _modules(part))
    return _modules(loss_fn.__self__) if inspect.ismethod(loss_fn) else ()


def _short(
    loss_fn: Callable[..., Any],
    mean_weights: Callable[[Tensor], Tensor] | None,
    reduction: str,
    model: nn.Module,
    batch: Any,
) -> Weighted:
    if not isinstance(batch, (tuple, list)) or len(batch) < 2:
        msg = (
            "loss_fn(outputs, targets) needs batches of (inputs, targets), got "
            f"{type(batch).__name__}. Pass BatchLoss(fn) with fn(model, batch) instead."
        )
        raise LossError(msg)
    *inputs, targets = batch
    result = loss_fn(model(*inputs), targets)
    if mean_weights is not None:
        return Weighted(result, functools.partial(_weight_of, mean_weights, batch))
    if reduction == "batchmean":
        return Weighted(result, lambda: float(len(targets)))
    return _weighted(result, batch)


def _general(fn: Callable[[Any, Any], Any], model: nn.Module, batch: Any) -> Weighted:
    return _weighted(fn(model, batch), batch)


def _weighted(result: Any, batch: Any) -> Weighted:
    if isinstance(result, tuple):
        return _pair(result)
    if not isinstance(result, Tensor):
        raise _no_tensor(result)
    n = count(batch)
    if result.dim() == 0:
        return Weighted(result.to(torch.float64) * n, lambda: float(n), counted=True)
    # Where nobody can tell how many examples there are, every loss counts as one.
    if len(result) != n and is_clear(batch):
        msg = (
            f"The loss function must return a scalar or one loss per example, shape ({n}, ...), "
            f"got shape {tuple(result.shape)}. For other counts return (losses, weights)."
        )
        raise LossError(msg)
    return Weighted(result, lambda: float(result.numel()))


def _pair(pair: tuple[Any, ...]) -> Weighted:
    """Return weighted losses and their weights."""
    if len(pair) != 2 or not all(isinstance(part, Tensor) for part in pair):
        raise _no_tensor(pair)
    losses, weights = pair
    if weights.requires_grad:
        msg = (
            "The weights that the loss function returns depend on the parameters, but L = Σ w·l / "
            "Σ w is differentiated with a Σ w that does not move. Return w * l as the losses, "
            "without weights, or weights that the data alone tell; or weights.detach()."
        )
        raise LossError(msg)
    try:
        weights = weights.expand_as(losses)
    except RuntimeError as error:
        msg = (
            "The loss function returned (losses, weights) of shapes that do not go together: "
            f"expected weights of the losses' shape {tuple(losses.shape)}, got "
            f"{tuple(weights.shape)}. Give every loss its own weight, for example by "
            "weights.reshape(losses.shape)."
        )
        raise LossError(msg) from error
    if losses.is_floating_point() and losses.itemsize < 4:
        losses = losses.float()  # 16 bits hold few weights exactly, and no large ones
    return Weighted(losses * weights, lambda: weights.detach().sum(dtype=torch.float64))


def _no_tensor(result: Any) -> LossError:
    got = type(result).__name__
    if isinstance(result, tuple):
        got = f"({', '.join(type(part).__name__ for part in result)})"
    return LossError(
        "The loss function must return a tensor (per-example losses or their mean), or a pair of "
        f"tensors (losses, weights), got {got}. Pick the loss out of what your function returns, "
        "and keep it a tensor: no .item(), no float()."
    )


def count(batch: Any) -> int:
    """Return the number of examples: the first axis of the first tensor in the batch."""
    leaves = torch.utils._pytree.tree_leaves(batch)
    for leaf in leaves:
        # Up to PyTorch 2.7 a packed sequence is a leaf.
        tensor = leaf.data if isinstance(leaf, PackedSequence) else leaf
        if isinstance(tensor, Tensor) and tensor.dim() > 0:
            return len(tensor)
    msg = (
        f"A batch must hold a tensor with examples along its first axis, got {type(batch)}. Let "
        "the loader make tuples, lists or dicts of tensors, by its collate_fn."
    )
    raise LossError(msg)


def _refuse_sum(reduction: str) -> None:
    if reduction == "sum":
        msg = (
            "reduction='sum' makes the loss depend on how the data are cut into batches. "
            "Use reduction='mean'; the allocation of a sum is that of the mean times n."
        )
        raise LossError(msg)


def _refuse_old_names(keywords: dict[str, Any]) -> None:
    old = [name for name in ("size_average", "reduce") if keywords.get(name) is not None]
    if old:
        msg = (
            f"The loss is bound to {old}, old names by which PyTorch overrides `reduction`. "
            "Leave them out for the mean over examples, or pass reduction=."
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


def _weight_of(mean_weights: Callable[[Tensor], Tensor], batch: Any) -> Tensor:
    """Return the sum of a batch's weights, by its targets."""
    return mean_weights(batch[-1]).sum(dtype=torch.float64)


def _class_weights(weight: Tensor | None, ignore_index: int, targets: Tensor) -> Tensor:
    if targets.is_floating_point():  # class probabilities: a plain mean over examples
        shape = (len(targets), *targets.shape[2:])
        return torch.ones(shape, device=targets.device)
    targets = targets.long()  # bytes would wrap ignore_index, and be read as a mask
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
