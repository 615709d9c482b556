"""Small leaves lie together in one tensor: one kernel instead of one a leaf."""

from __future__ import annotations

from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, Self, TypeAlias, cast

import torch
from attrs import evolve, frozen
from torch import Tensor

from lca_core import Leaf
from lca_core.observers.distribution import BINS
from lca_core.packed import Packed
from lca_torch.handy import LONGEST, handy
from lca_torch.ops import TorchOps
from lca_torch.segments import Segments

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lca_core import Params

ALIGNMENT = 16
"""Every leaf begins at a multiple of so many elements: fast kernels want 16 bytes or more."""

LONG = 16
"""Elements of a unit on average, from which on few units are to be added to leaves."""

OPS = TorchOps()

Bucket: TypeAlias = tuple[Leaf, ...]


@frozen
class TorchPacking:
    """`lca_core.packed.Packing` for tensors.

    Args:
        buckets: the leaves that share a tensor, in the order of the layout.
        dtypes: the type of every bucket.
    """

    buckets: tuple[Bucket, ...]
    dtypes: tuple[torch.dtype, ...]

    @classmethod
    def of(cls, leaves: Iterable[Leaf], longest: int = LONGEST) -> Self:
        """Put neighbours of one type together, up to a length; a longer leaf lies by itself."""
        buckets: list[Bucket] = []
        dtypes: list[torch.dtype] = []
        for leaf in leaves:
            dtype = widened(getattr(torch, leaf.dtype))
            if buckets and dtypes[-1] == dtype and _length((*buckets[-1], leaf)) <= longest:
                buckets[-1] = (*buckets[-1], leaf)
            else:
                buckets.append((leaf,))
                dtypes.append(dtype)
        return cls(tuple(buckets), tuple(dtypes))

    def pack(self, leaves: Params) -> tuple[Tensor, ...]:
        """Copy leaves together."""
        parts = zip(self._places, self._sizes, self.dtypes, strict=True)
        return tuple(torch.cat(_filled(*part, leaves)) for part in parts)

    def split(self, arrays: tuple[Any, ...]) -> dict[str, Tensor]:
        """Return the leaves as views."""
        views: dict[str, Tensor] = {}
        for places, sizes, array in zip(self._places, self._sizes, arrays, strict=True):
            # Unlike `split`, it lets a model write into one view without a care for the others.
            pieces = torch.unsafe_split_with_sizes(array, sizes)[::2]
            for (name, shape), piece in zip(places, pieces, strict=True):
                views[name] = piece if len(shape) == 1 else piece.view(shape)
        return views

    def sums(self, leaves: Packed) -> Tensor:
        """Return the sum of every leaf, shape (leaves,), float64; int64 of booleans."""
        at_hand = [handy(array) for array in leaves.arrays]
        if self._long_units and all(_are_numbers(one) for one in at_hand):
            # Their units are summed by then, or soon will be: no second pass over all elements.
            return self._units_of_leaves.sums(handy(cast("Tensor", leaves.unit_sums)))
        return self._by_leaf(at_hand)

    def signs(self, arrays: tuple[Any, ...]) -> tuple[Tensor, Tensor]:
        """Return how many elements of every leaf are below zero, and above."""
        at_hand = [handy(array) for array in arrays]
        return self._by_leaf([one < 0 for one in at_hand]), self._by_leaf(
            [one > 0 for one in at_hand]
        )

    def unit_sums(self, arrays: tuple[Any, ...]) -> Tensor:
        """Return the sum of every unit of every leaf, shape (units,), float64."""
        at_hand = [handy(array) for array in arrays]
        if any(isinstance(one, Tensor) for one in at_hand) or None in self._units:
            views = self.split(arrays)
            return OPS.concat(
                [OPS.sum(views[leaf.name], keep=leaf.unit_axis) for leaf in self._all]
            )
        return _joined(
            [units.sums(one) for units, one in zip(self._units, at_hand, strict=True) if units]
        )

    def histograms(self, arrays: tuple[Any, ...]) -> Packed:
        """Return a histogram of every leaf; they lie together."""
        views = self.split(arrays)
        return Packed.of({name: OPS.histogram(views[name]) for name in views}, self._counted)

    @cached_property
    def _counted(self) -> TorchPacking:
        """How the histograms lie."""
        return TorchPacking.of(evolve(leaf, shape=(BINS,), aliases=()) for leaf in self._all)

    def _by_leaf(self, arrays: list[Any]) -> Tensor:
        pairs = zip(self._leaves, arrays, strict=True)
        return _joined([leaves.sums(array) for leaves, array in pairs])

    @cached_property
    def _all(self) -> list[Leaf]:
        return [leaf for bucket in self.buckets for leaf in bucket]

    @cached_property
    def _long_units(self) -> bool:
        """Whether units lie in one piece, and are so long that there are few of them to add."""
        units = sum(leaf.units for leaf in self._all)
        return None not in self._units and sum(leaf.size for leaf in self._all) >= LONG * units

    @cached_property
    def _units_of_leaves(self) -> Segments:
        """The leaves among the sums of their units."""
        return Segments(tuple(leaf.units for leaf in self._all))

    @cached_property
    def _places(self) -> list[list[tuple[str, tuple[int, ...]]]]:
        return [[(leaf.name, leaf.shape) for leaf in bucket] for bucket in self.buckets]

    @cached_property
    def _sizes(self) -> list[list[int]]:
        """Lengths of the leaves of every bucket, each followed by what fills it up."""
        return [
            [n for leaf in bucket for n in (leaf.size, _padded(leaf) - leaf.size)]
            for bucket in self.buckets
        ]

    @cached_property
    def _leaves(self) -> list[Segments]:
        """The leaves of every bucket, each with what fills it up."""
        return [Segments(tuple(map(_padded, bucket))) for bucket in self.buckets]

    @cached_property
    def _units(self) -> list[Segments | None]:
        """Likewise their units; None where not all of them lie in one piece."""
        return [
            Segments(tuple(n for leaf in bucket for n in _unit_lengths(leaf)))
            if all(leaf.unit_axis in (0, None) for leaf in bucket)
            else None
            for bucket in self.buckets
        ]


