"""A model's loss over the data of every measure, as oracles."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any, get_args

import keras

from lca_core.chunks import check_chunking
from lca_core.errors import DataError, LeafError, LossError, RuleError
from lca_core.unusable import explained, shaped
from lca_keras.backends import BACKEND
from lca_keras.batches import by_arrays, form
from lca_keras.checking import Checks
from lca_keras.data import Source, source
from lca_keras.leaves import Leaves, find_leaves
from lca_keras.losses import check_same, compares, compiled_loss, objective, types_of
from lca_keras.memory import SAMPLES, fitting_batch_size, kept_by_each
from lca_keras.modes import Mode, measured, own_statistics
from lca_keras.oracle import KerasOracle

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping
    from contextlib import AbstractContextManager

    from lca_core import Params, Snapshot
    from lca_keras.batches import Batch

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
        if not isinstance(model, keras.Model):
            msg = f"model must be a keras.Model, got {type(model).__name__}. Pass the made model."
            raise LeafError(msg)
        self.model = model
        self.mode = mode
        self.norms = self._norms()
        self.generator = keras.random.SeedGenerator(seed=0)
        self.class_weight = class_weight
        self.found = find_leaves(model, leaves=leaves, own_statistics=partial(own_statistics, mode))
        self.objective = objective(model, loss, regularizers=regularizers)
        self.eps = machine_epsilon(_types(model, self.found) | types_of(loss))
        self.compiled = compiled_loss(model) if loss is None else None
        self.compares = compares(model, loss)
        self.half = "float16" in _types(model, self.found)
        self._kept: dict[Any, float] = {}
        self._means: dict[tuple[str, int, int], Callable[..., Any]] = {}
        self._config, self._version = _config(model), 0

    def version(self) -> int:
        """Return a number that is another one behind every `compile()`.

        Programs are made anew then, as Keras' own are: loss and layers may hold something else.
        """
        now = _config(self.model)
        if now is not self._config:
            self._config, self._version = now, self._version + 1
        return self._version

    def capture(self) -> Snapshot:
        """Return an owned copy of where the model stands.

        Raises:
            LossError: it has another compiled loss by now, or other batch norms that train.
        """
        if self.compiled is not None:
            check_same(self.model, self.compiled)
        if self.mode == "batch-stats":
            self._check_norms()
        return self.found.capture()

    def _norms(self) -> list[keras.Layer]:
        """Return the layers that normalise by the chunk's own statistics now."""
        layers: list[keras.Layer] = self.model._flatten_layers()
        return [one for one in layers if own_statistics(self.mode, one)]

    def _check_norms(self) -> None:
        now = self._norms()
        changed = [one.name for one in (*self.norms, *now) if (one in self.norms) != (one in now)]
        if changed:
            msg = (
                f"The batch norms {changed} were frozen or unfrozen after tracking began: in "
                "mode='batch-stats' they would be measured by other statistics than before. Begin "
                "a new callback or tracker there, or use mode='eval'."
            )
            raise LossError(msg)

    def behaviour(self) -> AbstractContextManager[None]:
        """Return the context in which the loss is called."""
        return measured(self.model, self.mode, self.generator)

    def kept_by_each(self, oracle: KerasOracle) -> float:
        """Return the bytes that an example's backward pass needs, found once for every form."""
        batch = oracle.source.first(SAMPLES[-1])
        key = batch.examples, form(batch)
        if key not in self._kept:
            self._kept[key] = kept_by_each(oracle)
        return self._kept[key]

    def mean(self, params: Params, buffers: Params, batch: Batch) -> Any:
        """Return the loss of a batch, by one program for all measures."""
        # TensorFlow warns of one that is traced for several numbers of examples.
        key = form(batch), batch.examples, self.version()
        if key not in self._means:
            self._means[key] = BACKEND.compile(by_arrays(self._mean, batch))
        return self._means[key](params, buffers, batch.arrays)

    def _mean(self, params: Params, buffers: Params, batch: Batch) -> Any:
        with self.found.standing_at(params, buffers), self.behaviour():
            losses = self.objective(batch)
        return BACKEND.ops.sum(losses) / math.prod(losses.shape)


