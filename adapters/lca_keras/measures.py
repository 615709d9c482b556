"""One measure: a model's loss over data, as an oracle."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from lca_core.errors import LossError, RuleError
from lca_keras.backends import BACKEND
from lca_keras.data import Source, source
from lca_keras.leaves import Leaves, find_leaves
from lca_keras.losses import objective
from lca_keras.memory import fitting_batch_size
from lca_keras.modes import Mode, measured, own_statistics
from lca_keras.oracle import KerasOracle

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import keras

PAPERS_CHUNK = 2_500
"""Examples whose statistics batch norm uses in "batch-stats" mode, by default."""


class Loss:
    """A model with the loss that is measured, before any data.

    Args:
        model, loss, class_weight, regularizers, mode, leaves: see `track`.
    """

    def __init__(
        self,
        model: keras.Model,
        loss: keras.losses.Loss | Callable[..., Any] | None = None,
        class_weight: Mapping[int, float] | None = None,
        *,
        regularizers: bool = False,
        mode: Mode = "eval",
        leaves: Callable[[str], bool] | None = None,
    ) -> None:
        if mode not in get_args(Mode):
            msg = f"mode must be one of {list(get_args(Mode))}, got {mode!r}."
            raise RuleError(msg)
        self.model = model
        self.mode = mode
        self.class_weight = class_weight
        self.found = find_leaves(model, leaves=leaves, own_statistics=partial(own_statistics, mode))
        self.objective = objective(model, loss, regularizers=regularizers)
        self.eps = machine_epsilon(model, self.found)
        self.half = "float16" in _types(model, self.found)


def oracle(
    how: Loss, data: Any, *, batch_size: int | None = None, memory: int | None = None
) -> KerasOracle:
    """Return the loss over data; see `track`."""
    where = source(data, how.class_weight)
    _build_compiled(how.model, where)
    averaging = how.mode == "batch-stats"
    made = KerasOracle(
        how.found,
        how.objective,
        where,
        batch_size=batch_size or (PAPERS_CHUNK if averaging else where.examples),
        eps=how.eps,
        behaviour=partial(measured, how.model, how.mode),
        half=how.half,
    )
    if batch_size is None and not averaging:
        made.batch_size = fitting_batch_size(made, memory)
    if made.batch_size < where.examples and not averaging:
        _check_mean(made)
    return made


def machine_epsilon(model: keras.Model, leaves: Leaves) -> float:
    """Return the epsilon of the least precise arithmetic that the measurement uses."""
    digits = {"float64": 52, "float32": 23, "float16": 10, "bfloat16": 7}
    return max(2.0 ** -digits.get(kind, 23) for kind in _types(model, leaves))


def _types(model: keras.Model, leaves: Leaves) -> set[str]:
    """Return those that the measurement computes in."""
    kinds = {v.dtype for v in leaves.trained.values()}
    return kinds | {layer.compute_dtype for layer in model._flatten_layers()}


def _build_compiled(model: keras.Model, examples: Source) -> None:
    """Let Keras make the metrics of a compiled loss now, as `fit` does, and not while tracing."""
    held = model._compile_loss
    if held is not None and not held.built:
        batch = examples.first(1)
        model._symbolic_build(data_batch=(batch.x, batch.y, batch.weight))


def _check_mean(oracle: KerasOracle) -> None:
    """Refuse losses that depend on how the data are cut (in "eval" mode, where none should)."""
    batch = oracle.source.first(64)
    n = batch.examples
    if n < 2:
        return
    snapshot = oracle.leaves.capture()
    third = max(1, n // 3)  # uneven parts: a sum or a weighted mean cannot hide

    def loss(begin: int, size: int) -> float:
        part = batch.map(lambda tensor: BACKEND.cut(tensor, begin, size))
        losses = oracle.losses(snapshot.params, snapshot.buffers, part)
        return float(BACKEND.ops.to_numpy(losses).mean(dtype=np.float64))

    whole, parts = loss(0, n), (third * loss(0, third) + (n - third) * loss(third, n - third)) / n
    if np.isfinite(whole) and not np.isclose(whole, parts, rtol=1e-3, atol=1e-6):
        msg = (
            "The loss of a batch is not the mean of the losses of its parts: it sums over "
            "examples, divides by their weights or masks, or compares them with each other. "
            f"Use a plain mean, or pass batch_size={oracle.source.examples} to evaluate all "
            "examples at once."
        )
        raise LossError(msg)
