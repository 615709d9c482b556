"""Data sets as chunks on the device, the same examples at every pass."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import keras
from attrs import evolve, frozen

from lca_core import mixing
from lca_core.chunks import even_cuts
from lca_core.errors import DataError
from lca_core.partition import check_length
from lca_keras.backends import BACKEND
from lca_keras.batches import Batch, checksum, form, hosted, joined, put, rows, size_of, weighed

if TYPE_CHECKING:
    import numpy as np

_COMPARED, _FORMS = 2, 4
_RESIDENT_SHARE = 0.25


@frozen(eq=False)
class Resident:
    """A data set on the device.

    Args:
        whole: tensors of the backend.
        crc32: a fingerprint of all values, in order.
    """

    whole: Batch
    crc32: int

    @property
    def examples(self) -> int:
        """How many there are."""
        return self.whole.examples

    @property
    def arrays(self) -> list[Any]:
        """All tensors, in order."""
        return self.whole.arrays

    @property
    def form(self) -> tuple[int, str]:
        """What data that one program serves have in common."""
        return self.examples, form(self.whole)

    def filled(self, arrays: Iterable[Any]) -> Resident:
        """Return a data set of the same form with other tensors."""
        return evolve(self, whole=self.whole.filled(arrays))

    def cut(self, start: Any, size: int) -> Batch:
        """Return examples start to start + size."""
        return self.whole.map(lambda tensor: BACKEND.cut(tensor, start, size))

    def first(self, size: int) -> Batch:
        """Return up to `size` of the first examples."""
        return self.cut(0, min(size, self.examples))

    def spread(self, size: int) -> Batch:
        """Return examples spread over all; again where there are fewer."""
        return self.whole.map(lambda tensor: spread(tensor, size))

    def spreads(self, size: int) -> list[Batch]:
        """Return them as all the forms that there are."""
        return [self.spread(size)]


@frozen(eq=False)
class Streamed:
    """A data set read anew at every pass, checked to be the same.

    Args:
        read: gives all batches, as arrays of the host.
        examples: how many there are.
        crc32: a fingerprint of all values, in order.
    """

    read: Callable[[], Iterable[Batch]]
    examples: int
    crc32: int

    @property
    def form(self) -> int:
        """What data that one program serves have in common; it is handed batches of any form."""
        return self.examples

    def batches(self, size: int) -> Iterator[Batch]:
        """Yield the batches as they come, cut to at most `size` examples.

        Raises:
            DataError: the values are not those of the first pass.
        """
        crc = 0
        for batch in self.read():
            crc = checksum(batch, crc)
            for begin, end in itertools.pairwise(even_cuts(batch.examples, size)):
                yield put(rows(batch, begin, end))
        if crc != self.crc32:
            msg = (
                "The data changed between two passes: they are shuffled or augmented at random. "
                "Pass data in a fixed order without random augmentation."
            )
            raise DataError(msg)

    def first(self, size: int) -> Batch:
        """Return up to `size` examples of the first batch."""
        for batch in self.read():
            return put(rows(batch, 0, size))
        raise _empty()

    def spread(self, size: int) -> Batch:
        """Return up to about `size` examples of the first batch's form, spread over all."""
        return self.spreads(size)[0]

    def spreads(self, size: int) -> list[Batch]:
        """Return such examples of every form that batches have, of the first few of many."""
        stride = max(1, -(-self.examples // size))
        kept: dict[Any, list[Batch]] = {}
        seen: dict[Any, int] = {}
        for batch in self.read():
            key = form(batch)
            if key not in kept and len(kept) == _FORMS:
                continue
            begin = -seen.get(key, 0) % stride  # of every form, so that the first one is in
            some = batch.map(lambda array: array[begin::stride])  # noqa: B023
            kept.setdefault(key, []).append(some)
            seen[key] = seen.get(key, 0) + batch.examples
        if not kept:
            raise _empty()
        return [put(joined(batches)) for batches in kept.values()]


Source: TypeAlias = Resident | Streamed


def spread(tensor: Any, size: int) -> Any:
    """Return rows of a tensor, spread over all; again where there are fewer."""
    places = mixing.spread(int(tensor.shape[0]), size)
    return keras.ops.take(tensor, keras.ops.convert_to_tensor(places, "int32"), axis=0)


def resident(whole: Batch) -> Resident:
    """Bring a batch with all examples to the device.

    Args:
        whole: arrays of the host.

    Raises:
        DataError: there are no examples.
    """
    if whole.examples == 0:
        raise _empty()
    return Resident(put(whole), checksum(whole))


def source(data: Any, class_weight: Mapping[int, float] | None = None) -> Source:
    """Return data as a source: on the device when they fit, streamed otherwise.

    Args:
        data: a tuple (x, y) or (x, y, sample_weight) of arrays in nested lists and dicts, or
            anything that gives such batches again and again: a `tf.data.Dataset`, a
            `keras.utils.PyDataset`, a `DataLoader`, a list.
        class_weight: class -> weight of its examples, as in `fit`.

    Raises:
        DataError: no examples, lengths that differ, data without end, an iterator that can be
            read only once, data that differ between two readings.
    """

    def ready(batch: Any) -> Batch:
        return weighed(hosted(batch), class_weight)

    if isinstance(data, tuple):
        whole = ready(data)
        if size_of(whole) <= _room():
            return resident(whole)
        return Streamed(lambda: [whole], whole.examples, checksum(whole))
    read = _reader(data)
    return _from_batches(lambda: map(ready, read()))


def take(data: Any, places: np.ndarray, examples: int) -> Any:
    """Return some examples of data, as data.

    Args:
        data: a tuple of arrays, (x, y) or (x, y, sample_weight).
        places: of the examples.
        examples: how many the data should hold.

    Raises:
        DataError: they hold another number, or cannot be picked one by one.
    """
    if not isinstance(data, tuple):
        raise _not_one_by_one(data)
    whole = hosted(data)
    check_length(whole.examples, examples)
    part = whole.map(lambda array: array[places])
    return part.x, part.y, part.weight


def examples_in(data: Any) -> int:
    """Return how many examples data hold that `take` can pick from.

    Raises:
        DataError: they cannot be picked one by one.
    """
    if not isinstance(data, tuple):
        raise _not_one_by_one(data)
    return hosted(data).examples


def _reader(data: Any) -> Callable[[], Iterable[Any]]:
    """Return a function that reads the data from the start."""
    _refuse_dropping(data)
    if isinstance(data, keras.utils.PyDataset):
        batches = data.num_batches
        if batches is None:
            raise _endless("The PyDataset")
        return lambda: (data[i] for i in range(batches))
    # -1 is what tf.data calls infinite.
    if callable(getattr(data, "cardinality", None)) and int(data.cardinality()) == -1:
        raise _endless("The tf.data.Dataset")
    # A bare array would be iterated row by row.
    unreadable = isinstance(data, (Iterator, Mapping, str)) or hasattr(data, "shape")
    if unreadable or not isinstance(data, Iterable):
        msg = (
            f"Data must be readable again and again, got {type(data).__name__}. Pass arrays "
            "(x, y), or (x,) where no targets are needed, a tf.data.Dataset, a PyDataset, or a "
            "list of batches."
        )
        raise DataError(msg)
    return lambda: data


def _refuse_dropping(data: Any) -> None:
    """Refuse loaders that leave out the last examples, or may.

    Raises:
        DataError: they do.
    """
    last = _batched(data)
    dropping = getattr(last, "_drop_remainder", getattr(last, "drop_last", False))
    if not dropping:
        return
    size = getattr(last, "_batch_size", getattr(last, "batch_size", None))
    examples = _examples_of(getattr(last, "_input_dataset", getattr(last, "dataset", None)))
    if not size or examples is None or examples % int(size):
        left = f" {examples % int(size)} of {examples}" if size and examples else ""
        msg = (
            f"The {type(data).__name__} drops the last{left} examples, or may. Every example "
            "must count: leave out drop_last=True or drop_remainder=True."
        )
        raise DataError(msg)


def _batched(data: Any) -> Any:
    """Return what makes the batches: of a `tf.data.Dataset`, the last of its parts that does.

    Parts before it make examples, of so many characters of a text, say.
    """
    while not hasattr(data, "_drop_remainder") and hasattr(data, "_input_dataset"):
        data = data._input_dataset
    return data


def _examples_of(data: Any) -> int | None:
    """Return how many examples there are, where that is known."""
    if callable(getattr(data, "cardinality", None)):
        known = int(data.cardinality())
        return known if known >= 0 else None
    return len(data) if hasattr(data, "__len__") else None


def _from_batches(read: Callable[[], Iterable[Batch]]) -> Source:
    """Read once; keep everything if it fits, else only its length and fingerprint."""

    def guarded(seed: int = 0) -> Iterator[Batch]:
        with BACKEND.untouched(seed):
            yield from read()

    kept: list[Batch] | None = []
    first: list[int] = []
    examples = crc = size = 0
    for batch in guarded():
        examples += batch.examples
        crc = checksum(batch, crc)
        size += size_of(batch)
        if len(first) < _COMPARED:
            first.append(crc)
        if kept is not None:
            kept.append(batch)
        if size > _room():
            kept = None
    if examples == 0:
        raise _empty()
    _check_repeatable(first, guarded(seed=1))
    if kept is not None and len({form(batch) for batch in kept}) == 1:
        return Resident(put(joined(kept)), crc)
    return Streamed(guarded, examples, crc)


def _check_repeatable(first: list[int], again: Iterator[Batch]) -> None:
    """Read the first batches once more, with other random streams."""
    crc = 0
    for expected, batch in zip(first, again, strict=False):
        crc = checksum(batch, crc)
        if crc != expected:
            msg = (
                "Two readings of the data differ: they are shuffled or augmented at random. Pass "
                "them in a fixed order, without random augmentation."
            )
            raise DataError(msg)


def _room() -> float:
    """Return how many bytes of data may stay in memory."""
    if hasattr(os, "sysconf") and "SC_AVPHYS_PAGES" in os.sysconf_names:
        return _RESIDENT_SHARE * os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return 2.0**30


def _endless(what: str) -> DataError:
    return DataError(f"{what} never ends; LCA needs every example once: leave out repeat().")


def _not_one_by_one(data: Any) -> DataError:
    return DataError(
        "A partition or a probe picks examples one by one: pass arrays (x, y), got "
        f"{type(data).__name__}."
    )


def _empty() -> DataError:
    return DataError("The data set is empty; LCA needs at least one example.")
