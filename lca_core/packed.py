"""Leaves that lie together in few arrays, or are made only for who reads them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from attrs import field, frozen

if TYPE_CHECKING:
    from lca_core.typing import Array, Params


class Packing(Protocol):
    """Which leaf lies where; an adapter's own."""

    def pack(self, leaves: Params) -> tuple[Array, ...]:
        """Copy leaves into the arrays that they lie in."""

    def split(self, arrays: tuple[Array, ...]) -> Params:
        """Return the leaves as views of these arrays, in the order of the layout."""

    def sums(self, leaves: Packed) -> Array:
        """Return the sum of every leaf as `ArrayOps.sum` does, shape (leaves,)."""

    def signs(self, arrays: tuple[Array, ...]) -> tuple[Array, Array]:
        """Return how many elements of every leaf are below zero, and above: shapes (leaves,)."""

    def unit_sums(self, arrays: tuple[Array, ...]) -> Array:
        """Return the sum of every unit of every leaf, shape (units,), float64."""

    def histograms(self, arrays: tuple[Array, ...]) -> Params:
        """Return a histogram of every leaf as `ArrayOps.histogram` does."""


class Lazy(Mapping[str, Any]):
    """Named leaves that are made when somebody reads them; reads like any `Params`."""

    __slots__ = ()

    @property
    @abstractmethod
    def made(self) -> Params:
        """The leaves themselves, in the order of the layout; made once."""

    def __getitem__(self, name: str) -> Any:
        """Return a leaf."""
        return self.made[name]

    def __iter__(self) -> Iterator[str]:
        """Go through the names."""
        return iter(self.made)

    def __len__(self) -> int:
        """Count the leaves."""
        return len(self.made)


@frozen(eq=False)
class Packed(Lazy):
    """Leaves as views of the few arrays that they lie in; `lca_core.leafwise.each` works on those.

    Args:
        arrays: what the leaves lie in; what fills them up is zero and counts nowhere.
        packing: which leaf lies where.
    """

    arrays: tuple[Any, ...]
    packing: Packing = field(repr=False)

    @classmethod
    def of(cls, leaves: Params, packing: Packing) -> Packed:
        """Copy leaves together."""
        return cls(packing.pack(leaves), packing)

    @cached_property
    def made(self) -> Params:
        """The views."""
        return self.packing.split(self.arrays)

    @cached_property
    def unit_sums(self) -> Array:
        """The sum of every unit, added up once: shape (units,), float64."""
        return self.packing.unit_sums(self.arrays)


@frozen(eq=False)
class Deferred(Lazy):
    """Leaves that few ask for.

    Args:
        make: returns them.
    """

    make: Callable[[], Params] = field(repr=False)

    @cached_property
    def made(self) -> Params:
        """What `make` returned, packed or not."""
        return self.make()


def made(leaves: Params) -> Params:
    """Return leaves as they are, deferred ones made: compilers know no containers of ours."""
    return leaves.made if isinstance(leaves, Deferred) else leaves


def arrays_of(leaves: Params) -> tuple[Any, ...]:
    """Return what leaves lie in: the packed arrays, or simply every leaf."""
    return leaves.arrays if isinstance(leaves, Packed) else tuple(leaves.values())


def from_arrays(arrays: tuple[Any, ...], like: Params) -> Params:
    """Return leaves that lie in arrays as those of `like` do; the opposite of `arrays_of`."""
    if isinstance(like, Packed):
        return Packed(arrays, like.packing)
    return dict(zip(like, arrays, strict=True))


def packed_like(leaves: Params, like: Params) -> Params:
    """Copy leaves together if those of `like` lie together."""
    return Packed.of(leaves, like.packing) if isinstance(like, Packed) else leaves


def lie_alike(one: Params, other: Params) -> bool:
    """Return whether both are packed in one way, so that they have the same leaves and shapes."""
    if isinstance(one, Packed) and isinstance(other, Packed):
        return one.packing is other.packing
    return False


def aligned(leaves: tuple[Params, ...]) -> tuple[Params, ...]:
    """Return sets of leaves that all lie as the first one does, else each leaf by itself."""
    leaves = tuple(map(made, leaves))
    first = leaves[0]
    if all(lie_alike(first, one) for one in leaves):
        return leaves
    return tuple({name: one[name] for name in first} for one in leaves)
