"""What a run goes on from: brought to the host at a point, and back to the device there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lca_core.packed import packed_like
from lca_core.typing import Checkpoint

if TYPE_CHECKING:
    import numpy as np

    from lca_core.allocate import Allocator
    from lca_core.closing import State
    from lca_core.typing import ObserverState, Params


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
    )


def restored(
    allocator: Allocator, state: State, checkpoint: Checkpoint
) -> dict[str, tuple[ObserverState, ...]]:
    """Return the running arrays of a checkpoint, on the device.

    Args:
        allocator: the functional core.
        state: a fresh one, for the types and places of its arrays.
        checkpoint: as the file holds it.
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

    return {
        measure: tuple(restore(measure, running) for running in states)
        for measure, states in state.running.items()
    }
