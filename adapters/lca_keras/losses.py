"""The loss of a batch: as the model was compiled, or as the user gives it."""

from __future__ import annotations

import copy
from contextlib import contextmanager
from functools import partial
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
    model: keras.Model,
    loss: keras.losses.Loss | Callable[..., Any] | str | None,
    *,
    regularizers: bool,
) -> Objective:
    """Return the loss of a batch in inference.

    Args:
        model: compiled, unless `loss` is given.
        loss: `loss(y, outputs)`, a Keras loss, its name or a function; None for the compiled one.
        regularizers: whether the penalties of `model.losses` are part of L.

    Raises:
        LossError: there is no loss, or it sums over examples.
    """
    if loss is None:
        return _compiled(model, regularizers=regularizers)
    found = _looked_up(loss)
    each = _single(found) if isinstance(found, keras.losses.Loss) else partial(_ranked, found)

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


def _looked_up(loss: Any) -> Any:
    """Return the loss of a name, or the loss itself.

    Raises:
        LossError: there is none, or it cannot be called.
    """
    try:
        found = keras.losses.get(loss) if isinstance(loss, str) else loss
    except ValueError:
        found = None
    if not callable(found):
        msg = (
            f"loss= must be a Keras loss, the name of one, or a function loss(y, outputs), got "
            f"{loss!r}. Pass keras.losses.MeanSquaredError(), 'mse' or a function."
        )
        raise LossError(msg)
    return found


def _ranked(function: Callable[..., Any], y: Any, outputs: Any) -> Any:
    """Call a function as `compile(loss=function)` does: a last axis of 1 is on both or neither."""
    if any(map(keras.tree.is_nested, (y, outputs))) or y is None:
        return function(y, outputs)
    more = len(y.shape) - len(outputs.shape)
    if more == 1 and y.shape[-1] == 1:
        return function(*_evened(y, outputs))
    if more == -1 and outputs.shape[-1] == 1:
        outputs, y = _evened(outputs, y)
    return function(y, outputs)


def _evened(longer: Any, shorter: Any) -> tuple[Any, Any]:
    if len(shorter.shape) == 1:
        return longer, keras.ops.expand_dims(shorter, -1)
    return keras.ops.squeeze(longer, -1), shorter


def compares(model: keras.Model, loss: Any) -> bool:
    """Return whether a loss needs targets; a function of the user's own may not."""
    if loss is None:
        return _is_default(model) and model._compile_loss is not None
    return isinstance(loss, (str, keras.losses.Loss))


def compiled_loss(model: keras.Model) -> list[Any]:
    """Return what tells one compiled loss from another: its parts and their weights."""
    held = model._compile_loss
    if held is None:
        return []
    parts = [held._user_loss, held._user_loss_weights]
    return [
        repr(keras.tree.map_structure(lambda _: 0, parts)),
        *map(_told, keras.tree.flatten(parts)),
    ]


def _told(part: Any) -> Any:
    if not isinstance(part, keras.losses.Loss):
        return part
    try:
        return type(part), repr(part.get_config())
    except (NotImplementedError, TypeError, ValueError):
        return part


def check_same(model: keras.Model, before: list[Any]) -> None:
    """Refuse a model that was compiled with another loss since tracking began.

    Raises:
        LossError: it was.
    """
    if compiled_loss(model) != before:
        msg = (
            f"The model '{model.name}' was compiled with another loss after tracking began, so "
            "that one run would mix two. Begin a new callback or tracker behind compile(), or "
            "pass loss= to go on measuring one loss."
        )
        raise LossError(msg)


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