def widened(dtype: torch.dtype) -> torch.dtype:
    """Return float32 for the half-precision types, the type itself otherwise."""
    return torch.float32 if dtype in (torch.float16, torch.bfloat16) else dtype


def _are_numbers(one: Any) -> bool:
    """Return whether these are NumPy's, and no booleans, which are counted by themselves."""
    return not isinstance(one, Tensor) and one.dtype != bool


def _joined(vectors: list[Tensor]) -> Tensor:
    return vectors[0] if len(vectors) == 1 else torch.cat(vectors)


def _unit_lengths(leaf: Leaf) -> list[int]:
    """Return the lengths of a leaf's units, the last one with what fills it up."""
    if not leaf.units:
        return []
    lengths = [leaf.size // leaf.units] * leaf.units
    lengths[-1] += _padded(leaf) - leaf.size
    return lengths


def _filled(
    places: Sequence[tuple[str, tuple[int, ...]]],
    sizes: Sequence[int],
    dtype: torch.dtype,
    leaves: Params,
) -> list[Tensor]:
    """Return the leaves of a bucket as vectors, each followed by what fills it up.

    In one loop, and nothing is called in vain: where caches are cold, all of it is felt.
    """
    pieces: list[Tensor] = []
    for (name, _), rest in zip(places, sizes[1::2], strict=True):
        flat = cast("Tensor", leaves[name]).reshape(-1)
        pieces.append(flat if flat.dtype is dtype else flat.to(dtype))
        if rest:
            pieces.append(_filling(rest, dtype, flat.device))
    return pieces


@cache
def _filling(n: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return zeros, never written to, so that they need not be made at every step."""
    with torch.inference_mode(mode=False):
        return torch.zeros(n, dtype=dtype, device=device)


def _padded(leaf: Leaf) -> int:
    return -(-leaf.size // ALIGNMENT) * ALIGNMENT


def _length(bucket: Bucket) -> int:
    return sum(map(_padded, bucket))
