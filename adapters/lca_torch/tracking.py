"""`track`: the door to LCA for any PyTorch training loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import torch
from attrs import evolve
from torch import Tensor, nn

from lca_core import Allocator, Integrator, Observer, Tracker
from lca_core.choices import chosen
from lca_core.chunks import check_chunking
from lca_core.errors import DataError, RuleError
from lca_core.partition import check_mode, check_weight, expanded, shares
from lca_core.probes import Redrawn, drawn_once, told
from lca_core.redraws import Redraws
from lca_core.remaking import Remaking
from lca_core.starting import start
from lca_torch.attributes import find_touched
from lca_torch.checking import EXAMPLES, refuse_held, refuse_trainable, suited
from lca_torch.data import examples_in, source, take
from lca_torch.losses import BatchLoss, readings
from lca_torch.measured import Measured
from lca_torch.memory import SAMPLE, budget, keep_what_is_freed
from lca_torch.memory import batch_size as fitting_batch_size
from lca_torch.mixture import mixture
from lca_torch.ops import TorchOps
from lca_torch.oracle import TRAINING_MODULES, Mode, TorchOracle
from lca_torch.parameters import check_model, find_leaves, unwrap
from lca_torch.precision import halves, machine_epsilon
from lca_torch.redrawing import TorchPick
from lca_torch.remedies import Passed
from lca_torch.sources import Streamed
from lca_torch.untouched import normal_mode

if TYPE_CHECKING:
    import os

    from lca_torch.attributes import Touched
    from lca_torch.losses import Objective, Readings
    from lca_torch.sources import Source

PAPERS_CHUNK = 2_500
"""Examples whose statistics batch norm uses in "batch-stats" mode, by default."""

_USUAL_MEASURES = {"train", "training", "val", "valid", "validation", "dev", "test", "eval"}


def track(
    model: nn.Module,
    loss_fn: Callable[..., Any] | BatchLoss,
    data: Any,
    *,
    mode: Mode = "eval",
    integrator: Integrator | None = None,
    observers: Sequence[Observer] | None = None,
    every: int = 1,
    path: str | os.PathLike[str] | None = None,
    resume: bool = False,
    chunk: int | None = None,
    batch_size: int | None = None,
    memory: int | None = None,
    autocast: torch.dtype | None = None,
    leaves: Callable[[str], bool] | None = None,
) -> Tracker:
    r"""Track a model; call `tracker.step()` after every `optimizer.step()`.

    .. math:: A_{t,i} = \left(\int_0^1 \partial_i L(\theta_t + s\Delta_t)\,ds\right) \Delta_{t,i}

    The tracker looks at where the parameters are, not at gradients or hooks: gradient
    accumulation, clipping, skipped AMP steps, closures, weight swaps and several optimizers
    need nothing special. It changes nothing: parameters, buffers, `.grad`, optimizer state,
    what modules keep in attributes, random streams and train/eval flags stay as they are, bit for
    bit.

    Args:
        model: any module, compiled or wrapped in DDP too; already on its device.
        loss_fn: `loss_fn(outputs, targets)`, or `BatchLoss(fn)` for `fn(model, batch)`.
        data: what L is the mean over: tensors `(inputs, targets)`, a `Dataset`, a `DataLoader`
            in fixed order, or several of them by name, `{"train": ..., "val": ...}`; any of them
            as a `Partition`, by class say, whose parts become measures of their own, or as a
            sample: `FixedProbe` or `Redrawn`.
        mode: "eval": dropout off, batch norm with its moving averages, whose own share of the
            loss change is `Run.buffers` (where they move, a second gradient a step);
            "batch-stats": batch norm on each chunk's own statistics, as in the paper.
        integrator: `Adaptive()` by default.
        observers: what to keep; `default_observers(layout)` by default.
        every: close a segment at every so many steps.
        path: run file to write as the run goes; None keeps the record in memory.
        resume: go on with the run in `path`, from the checkpoint where the model stands.
        chunk: segments between two writes; by default, writing takes 1 % of the time.
        batch_size: examples evaluated at once; by default as many as fit `memory`, in
            "batch-stats" mode 2,500 (it is part of that loss).
        memory: bytes for the activations of one evaluation; by default 64 MiB on a CPU, a
            quarter of the free memory on a GPU.
        autocast: measure in this lower precision; None for the parameters' own.
        leaves: leaf name -> whether to follow it; by default those that require a gradient. Others
            of these count as buffers do.

    Returns:
        The tracker; `tracker.finish()` returns the `Run`.

    Raises:
        DataError: the data are empty, shuffled, dropped, or differ between two readings.
        LossError: the loss cannot be evaluated on the data, or is not a mean over examples.
        LeafError: there is nothing to follow.
        RuleError: an unknown mode, or `batch_size`, `memory`, `every` or `chunk` below 1.
        FileExistsError, ResumeError: see `path` and `resume`.

    Example:
        >>> import torch
        >>> import lca_torch
        >>> _ = torch.manual_seed(0)
        >>> x, y = torch.randn(32, 4), torch.randint(3, (32,))
        >>> model, loss_fn = torch.nn.Linear(4, 3), torch.nn.CrossEntropyLoss()
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        >>> with lca_torch.track(model, loss_fn, (x, y)) as tracker:
        ...     for _ in range(5):
        ...         loss_fn(model(x), y).backward()
        ...         optimizer.step()
        ...         optimizer.zero_grad()
        ...         tracker.step()
        >>> loss = tracker.run.loss("train")
        >>> fall = tracker.run.allocation("train").values.sum()
        >>> bool(abs(fall - (loss[-1] - loss[0])) < 1e-4)
        True

    Source: LCA paper, section 2.
    """
    probes = told(_measures(data), examples_in)
    make = partial(
        allocator,
        model,
        loss_fn,
        mode=mode,
        integrator=integrator,
        observers=observers,
        batch_size=batch_size,
        memory=memory,
        autocast=autocast,
        leaves=leaves,
    )
    made = make(data)
    oracles = {name: _behind(one) for name, one in made.oracles.items()}
    found, device = next((one.leaves, one.device) for one in oracles.values())
    config = {
        "adapter": "torch",
        "mode": mode,
        "autocast": str(autocast).removeprefix("torch.") if autocast else None,
        "data": {name: _describe(one.source) for name, one in oracles.items()},
        "batch_size": {name: one.batch_size for name, one in oracles.items()},
        **({"probes": probes} if probes else {}),
        "statistics": int(batch_size or PAPERS_CHUNK) if mode == "batch-stats" else None,
        "versions": {"torch": torch.__version__, "device": str(device)},
    }
    return start(
        made,
        found.capture(),
        found.capture,
        config=config,
        path=path,
        resume=resume,
        every=every,
        chunk=chunk,
        remaking=Remaking(
            _measures(data), examples_in, lambda data, _: make(data), budget(device, memory)
        ),
    )


def allocator(
    model: nn.Module,
    loss_fn: Callable[..., Any] | BatchLoss,
    data: Any,
    *,
    mode: Mode = "eval",
    integrator: Integrator | None = None,
    observers: Sequence[Observer] | None = None,
    batch_size: int | None = None,
    memory: int | None = None,
    autocast: torch.dtype | None = None,
    leaves: Callable[[str], bool] | None = None,
) -> Allocator:
    """Return the functional core for a model, without a tracker; arguments as for `track`."""
    if mode not in get_args(Mode):
        msg = f"mode must be one of {list(get_args(Mode))}, got {mode!r}."
        raise RuleError(msg)
    check_chunking(batch_size, memory)
    check_model(model)
    model = unwrap(model)
    found = find_leaves(model, leaves=leaves, without_buffers_of=TRAINING_MODULES[mode])
    device = next(model.parameters()).device
    keep_what_is_freed(device)
    ways = readings(loss_fn)
    refuse_trainable(model, ways.modules)
    refuse_held(model, loss_fn.fn if isinstance(loss_fn, BatchLoss) else loss_fn)
    measured = Measured(model, ways.own, ways.reached)
    eps = machine_epsilon(found, device, autocast)

    def oracle(measure: str, examples: Any) -> TorchOracle:
        with normal_mode():
            where = source(examples, device)
        size = int(batch_size or (PAPERS_CHUNK if mode == "batch-stats" else where.examples))
        made = TorchOracle(found, measured, where, size, mode, device, eps, autocast)
        made = suited(_tried(made, measure, loss_fn, min(EXAMPLES, size)), ways)
        if batch_size is None and mode == "eval":
            fitting = _fitting(made, measure, loss_fn, memory)
            # What cannot be cut goes whole, as in the user's training.
            size = max(fitting, where.uncut)
            made = evolve(made, batch_size=size)
        return evolve(made, total=_total(made, ways))

    def redraws(measure: str, probe: Redrawn) -> Redraws:
        pick = TorchPick.of(oracle(measure, probe.data), found.capture())
        check_weight(measure, pick.weight)
        return Redraws.of(probe, pick.source.examples, pick, pick.whole.eps)

    measures, wholes = expanded(drawn_once(_measures(data), take, examples_in), take)
    check_mode(wholes, mode)
    oracles = {
        name: redraws(name, what) if isinstance(what, Redrawn) else oracle(name, what)
        for name, what in measures.items()
    }
    for parts in wholes.values():
        mixed = mixture([_behind(oracles[part]) for part in parts])
        if mixed is not None:
            suited(mixed, ways)
    return Allocator(
        TorchOps(),
        oracles,
        found.layout,
        *chosen(found.layout, integrator, observers),
        wholes=shares(wholes, lambda part: _behind(oracles[part]).weight(found.capture())),
    )


def _behind(oracle: Any) -> TorchOracle:
    """Return the loss over all examples, also of a measure that looks at samples of them."""
    pick: Any = oracle.pick if isinstance(oracle, Redraws) else None
    whole: TorchOracle = pick.whole if pick else oracle
    return whole


def _measures(data: Any) -> dict[str, Any]:
    """Tell several named data sets from one data set whose batches are dicts of tensors."""
    if isinstance(data, Mapping):
        if not data:
            msg = "data={} names no measure; pass for example {'train': (x, y)}."
            raise DataError(msg)
        if not all(isinstance(part, (Tensor, np.ndarray)) for part in data.values()):
            return dict(data)
        if set(data) <= _USUAL_MEASURES:
            name = next(iter(data))
            msg = (
                f"A dict of bare tensors is one data set whose batches are dicts, but {list(data)} "
                f"read like measures. Pass tuples for measures, {{'{name}': (x,)}}, or other names."
            )
            raise DataError(msg)
    return {"train": data}


def _total(oracle: TorchOracle, ways: Readings) -> float | None:
    """Return the weight of all examples where the data at hand tell, before any evaluation."""
    if ways.weigh is None or isinstance(oracle.source, Streamed):
        return None
    found = float(sum(ways.weigh(batch) for batch in oracle.source.batches(oracle.batch_size)))
    return found or None  # where nothing counts, the loss is no number


def _fitting(oracle: TorchOracle, measure: str, loss_fn: Any, memory: int | None) -> int:
    """Return how many examples to evaluate at once.

    Raises:
        LossError: the loss cannot be evaluated on as few as tell.
    """
    try:
        with oracle.measuring():
            return fitting_batch_size(oracle.measured, oracle.source, oracle.device, memory)
    except Exception:
        _tried(oracle, measure, loss_fn, SAMPLE)  # says what was passed
        raise


def _tried(oracle: TorchOracle, measure: str, loss_fn: Any, examples: int) -> TorchOracle:
    """Try a few examples: whatever a look writes into is copied from then on, and so it rounds.

    Args:
        oracle: the loss.
        measure: whose loss it is.
        loss_fn: as it was passed.
        examples: how many to try at once.

    Raises:
        LossError: the loss cannot be evaluated on them.
    """
    few = oracle.source.first(examples)
    with oracle.measuring() as live:
        points, guarded = live.copies(), oracle.guarded(live)

        def evaluate(objective: Objective, batch: Any) -> None:
            measured = evolve(oracle.measured, objective=objective)
            measured.evaluate(live, points, {}, [batch], lambda *_: None)

        def try_out(objective: Objective, batch: Any) -> tuple[Touched, ...]:
            return find_touched(
                guarded, lambda: oracle.source.hand.try_out(batch, partial(evaluate, objective))
            )

        passed = Passed(loss_fn, few, next(iter(points.values())).dtype)
        with passed.explained(f"'{measure}'", try_out):
            touched = try_out(oracle.measured.objective, few)
        written = live.written(points)
    tried = evolve(oracle, touched=touched, written=written)
    found = halves(tried, few)
    eps = max((oracle.eps, *(torch.finfo(kind).eps for kind in found)))
    return evolve(tried, eps=eps, halves=found)


def _describe(data: Source) -> dict[str, Any]:
    return {"examples": data.examples, "crc32": f"{data.crc32:08x}"}