def oracles(
    how: Loss,
    data: Mapping[str, Any],
    wholes: Mapping[str, tuple[str, ...]],
    *,
    sampled: Collection[str] = (),
    batch_size: int | None = None,
    memory: int | None = None,
) -> dict[str, KerasOracle]:
    """Return the loss over the data of every measure; see `track`.

    Args:
        how: the model and its loss.
        data: measure -> data.
        wholes: whole -> the measures that are its parts.
        sampled: measures of which samples stand for the whole.
        batch_size: examples evaluated at once.
        memory: bytes for the activations.

    Raises:
        RuleError: `batch_size` or `memory` is below 1.
        LossError: the loss depends on how the data are cut (in "eval" mode, where none should).
    """
    check_chunking(batch_size, memory)
    firsts: dict[Any, KerasOracle] = {}

    def made_alike(name: str, what: Any) -> KerasOracle:
        """Return an oracle by the programs of the first whose data have the same form."""
        own = _oracle(how, name, what, batch_size=batch_size, memory=memory)
        return firsts.setdefault((own.source.form, own.batch_size), own).over(own.source)

    made = {name: made_alike(name, what) for name, what in data.items()}
    if how.mode == "eval":
        _refuse_cuts(how, made, wholes, sampled)
    return made


def _refuse_cuts(
    how: Loss,
    made: Mapping[str, KerasOracle],
    wholes: Mapping[str, tuple[str, ...]],
    sampled: Collection[str],
) -> None:
    """Look at every measure that is cut, as samples are, and at the whole of every partition."""
    checks = Checks(how.mean, how.eps, how.found.capture())
    parts = {name for names in wholes.values() for name in names}
    for name, one in made.items():
        if name in sampled:
            checks.refuse([one.source], ": what a sample says of all data is nothing else")
        elif name not in parts and one.batch_size < one.source.examples:
            instead = f", or pass batch_size={one.source.examples} to evaluate all examples at once"
            checks.refuse([one.source], instead)
    for names in wholes.values():
        if len(names) > 1 or made[names[0]].batch_size < made[names[0]].source.examples:
            checks.refuse([made[name].source for name in names], "")


def _oracle(
    how: Loss, name: str, data: Any, *, batch_size: int | None, memory: int | None
) -> KerasOracle:
    where = source(data, how.class_weight)
    _check_targets(how, where)
    averaging = how.mode == "batch-stats"
    made = KerasOracle(
        how.found,
        how.objective,
        where,
        batch_size=int(batch_size or (PAPERS_CHUNK if averaging else where.examples)),
        eps=how.eps,
        behaviour=how.behaviour,
        half=how.half,
        version=how.version,
    )
    with _explained(name, where):
        _build_compiled(how.model, where)
        each = how.kept_by_each(made)
    if batch_size is None and not averaging:
        made.batch_size = fitting_batch_size(where.examples, each, memory)
    return made


def _explained(name: str, examples: Source) -> AbstractContextManager[None]:
    """Say what was passed where the loss cannot be evaluated on a few examples."""

    def tell() -> tuple[dict[str, str], str]:
        batch = examples.first(SAMPLES[-1])
        parts = {"x": batch.x, "y": batch.y, "sample_weight": batch.weight}
        passed = {part: shaped(value) for part, value in parts.items() if value is not None}
        return passed, (
            "Let the model take such x and the loss such y; a loss= of one's own takes the targets "
            "and what the model gives of x."
        )

    return explained(f"'{name}'", "loss(y, model(x))", tell)


def _config(model: keras.Model) -> Any:
    """Return what every `compile()` makes anew; None before the first."""
    return getattr(model, "_compile_config", None)


def machine_epsilon(types: Iterable[str]) -> float:
    """Return the epsilon of the least precise arithmetic of these types.

    Args:
        types: that variables, layers and losses have; on some backends Keras' own functions bring
            float64 to float32, as `keras.backend.result_type` says.
    """
    digits = {"float64": 52, "float32": 23, "float16": 10, "bfloat16": 7}
    wide = keras.backend.result_type("float64")
    return max(2.0 ** -digits.get(wide if one == "float64" else one, 23) for one in types)


def _types(model: keras.Model, leaves: Leaves) -> set[str]:
    """Return those that the model computes in."""
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
        with BACKEND.untouched():
            model._symbolic_build(data_batch=(batch.x, batch.y, batch.weight))
