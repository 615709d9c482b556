"""What a forward pass keeps for its backward pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from lca_torch.measured import Measured
    from lca_torch.members import Members


def show_saved(
    see: Callable[[Tensor], object],
    measured: Measured,
    live: Members,
    points: Mapping[str, Tensor],
    batch: Any,
) -> None:
    """Show every tensor that a forward pass keeps for its backward pass, as it is kept.

    Args:
        see: looks at one.
        measured: model and loss.
        live: what the model is made of.
        points: key of a parameter -> what stands in for it.
        batch: on the device.
    """

    def pack(tensor: Tensor) -> Tensor:
        see(tensor)
        return tensor.detach()  # the tensor itself, an output too, would hold its graph for ever

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        kept: list[Tensor] = []  # alive, so that no storage is used twice
        measured.evaluate(live, points, {}, [batch], lambda found: kept.append(found.losses))
