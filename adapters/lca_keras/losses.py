"""The loss of a batch: as the model was compiled, or as the user gives it."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import keras
import numpy as np
from keras.src.backend import get_keras_mask

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
    if isinstance(found, keras.losses.Loss):
        _refuse_sum(found)
        _refuse_own_call(found)
        reduce = partial(_of_loss, found)
    else:
        reduce = partial(_of_function, found)

    def given(batch: Batch) -> Any:
        losses = reduce(batch.y, model(batch.x, training=False), batch.weight)
        return losses + sum(model.losses) if regularizers else losses

    return given


def _compiled(model: keras.Model, *, regularizers: bool) -> Objective:
    """Return the compiled loss, class by class and output by output, through Keras itself."""
    lossless = _is_default(model) and model._compile_loss is None
    if not model.compiled or (lossless and not regularizers):
        msg = (
            f"The model '{model.name}' has no compiled loss. Call model.compile(loss=...), or "
            "pass loss=, a function loss(y, outputs), if it computes its loss in train_step; what "
            "its layers add by add_loss counts with regularizers=True."
        )
        raise LossError(msg)
    for one in keras.tree.flatten(getattr(model._compile_loss, "_user_loss", None)):
        _refuse_sum(one)
        _refuse_none(one)

    def compiled(batch: Batch) -> Any:
        outputs = model(batch.x, training=False)
        with _penalties(model, regularizers=regularizers):
            weight = _own(batch.weight)
            return model._compute_loss(batch.x, batch.y, outputs, weight, training=False)

    return compiled


@contextmanager
def _penalties(model: keras.Model, *, regularizers: bool) -> Iterator[None]:
    """Hide `model.losses`, the way Keras' own JAX trainer puts others in their place."""
    if regularizers:
        yield
        return
    held = model._losses_override
    model._losses_override = [np.zeros((), keras.config.floatx())]
    try:
        yield
    finally:
        model._losses_override = held


def _is_default(model: keras.Model) -> bool:
    return type(model).compute_loss is keras.Model.compute_loss


def _of_loss(loss: keras.losses.Loss, y: Any, outputs: Any, weight: Any) -> Any:
    """Return weighted losses, or their mean by Keras where it does not divide by their number."""
    raw: list[Any] = []

    def call(*args: Any) -> Any:
        raw.append(loss.call(*args))
        return raw[0]

    each = _twin(loss)
    each.reduction, each.call = "none", call
    losses = each(y, outputs)
    if _masked(raw[0], outputs) or loss.reduction == "mean_with_sample_weight":
        return loss(y, outputs, sample_weight=_own(_spread(weight, raw[0])))
    return _weighted(losses, weight)


def _twin(loss: keras.losses.Loss) -> Any:
    """Return a loss of the same settings: `copy` goes through its config, which has no type."""
    twin: Any = object.__new__(type(loss))
    vars(twin).update(vars(loss))
    return twin


def _of_function(function: Callable[..., Any], y: Any, outputs: Any, weight: Any) -> Any:
    """Return weighted losses, or where there are masks their mean as `compile` makes it."""
    losses = _ranked(function, y, outputs)
    if _masked(losses, outputs):
        return _Found(losses)(outputs, outputs, sample_weight=_own(_spread(weight, losses)))
    return _weighted(losses, weight)


class _Found(keras.losses.Loss):  # type: ignore[misc]
    """Losses that are there already, for Keras to average.

    Args:
        losses: of examples, or parts of them.
    """

    def __init__(self, losses: Any) -> None:
        super().__init__(name="found")
        self._losses = losses

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return them."""
        return self._losses


def _masked(*tensors: Any) -> bool:
    """Return whether a mask goes with a tensor, as an `Embedding(mask_zero=True)` makes one."""
    return any(get_keras_mask(one) is not None for one in keras.tree.flatten(tensors))


def _weighted(losses: Any, weight: Any) -> Any:
    return losses if weight is None else losses * _spread(weight, losses)


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


def types_of(loss: Any) -> set[str]:
    """Return the types that Keras brings outputs to before it compares them with targets."""
    if loss is None:
        return {keras.config.floatx()}
    return {loss.dtype} if isinstance(loss, keras.losses.Loss) else set()


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
    """Return what compares equal for two losses that are the same."""
    if isinstance(part, keras.losses.Loss):
        # Their config knows nothing of what users' own classes add; a name may be numbered anew.
        held = {name: _told(value) for name, value in vars(part).items() if name != "name"}
        return _Same(part, (type(part), held))
    if isinstance(part, keras.DTypePolicy):
        return part.name
    if isinstance(part, (list, tuple, dict)):
        return keras.tree.map_structure(_told, part) if part else type(part)
    if isinstance(part, np.ndarray):
        return part.shape, part.dtype.str, part.tobytes()
    comparable = part is None or isinstance(part, (str, bytes, int, float)) or callable(part)
    return part if comparable else _Same(part)


class _Same:
    """A value that equals itself, whatever it holds by now, and others that are told alike.

    Args:
        value: tensors among them, which cannot be compared by `==`.
        told: what it was made with; None where nothing is known.
    """

    def __init__(self, value: Any, told: Any = None) -> None:
        self._value, self._told = value, told

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Same):
            return False
        return self._value is other._value or (
            self._told is not None and bool(self._told == other._told)
        )

    def __hash__(self) -> int:
        return hash(type(self._value))


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


def _refuse_none(loss: Any) -> None:
    if isinstance(loss, keras.losses.Loss) and loss.reduction in (None, "none"):
        msg = (
            f"The compiled loss {type(loss).__name__} has reduction='none', so that Keras makes no "
            "mean of it. Compile it with 'sum_over_batch_size', or pass the same loss as loss=, "
            "where its mean is taken."
        )
        raise LossError(msg)


def _refuse_own_call(loss: keras.losses.Loss) -> None:
    if type(loss).__call__ is not keras.losses.Loss.__call__:
        msg = (
            f"The loss {type(loss).__name__} overrides __call__, by which nobody can ask it for "
            "single examples. Put what it does into call(y_true, y_pred), or compile the model "
            "with it and leave loss= out."
        )
        raise LossError(msg)


def _own(weight: Any) -> Any:
    """Return a copy: on PyTorch, Keras writes masks into the weights that it is given."""
    return keras.tree.map_structure(lambda one: one if one is None else one + 0, weight)


def _spread(weight: Any, losses: Any) -> Any:
    """Return weights of as many axes as the losses; as in Keras, a last axis of 1 is none."""
    if weight is None:
        return None
    axes, shape = len(losses.shape), list(weight.shape)
    if len(shape) == axes + 1 and shape[-1] == 1:
        shape.pop()
    shape += [1] * (axes - len(shape))
    return keras.ops.reshape(keras.ops.cast(weight, losses.dtype), shape)
