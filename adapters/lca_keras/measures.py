"""One measure: a model's loss over data, as an oracle."""

from __future__ import annotations

import math
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, get_args

import keras
import numpy as np

from lca_core import Snapshot
from lca_core.errors import DataError, LossError, RuleError
from lca_keras.backends import BACKEND
from lca_keras.data import Source, source
from lca_keras.leaves import Leaves, find_leaves
from lca_keras.losses import check_same, compares, compiled_loss, objective
from lca_keras.memory import fitting_batch_size
from lca_keras.modes import Mode, measured, own_statistics
from lca_keras.oracle import KerasOracle

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lca_core import Params
    from lca_keras.batches import Batch

_SEEN, _SEEN_ALONE = 256, 32

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
        loss: keras.losses.Loss | Callable[..., Any] | str | None = None,
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
        self.compiled = compiled_loss(model) if loss is None else None
        self.compares = compares(model, loss)
        self.half = "float16" in _types(model, self.found)

    def capture(self) -> Snapshot:
        """Return an owned copy of where the model stands.

        Raises:
            LossError: it has another compiled loss by now.
        """
        if self.compiled is not None:
            check_same(self.model, self.compiled)
        return self.found.capture()


def oracle(
    how: Loss, data: Any, *, batch_size: int | None = None, memory: int | None = None
) -> KerasOracle:
    """Return the loss over data; see `track`."""
    where = source(data, how.class_weight)
    _check_targets(how, where)
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


def _check_targets(how: Loss, examples: Source) -> None:
    """Refuse data without targets for a loss that compares with them."""
    if how.compares and examples.first(1).y is None:
        msg = (
            f"The loss of '{how.model.name}' needs targets, and the data have none. Pass a tuple "
            "(x, y): a list [x, y] is a list of batches."
        )
        raise DataError(msg)


def _build_compiled(model: keras.Model, examples: Source) -> None:
    """Let Keras make the metrics of a compiled loss now, as `fit` does, and not while tracing."""
    held = model._compile_loss
    if held is not None and not held.built:
        batch = examples.first(1)
        model._symbolic_build(data_batch=(batch.x, batch.y, batch.weight))


def _check_mean(oracle: KerasOracle) -> None:
    """Refuse losses that depend on how the data are cut (in "eval" mode, where none should).

    Where all losses are equal nothing can be seen, so they are compared at a point beside too.
    """
    batch, few = (oracle.source.spread(n) for n in (_SEEN, _SEEN_ALONE))
    n = batch.examples
    if n < 2:
        return
    here = oracle.leaves.capture()
    aside = Snapshot(beside(here.params), here.buffers)
    uneven = [0, max(1, n // 3), n]  # a sum or a weighted mean cannot hide
    pairs = [*range(0, few.examples - 1, 2), few.examples]
    cuts = ((here, batch, uneven), (aside, batch, uneven), (aside, few, pairs))
    if not all(_adds_up(oracle, *cut) for cut in cuts):
        msg = (
            "The loss of a batch is not the mean of the losses of its parts: it sums over "
            "examples, divides by their weights or masks, or compares them with each other. "
            f"Use a plain mean, or pass batch_size={oracle.source.examples} to evaluate all "
            "examples at once."
        )
        raise LossError(msg)


def _adds_up(oracle: KerasOracle, at: Snapshot, batch: Batch, edges: Sequence[int]) -> bool:
    """Compare a batch with its parts between these edges."""

    def loss(begin: int, end: int) -> float:
        part = batch.map(lambda tensor: BACKEND.cut(tensor, begin, end - begin))
        losses = oracle.losses(at.params, at.buffers, part)
        values = BACKEND.ops.to_numpy(keras.ops.cast(losses, "float32"))
        return float(values.mean(dtype=np.float64))

    n = batch.examples
    whole, parts = loss(0, n), [(e - b) / n * loss(b, e) for b, e in pairwise(edges)]
    rtol = max(1e-3, 4.0 * oracle.eps)
    return not abs(whole - sum(parts)) > 1e-6 + rtol * sum(map(abs, parts))


def beside(params: Params) -> dict[str, Any]:
    """Return parameters moved at random, as far as they are large, or as an initial layer is."""
    rng = np.random.default_rng(0)

    def moved(leaf: Any) -> Any:
        values = BACKEND.ops.to_numpy(leaf)
        rms = math.sqrt(np.mean(np.square(values))) if values.size else 0.0
        far = 0.3 * max(rms, 1.0 / math.sqrt(values.shape[0] if values.ndim else 1))
        noise = far * rng.standard_normal(values.shape, np.float32)
        return BACKEND.ops.from_numpy((values + noise).astype(values.dtype), leaf)

    return {name: moved(leaf) for name, leaf in params.items()}
