"""How an adapter makes the same core on other data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from lca_core.partition import Partition
from lca_core.probes import FixedProbe, Redrawn

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lca_core.allocate import Allocator
    from lca_core.typing import Snapshot
    from lca_core.ways import Kind


@frozen
class Remaking:
    """How an adapter makes the same core on other data.

    Args:
        data: measure -> data, as the user passed them.
        count: data -> how many examples they hold.
        make: (measure -> data, a probe or partition of them; the iterate) -> the core.
        activations: bytes that the activations of one chunk take at most.
    """

    data: Mapping[str, Any] = field(repr=False)
    count: Callable[[Any], int]
    make: Callable[[Mapping[str, Any], Snapshot], Allocator]
    activations: int = 0

    def sampled(self, kind: Kind, n: int) -> dict[str, Any]:
        """Return the data with samples in their places; small measures stay whole.

        Args:
            kind: "all", "probe", or "redrawn" for the first measure and a probe of the others.
            n: examples.
        """
        whole = {name: _whole(one) for name, one in self.data.items()}
        first = next(iter(whole))

        def one(name: str, data: Any) -> Any:
            if kind == "all" or self.count(data) <= n:
                return data
            if kind == "redrawn" and name == first:
                return Redrawn(data, n)
            return FixedProbe(data, n)

        return {name: one(name, data) for name, data in whole.items()}

    @property
    def samples(self) -> bool:
        """Whether a measure is looked at through a sample already."""
        return any(isinstance(one, (FixedProbe, Redrawn)) for one in self.data.values())

    @property
    def examples(self) -> int:
        """How many the first measure holds."""
        return self.count(_whole(next(iter(self.data.values()))))


def _whole(data: Any) -> Any:
    """Return all examples of what may be a sample or a partition of them."""
    return data.data if isinstance(data, (FixedProbe, Redrawn, Partition)) else data
