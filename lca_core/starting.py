"""Begin a record: in memory, in a new run file, or at a point of one that goes on."""

from __future__ import annotations

import os
import warnings
from math import isfinite
from typing import TYPE_CHECKING, Any

from lca_core.errors import ResumeError
from lca_core.header import Header
from lca_core.leafwise import leaf_sums
from lca_core.memory import MemorySink
from lca_core.numbers import whole
from lca_core.pace import Pace
from lca_core.points import point_at, restored
from lca_core.tracker import Tracker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lca_core.allocate import Allocator
    from lca_core.remaking import Remaking
    from lca_core.typing import Snapshot


def start(
    allocator: Allocator,
    initial: Snapshot,
    capture: Callable[..., Snapshot],
    *,
    config: Mapping[str, Any],
    path: str | os.PathLike[str] | None = None,
    resume: bool = False,
    every: int = 1,
    chunk: int | None = None,
    remaking: Remaking | None = None,
) -> Tracker:
    """Evaluate the first iterate, open the place for the record, and return the tracker.

    Args:
        allocator: the functional core.
        initial: the model as it stands.
        capture: see `Tracker`.
        config: what the adapter wants to have written into the run file, JSON values.
        path: a run file to write as the run goes; None keeps everything in memory.
        resume: go on with the run in `path`, from the checkpoint whose parameters the model
            has; a new run is started if there is none at `path`.
        every: see `Tracker`.
        chunk: see `Pace`.
        remaking: see `Tracker`.

    Raises:
        FileExistsError: there is a run at `path` and `resume` is False.
        RunBusyError: another process writes the run.
        ResumeError: the model stands at no checkpoint of the run, or the loss differs there; or
            there is no path.
        RuleError: `every` or `chunk` is below 1; there is no file then.
    """
    every = whole("every", every, 1, what="a number of steps")
    if resume and path is None:
        msg = "resume=True goes on with a run file: pass its path= too, also for the first start."
        raise ResumeError(msg)
    goes_on = resume and path is not None and os.path.lexists(path)
    allocator = allocator.along(every)
    state = allocator.init(initial)
    losses = {
        measure: float(allocator.ops.to_numpy(state.evaluations[measure].loss))
        for measure in allocator.measures
    }
    if not goes_on:
        _warn_of_the_lost(allocator, initial, losses)
    header = Header(
        layout=allocator.layout,
        measures=allocator.measures,
        declared=allocator.declare(),
        config={
            "integrator": dict(allocator.integrator.describe()),
            "observers": [type(observer).__name__ for observer in allocator.observers],
            "every": every,
            "eps": {measure: allocator.eps(measure) for measure in allocator.measures},
            "parts": {whole: dict(shares) for whole, shares in allocator.wholes.items()},
            **config,
            **_probes(allocator, config),
        },
        initial_loss=tuple(losses.values()),
    )
    pace = Pace.of(chunk, header)
    settings: dict[str, Any] = {"pace": pace, "every": every, "remaking": remaking}
    if path is None:
        return Tracker(allocator, state, capture, MemorySink(header), **settings)

    from lca_core import store

    if not goes_on:
        point = point_at(allocator, state, iteration=0, keep=False)
        sink = store.ZarrSink.create(path, header, chunk=pace.together, point=point)
        return Tracker(allocator, state, capture, sink, **settings)

    params = {k: allocator.ops.to_numpy(leaf) for k, leaf in initial.params.items()}
    sink, checkpoint = store.ZarrSink.reopen(path, header, params)
    state = restored(allocator, state, checkpoint, sink.losses())
    return Tracker(allocator, state, capture, sink, iteration=checkpoint.iteration, **settings)


def _warn_of_the_lost(allocator: Allocator, initial: Snapshot, losses: Mapping[str, float]) -> None:
    """Say at once what would be found out after the training: it may recover, so no error."""
    sums = allocator.ops.to_numpy(leaf_sums(allocator.ops, initial.params))
    leaves = [name for name, total in zip(initial.params, sums, strict=True) if not isfinite(total)]
    lost = {measure: loss for measure, loss in losses.items() if not isfinite(loss)}
    if leaves:
        msg = (
            f"The leaves {leaves} hold values that are not finite where the model stands. How far "
            "these move is no number, and no step is booked before it is one. Leave them out of "
            "what is followed, or make them finite: a mask by -1e9 in the place of -inf."
        )
    elif lost:
        told = ", ".join(f"of '{measure}' is {loss}" for measure, loss in lost.items())
        msg = (
            f"The loss {told} where the model stands, and no step is booked before it is a finite "
            "number. Look for inputs that are none, and for weights that are all zero."
        )
    else:
        return
    warnings.warn(msg, RuntimeWarning, stacklevel=4)


def _probes(allocator: Allocator, config: Mapping[str, Any]) -> dict[str, Any]:
    """Add the redrawn measures to the fixed probes that the adapter told; nothing for none."""
    redrawn = {measure: one.probed.to_json() for measure, one in allocator.redraws.items()}
    probes = {**config.get("probes", {}), **redrawn}
    return {"probes": probes} if probes else {}
