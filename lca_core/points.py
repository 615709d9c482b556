"""What a run goes on from: brought to the host at a point, and back to the device there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from attrs import evolve

from lca_core.packed import packed_like
from lca_core.typing import Checkpoint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lca_core.allocate import Allocator
    from lca_core.closing import State
    from lca_core.typing import Evaluation, ObserverState, Params


def point_at(allocator: Allocator, state: State, *, iteration: int, keep: bool) -> Checkpoint:
    """Bring what resuming needs to the host.

    Args:
        allocator: the functional core.
        state: where it stands.
        iteration: calls of `step` so far.
        keep: whether the user asked for it.
    """

    def host(leaves: Params) -> dict[str, np.ndarray]:
        return {name: allocator.ops.to_numpy(leaf) for name, leaf in leaves.items()}

    return Checkpoint(
        rows=state.index,
        iteration=iteration,
        params=host(state.snapshot.params),
        totals={
            measure: {name: host(leaves) for running in states for name, leaves in running.items()}
            for measure, states in state.running.items()
        },
        keep=keep,
        accounts=state.accounts,
    )


def restored(
    allocator: Allocator, state: State, checkpoint: Checkpoint, losses: Mapping[str, float]
) -> State:
    """Return the state at a checkpoint, on the device.

    Args:
        allocator: the functional core.
        state: a fresh one, at the same parameters.
        checkpoint: as the file holds it.
        losses: measure -> what the file holds there. That of a redrawn measure is of the sample
            that was looked at last, and stands until the next look.
    """
    ops = allocator.ops

    def restore(measure: str, running: ObserverState) -> ObserverState:
        stored = checkpoint.totals[measure]
        return {
            name: packed_like(
                {k: ops.from_numpy(stored[name][k], leaf) for k, leaf in leaves.items()}, leaves
            )
            for name, leaves in running.items()
        }

    def known(measure: str, found: Evaluation) -> Evaluation:
        return evolve(found, loss=ops.from_numpy(np.array(losses[measure]), found.loss))

    return evolve(
        state,
        index=checkpoint.rows,
        evaluations={
            measure: known(measure, found) if measure in allocator.redraws else found
            for measure, found in state.evaluations.items()
        },
        running={
            measure: tuple(restore(measure, running) for running in states)
            for measure, states in state.running.items()
        },
        accounts=checkpoint.accounts,
    )
