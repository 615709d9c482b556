"""A few examples of every part of a partition together: the whole's loss is a mean over them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import evolve

from lca_core.mixing import mixed, spread
from lca_torch.checking import EXAMPLES
from lca_torch.cutting import joined
from lca_torch.losses import count
from lca_torch.sources import Sliced

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from lca_torch.oracle import TorchOracle
    from lca_torch.sources import Source


def mixture(parts: Sequence[TorchOracle]) -> TorchOracle | None:
    """Return the loss over some examples of the parts, one after the other.

    Inside a class, a mean with class weights is a plain mean: only across classes is it seen.

    Args:
        parts: the losses over the parts; of very many, some all over them are looked at.

    Returns:
        The oracle; None where there is nothing to mix: one part, or batches that cannot be joined.
    """
    chosen, each = mixed([part.source.examples for part in parts], EXAMPLES)
    some = [parts[place] for place in chosen]
    if len(some) == 1 or any(part.source.uncut for part in some):
        return None
    first = some[0]
    batch = joined([_spread(part.source, first.device, each) for part in some])
    if batch is None:
        return None
    source = Sliced(batch, first.device, count(batch), 0, first.source.hand)
    oracle: TorchOracle = evolve(first, source=source, batch_size=source.examples, total=None)
    return oracle


def _spread(source: Source, device: torch.device, size: int) -> Any:
    """Return examples spread over all, or over the first ones where batches are not joined."""
    if not isinstance(source, Sliced):
        batch = source.first(size)
        source = Sliced(batch, device, count(batch), 0)
    return source.pick(spread(source.examples, size)).whole
