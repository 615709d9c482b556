"""Small leaves lie together in one tensor: one kernel instead of one a leaf."""

from __future__ import annotations

from functools import cache, cached_property
from itertools import accumulate, compress, pairwise
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import numpy as np
import torch
from attrs import frozen
from torch import Tensor

from lca_core import Leaf
from lca_torch.ops import TorchOps

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lca_core import Params

ALIGNMENT = 16
"""Every leaf begins at a multiple of so many elements: fast kernels want 16 bytes or more."""

LONGEST = 1 << 20
"""Elements of a tensor that several leaves share; a longer leaf lies by itself."""

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
        """Put neighbours of one type together, up to a length."""
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
        return tuple(
            torch.cat(
                [piece for leaf in bucket for piece in _filled(leaf, leaves[leaf.name], dtype)]
            )
            for bucket, dtype in zip(self.buckets, self.dtypes, strict=True)
        )

    def split(self, arrays: tuple[Any, ...]) -> dict[str, Tensor]:
        """Return the leaves as views."""
        views: dict[str, Tensor] = {}
        for places, sizes, array in zip(self._places, self._sizes, arrays, strict=True):
            # Unlike `split`, it lets a model write into one view without a care for the others.
            pieces = torch.unsafe_split_with_sizes(array, sizes)[::2]
            for (name, shape), piece in zip(places, pieces, strict=True):
                views[name] = piece if len(shape) == 1 else piece.view(shape)
        return views

    def sums(self, arrays: tuple[Any, ...]) -> Tensor:
        """Return the sum of every leaf, shape (leaves,), float64; int64 of booleans."""
        return self._summed([_handy(array) for array in arrays])

    def signs(self, arrays: tuple[Any, ...]) -> tuple[Tensor, Tensor]:
        """Return how many elements of every leaf are below zero, and above."""
        handy = [_handy(array) for array in arrays]
        return self._summed([one < 0 for one in handy]), self._summed([one > 0 for one in handy])

    def _summed(self, arrays: list[Any]) -> Tensor:
        pairs = zip(self._ends, arrays, strict=True)
        found = [_sums(array, ends) for ends, array in pairs]
        return found[0] if len(found) == 1 else torch.cat(found)

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
    def _ends(self) -> list[list[int]]:
        """Where the leaves of every bucket begin, and where the last one is filled up."""
        return [[0, *accumulate(map(_padded, bucket))] for bucket in self.buckets]


def widened(dtype: torch.dtype) -> torch.dtype:
    """Return float32 for the half-precision types, the type itself otherwise."""
    return torch.float32 if dtype in (torch.float16, torch.bfloat16) else dtype


def _handy(array: Tensor) -> Any:
    """Return what the host has at hand as NumPy sees it, which sums and compares in less time."""
    quick = array.device.type == "cpu" and array.numel() <= LONGEST
    return array.detach().numpy() if quick else array


def _sums(array: Any, ends: list[int]) -> Tensor:
    """Return the sums between neighbouring ends."""
    if isinstance(array, Tensor):
        return OPS.concat([OPS.sum(array[begin:end]) for begin, end in pairwise(ends)])
    if array.dtype == bool:
        counts = [np.count_nonzero(array[begin:end]) for begin, end in pairwise(ends)]
        return torch.tensor(counts)
    return torch.from_numpy(_float_sums(array, ends))


def _float_sums(array: np.ndarray, ends: list[int]) -> np.ndarray:
    """Return the sums in float64 in one go: widened piece by piece, added pairwise."""
    full = [begin < end for begin, end in pairwise(ends)]  # NumPy sums nothing to the next element
    begins = list(compress(ends, full))
    with np.errstate(invalid="ignore"):  # infinities of both signs
        found = np.add.reduceat(array, begins, dtype=np.float64)
    if len(found) == len(full):
        return found
    sums = np.zeros(len(full))
    sums[full] = found
    return sums


def _filled(leaf: Leaf, value: Any, dtype: torch.dtype) -> Iterator[Tensor]:
    """Yield a leaf as a vector, and what fills it up."""
    flat: Tensor = value.reshape(-1).to(dtype)
    yield flat
    if rest := _padded(leaf) - leaf.size:
        yield _filling(rest, dtype, flat.device)


@cache
def _filling(n: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return zeros, never written to, so that they need not be made at every step."""
    with torch.inference_mode(mode=False):
        return torch.zeros(n, dtype=dtype, device=device)


def _padded(leaf: Leaf) -> int:
    return -(-leaf.size // ALIGNMENT) * ALIGNMENT


def _length(bucket: Bucket) -> int:
    return sum(map(_padded, bucket))
