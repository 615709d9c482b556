"""A few examples of every part of a partition together: the whole's loss is a mean over them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from attrs import evolve

from lca_torch.checking import EXAMPLES
from lca_torch.cutting import joined
from lca_torch.looks import FEWEST
from lca_torch.losses import count
from lca_torch.sources import Sliced

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lca_torch.oracle import TorchOracle


def mixture(parts: Sequence[TorchOracle]) -> TorchOracle | None:
    """Return the loss over some examples of the parts, one after the other.

    Inside a class, a mean with class weights is a plain mean: only across classes is it seen.

    Args:
        parts: the losses over the parts; of very many, some all over them are looked at.

    Returns:
        The oracle; None where there is nothing to mix: one part, or batches that cannot be joined.
    """
    most = min(len(parts), EXAMPLES // FEWEST)
    some = [parts[place] for place in np.linspace(0, len(parts) - 1, most).astype(int)]
    if len(some) == 1 or any(part.source.uncut for part in some):
        return None
    batch = joined([part.source.first(EXAMPLES // most) for part in some])
    if batch is None:
        return None
    first = some[0]
    mixed = Sliced(batch, first.device, count(batch), 0, first.source.hand)
    oracle: TorchOracle = evolve(first, source=mixed, batch_size=mixed.examples, total=None)
    return oracle
