"""Data sets as chunks on the model's device, the same examples at every pass."""

from __future__ import annotations

import itertools
import zlib
from typing import TYPE_CHECKING, Any, Protocol

import torch
from attrs import define, field
from torch import Tensor
from torch.utils import _pytree as pytree

from lca_core.chunks import even_cuts
from lca_core.errors import DataError
from lca_torch.cutting import check_uncut, on_device
from lca_torch.handing import Batch, Handing, copied
from lca_torch.losses import count

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import numpy as np


class Source(Protocol):
    """A data set that can be passed over any number of times."""

    @property
    def examples(self) -> int:
        """How many there are."""

    @property
    def crc32(self) -> int:
        """A fingerprint of all values, in order."""

    def batches(self, size: int) -> Iterator[Any]:
        """Yield every example once, in order, in batches on the device."""

    @property
    def hand(self) -> Handing:
        """How its batches go to the model."""

    @property
    def uncut(self) -> int:
        """Examples in its largest batch, where they cannot be cut; 0 where they can."""

    def first(self, size: int) -> Any:
        """Return a copy of the first examples, as a batch."""


@define
class Sliced:
    """A batch in memory, cut into even slices; of data that cannot be cut, handed out whole."""

    whole: Any
    device: torch.device
    examples: int
    crc32: int
    hand: Handing = field(factory=Handing)
    uncut: int = 0
    _views: dict[int, list[Batch]] = field(factory=dict, repr=False)

    def batches(self, size: int) -> Iterator[Any]:
        """Yield slices that differ by at most one example.

        Raises:
            DataError: a batch that cannot be cut is larger; the model wrote into the data.
        """
        if size not in self._views:
            slices = map(Batch.of, self._slices(size))
            if not self._resident():
                for one in slices:
                    yield from self.hand.out(one)
                return
            # Views of what is there already: cutting anew takes as long as a small kernel.
            self._views[size] = list(slices)
        for one in self._views[size]:
            yield from self.hand.out(one)

    def first(self, size: int) -> Any:
        """Return a copy of the first `size` examples; of data that cannot be cut, of all."""
        if self.uncut:
            return copied(on_device(self.whole, self.device))
        return copied(self.cut(0, min(size, self.examples)))

    def cut(self, begin: int, end: int) -> Any:
        """Return some neighbouring examples, on the device."""
        return pytree.tree_map_only(
            Tensor, lambda t: t[begin:end].to(self.device, non_blocking=True), self.whole
        )

    def pick(self, places: np.ndarray) -> Sliced:
        """Return chosen examples, as a data set on the device; its fingerprint is not taken.

        Args:
            places: of the examples, shape (n,).
        """
        # One upload, and a gather where the data are: no loop over examples.
        wanted = torch.from_numpy(places)
        picked = pytree.tree_map_only(
            Tensor,
            lambda t: t[wanted.to(t.device, non_blocking=True)].to(self.device),
            self.whole,
        )
        return Sliced(picked, self.device, len(places), 0, self.hand)

    def _slices(self, size: int) -> Iterator[Any]:
        if self.uncut:
            check_uncut(self.whole, self.examples, size)
            yield on_device(self.whole, self.device)
            return
        for begin, end in itertools.pairwise(even_cuts(self.examples, size)):
            yield self.cut(begin, end)

    def _resident(self) -> bool:
        tensors = (t for t in pytree.tree_leaves(self.whole) if isinstance(t, Tensor))
        return all(tensor.device == self.device for tensor in tensors)


@define
class Kept:
    """Batches in memory that cannot be joined: padded to several lengths, or never to be cut."""

    parts: list[Sliced]
    examples: int
    crc32: int
    hand: Handing
    uncut: int

    def batches(self, size: int) -> Iterator[Any]:
        """Yield the loader's own batches, cut to `size` where they can be."""
        for part in self.parts:
            yield from part.batches(size)

    def first(self, size: int) -> Any:
        """Return a copy of up to `size` examples of the first batch."""
        return self.parts[0].first(size)


@define
class Streamed:
    """A data set read anew at every pass, checked to be the same."""

    read: Callable[[], Iterable[Any]]
    device: torch.device
    examples: int
    crc32: int
    uncut: int = 0
    # What is read may be the user's own tensors, and a copy costs less than a fingerprint.
    hand: Handing = field(factory=lambda: Handing(copies=True))

    def batches(self, size: int) -> Iterator[Any]:
        """Yield the loader's own batches, cut to `size`.

        Raises:
            DataError: the values are not those of the first pass.
        """
        crc = 0
        for batch in self.read():
            crc = checksum(batch, crc)
            yield from self._sliced(batch).batches(size)
        if crc != self.crc32:
            msg = (
                "The data changed between two passes: the loader shuffles, augments at random "
                "or draws differently. Pass data in a fixed order without random augmentation."
            )
            raise DataError(msg)

    def first(self, size: int) -> Any:
        """Return up to `size` examples of the first batch."""
        for batch in self.read():
            return self._sliced(batch).first(size)
        raise no_examples()

    def _sliced(self, batch: Any) -> Sliced:
        return Sliced(batch, self.device, count(batch), 0, self.hand, self.uncut)


def checksum(batch: Any, crc: int = 0) -> int:
    """Return the CRC-32 of all values of a batch, continuing `crc`."""
    for leaf in pytree.tree_leaves(batch):
        if isinstance(leaf, Tensor):
            flat = leaf.detach().cpu().contiguous().reshape(-1)
            crc = zlib.crc32(flat.view(torch.uint8).numpy().data if flat.numel() else b"", crc)
        else:
            crc = zlib.crc32(repr(leaf).encode(), crc)
    return crc


def no_examples() -> DataError:
    """Return the error of empty data."""
    return DataError("The data set is empty; LCA needs at least one example.")
