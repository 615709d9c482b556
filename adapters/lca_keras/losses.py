"""The loss of a batch: as the model was compiled, or as the user gives it."""

from __future__ import annotations

import copy
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import keras
import numpy as np

from lca_core.errors import LossError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lca_keras.batches import Batch

Objective: TypeAlias = "Callable[[Batch], Any]"
"""Batch -> losses of any shape, whose mean is the loss of the batch."""


def objective(
    model: keras.Model, loss: keras.losses.Loss | Callable[..., Any] | None, *, regularizers: bool
) -> Objective:
    """Return the loss of a batch in inference.

    Args:
        model: compiled, unless `loss` is given.
        loss: `loss(y, outputs)`, a Keras loss or a function; None for the compiled one.
        regularizers: whether the penalties of `model.losses` are part of L.

    Raises:
        LossError: there is no loss, or it sums over examples.
    """
    if loss is None:
        return _compiled(model, regularizers=regularizers)
    each = _single(loss) if isinstance(loss, keras.losses.Loss) else loss

    def given(batch: Batch) -> Any:
        losses = each(batch.y, model(batch.x, training=False))
        if batch.weight is not None:
            losses = losses * _spread(batch.weight, losses)
        return losses + sum(model.losses) if regularizers else losses

    return given


def _compiled(model: keras.Model, *, regularizers: bool) -> Objective:
    """Return the compiled loss, class by class and output by output, through Keras itself."""
    if not model.compiled or (_is_default(model) and model._compile_loss is None):
        msg = (
            f"The model '{model.name}' has no compiled loss. Call model.compile(loss=...), or "
            "pass loss=, a function loss(y, outputs), if it computes its loss in train_step."
        )
        raise LossError(msg)
    for one in keras.tree.flatten(getattr(model._compile_loss, "_user_loss", None)):
        _refuse_sum(one)

    def compiled(batch: Batch) -> Any:
        outputs = model(batch.x, training=False)
        with _penalties(model, regularizers=regularizers):
            return model._compute_loss(batch.x, batch.y, outputs, batch.weight, training=False)

    return compiled


@contextmanager
def _penalties(model: keras.Model, *, regularizers: bool) -> Iterator[None]:
    """Hide `model.losses`, the way Keras' own JAX trainer puts others in their place."""
    if regularizers:
        yield
        return
    held = model._losses_override
    model._losses_override = [np.float32(0.0)]
    try:
        yield
    finally:
        model._losses_override = held


def _is_default(model: keras.Model) -> bool:
    return type(model).compute_loss is keras.Model.compute_loss


def _single(loss: keras.losses.Loss) -> keras.losses.Loss:
    """Return a loss that does not average over examples."""
    _refuse_sum(loss)
    each = copy.copy(loss)
    each.reduction = "none"
    return each


def _refuse_sum(loss: Any) -> None:
    reduction = getattr(loss, "reduction", None)
    if reduction == "sum":
        msg = (
            f"The loss {type(loss).__name__} has reduction='sum', so that its value depends on how "
            "the data are cut into batches. Use 'sum_over_batch_size'; the allocation of a sum is "
            "that of the mean times n."
        )
        raise LossError(msg)


def _spread(weight: Any, losses: Any) -> Any:
    shape = [*weight.shape, *[1] * (len(losses.shape) - len(weight.shape))]
    return keras.ops.reshape(keras.ops.cast(weight, losses.dtype), shape)
