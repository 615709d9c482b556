"""`track`: the door to LCA for Keras models."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import keras

from lca_core import Allocator, Integrator, Observer, Tracker
from lca_core.choices import chosen
from lca_core.errors import DataError
from lca_core.partition import check_mode, expanded, shares
from lca_core.probes import FixedProbe, Redrawn, drawn_once, told
from lca_core.redraws import Redraws
from lca_core.remaking import Remaking
from lca_core.starting import start
from lca_keras.backends import BACKEND
from lca_keras.data import Source, examples_in, take
from lca_keras.measures import PAPERS_CHUNK, Loss, oracles
from lca_keras.memory import BUDGET
from lca_keras.oracle import KerasOracle, compiled
from lca_keras.redrawing import prepare

if TYPE_CHECKING:
    import os

    from lca_keras.leaves import Leaves
    from lca_keras.modes import Mode


def track(
    model: keras.Model,
    data: Any,
    *,
    loss: keras.losses.Loss | Callable[..., Any] | str | None = None,
    class_weight: Mapping[int, float] | None = None,
    regularizers: bool = False,
    mode: Mode = "eval",
    integrator: Integrator | None = None,
    observers: Sequence[Observer] | None = None,
    every: int = 1,
    path: str | os.PathLike[str] | None = None,
    resume: bool = False,
    chunk: int | None = None,
    batch_size: int | None = None,
    memory: int | None = None,
    leaves: Callable[[str], bool] | None = None,
) -> Tracker:
    r"""Track a model; call `tracker.step()` after every update of its variables.

    .. math:: A_{t,i} = \left(\int_0^1 \partial_i L(\theta_t + s\Delta_t)\,ds\right) \Delta_{t,i}

    The tracker looks at where the variables are, not at gradients or optimizers: gradient
    accumulation, loss scaling, clipping and weight averaging need nothing special. It changes
    nothing: variables, optimizer state, metrics and random streams stay as they are, bit for bit.

    Args:
        model: built, on any backend of Keras; compiled, unless `loss` is given.
        data: what L is the mean over: arrays `(x, y)` or `(x, y, sample_weight)`, a
            `tf.data.Dataset` or a `keras.utils.PyDataset` in fixed order, a list of batches, or
            several of them by name, `{"train": ..., "val": ...}`; any of them as a `Partition`,
            by class say, whose parts become measures of their own, or as a sample: `FixedProbe`
            or `Redrawn`.
        loss: `loss(y, outputs)`, a Keras loss, its name, or a function that returns one loss per
            example or their mean; None for the compiled loss.
        class_weight: class -> weight of its examples, as in `fit`.
        regularizers: whether the penalties in `model.losses` are part of L.
        mode: "eval": as in `evaluate`, batch norm with its moving averages, whose own share of
            the loss change is `Run.buffers` (where they move, a second gradient a step);
            "batch-stats": batch norm on each chunk's own statistics, as in the paper.
        integrator: `Adaptive()` by default.
        observers: what to keep; `default_observers(layout)` by default.
        every: close a segment at every so many steps.
        path: run file to write as the run goes; None keeps the record in memory.
        resume: go on with the run in `path`, from the checkpoint where the model stands.
        chunk: segments between two writes; by default, writing takes 1 % of the time.
        batch_size: examples evaluated at once; by default as many as fit `memory`, in
            "batch-stats" mode 2,500 (it is part of that loss).
        memory: bytes for the activations of one evaluation; by default 64 MiB.
        leaves: leaf name -> whether to follow it; by default the trainable ones.

    Returns:
        The tracker; `tracker.finish()` returns the `Run`.

    Raises:
        DataError: the data are empty, shuffled, endless, or differ between two readings.
        LossError: there is no loss, it cannot be evaluated on the data or is not a mean over
            examples, or another is compiled later.
        LeafError: the model is not built, or there is nothing to follow.
        RuleError: an unknown mode, or `batch_size`, `memory`, `every` or `chunk` below 1.
        FileExistsError, ResumeError: see `path` and `resume`.

    Example:
        >>> import keras, lca_keras, numpy as np
        >>> x = np.random.default_rng(0).standard_normal((32, 4)).astype("float32")
        >>> y = (x[:, 0] > 0).astype("int32")
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        >>> loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        >>> model.compile(optimizer="sgd", loss=loss)
        >>> with lca_keras.track(model, (x, y)) as tracker:
        ...     for _ in range(5):
        ...         _ = model.train_on_batch(x, y)
        ...         tracker.step()
        >>> losses = tracker.run.loss("train")
        >>> fall = tracker.run.allocation("train").values.sum()
        >>> bool(abs(fall - (losses[-1] - losses[0])) < 1e-4)
        True

    Source: LCA paper, section 2.
    """
    how = Loss(model, loss, class_weight, regularizers=regularizers, mode=mode, leaves=leaves)
    named = _measures(data)
    probes = told(named, examples_in)

    def made_on(data: Mapping[str, Any]) -> tuple[Allocator, dict[str, KerasOracle]]:
        """Return the core on such data, and the loss over all examples behind every measure."""
        measures, wholes = expanded(drawn_once(data, take, examples_in), take)
        check_mode(wholes, mode)
        whole = {k: one.data if isinstance(one, Redrawn) else one for k, one in measures.items()}
        sampled = {k for k, one in data.items() if isinstance(one, (Redrawn, FixedProbe))}
        behind = oracles(how, whole, wholes, sampled=sampled, batch_size=batch_size, memory=memory)
        drawn = {
            name: redraws(what, behind[name]) if isinstance(what, Redrawn) else behind[name]
            for name, what in measures.items()
        }
        return allocator(how.found, drawn, integrator, observers, wholes), behind

    def redraws(probe: Redrawn, whole: KerasOracle) -> Redraws:
        pick = prepare(how, probe.data, whole, probe.n // probe.subsamples)
        return Redraws.of(probe, examples_in(probe.data), pick, whole.eps)

    made, behind = made_on(named)
    config = {
        **({"probes": probes} if probes else {}),
        "adapter": "keras",
        "mode": mode,
        "regularizers": regularizers,
        "data": {name: _describe(one.source) for name, one in behind.items()},
        "batch_size": {name: one.batch_size for name, one in behind.items()},
        "statistics": int(batch_size or PAPERS_CHUNK) if mode == "batch-stats" else None,
        "versions": {"keras": keras.__version__, "backend": keras.backend.backend()},
    }
    return start(
        made,
        how.capture(),
        how.capture,
        config=config,
        path=path,
        resume=resume,
        every=every,
        chunk=chunk,
        remaking=Remaking(named, examples_in, lambda data, _: made_on(data)[0], memory or BUDGET),
    )


def allocator(
    leaves: Leaves,
    oracles: Mapping[str, KerasOracle | Redraws],
    integrator: Integrator | None,
    observers: Sequence[Observer] | None,
    wholes: Mapping[str, tuple[str, ...]] | None = None,
) -> Allocator:
    """Return the functional core; the whole step is compiled where the data are on the device."""
    whole = {k: one for k, one in oracles.items() if isinstance(one, KerasOracle)}
    return Allocator(
        BACKEND.ops,
        oracles,
        leaves.layout,
        *chosen(leaves.layout, integrator, observers),
        compiled,
        # As in Keras, a mean is over examples, whatever they weigh.
        wholes=shares(wholes or {}, lambda part: whole[part].source.examples),
    )


def _measures(data: Any) -> dict[str, Any]:
    if isinstance(data, Mapping):
        if not data:
            msg = "data={} names no measure; pass for example {'train': (x, y)}."
            raise DataError(msg)
        return dict(data)
    return {"train": data}


def _describe(data: Source) -> dict[str, Any]:
    return {"examples": data.examples, "crc32": f"{data.crc32:08x}"}
