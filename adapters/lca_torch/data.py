"""The forms in which users pass data, read and brought to where the model is."""

from __future__ import annotations

import functools
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils import _pytree as pytree
from torch.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    Subset,
    TensorDataset,
    default_collate,
)

from lca_core.errors import DataError
from lca_core.partition import check_length
from lca_torch.cutting import can_be_cut, first_lengths, joined, on_device
from lca_torch.handing import Handing
from lca_torch.loaders import Reader
from lca_torch.losses import count
from lca_torch.sources import Kept, Sliced, Source, Streamed, checksum, no_examples

_READ_AT_ONCE = 512
_COMPARED = 2
_RESIDENT_SHARE = 0.25


def source(data: Any, device: torch.device) -> Source:
    """Return data as a source: resident on the device when it fits, streamed otherwise.

    Args:
        data: a tuple or dict of tensors or numpy arrays with examples along the first axis, a
            map-style `Dataset`, a `DataLoader` in fixed order, or any re-iterable of batches.
        device: where the model is.

    Raises:
        DataError: no examples, lengths that differ, a loader that shuffles or drops, an
            iterator that can be read only once, data that differ between two readings.
    """
    _check_clear(data)
    if isinstance(data, TensorDataset):
        return _in_memory(tuple(data.tensors), device)
    if _is_arrays(data):
        return _in_memory(_tensors(data), device)
    if isinstance(data, DataLoader):
        return _from_batches(Reader.of(data, device))
    if isinstance(data, Dataset) and not isinstance(data, IterableDataset):
        return _from_batches(Reader(lambda: _read_dataset(data), device))
    if isinstance(data, Iterator) or not isinstance(data, Iterable):
        msg = (
            f"Data must be readable again and again, got {type(data).__name__}. Pass tensors, "
            "a Dataset, a DataLoader, or a list of batches."
        )
        raise DataError(msg)
    return _from_batches(Reader(lambda: data, device))


def take(data: Any, places: np.ndarray, examples: int) -> Any:
    """Return some examples of data, as data.

    Args:
        data: tensors or arrays, or a map-style `Dataset`.
        places: of the examples.
        examples: how many the data should hold.

    Raises:
        DataError: they hold another number, or cannot be picked one by one.
    """
    if isinstance(data, TensorDataset):
        data = tuple(data.tensors)
    if _is_arrays(data):
        tensors = _tensors(data)
        check_length(count(tensors), examples)
        return pytree.tree_map_only(
            Tensor, lambda t: t[torch.as_tensor(places, device=t.device)], tensors
        )
    if isinstance(data, Dataset) and not isinstance(data, IterableDataset):
        sized: Any = data
        check_length(len(sized), examples)
        return Subset(data, places.tolist())
    raise _not_one_by_one(data)


def examples_in(data: Any) -> int:
    """Return how many examples data hold that `take` can pick from.

    Raises:
        DataError: they cannot be picked one by one.
    """
    if isinstance(data, TensorDataset):
        return len(data)
    if _is_arrays(data):
        return count(_tensors(data))
    if isinstance(data, Dataset) and not isinstance(data, IterableDataset):
        sized: Any = data
        return len(sized)
    raise _not_one_by_one(data)


def _check_clear(data: Any) -> None:
    """Refuse bare tensors that could be one data set or several batches of one."""
    bare = (Tensor, np.ndarray)
    if isinstance(data, bare):
        msg = (
            f"Data of a single {type(data).__name__} could be one batch or many. Pass (x,) for "
            "one data set whose batches are (inputs,), or a list of batches."
        )
        raise DataError(msg)
    if isinstance(data, list) and data and all(isinstance(part, bare) for part in data):
        msg = (
            "A list of bare tensors could be inputs and targets, or batches. Pass a tuple, "
            "(inputs, targets), or a list of batches that are tuples, [(x1,), (x2,)]."
        )
        raise DataError(msg)


def _is_arrays(data: Any) -> bool:
    if isinstance(data, Mapping):
        data = list(data.values())
    is_sequence = isinstance(data, (tuple, list)) and len(data) > 0
    return is_sequence and all(isinstance(part, (Tensor, np.ndarray)) for part in data)


def _tensors(data: Any) -> Any:
    if isinstance(data, Mapping):
        return {key: _tensor(part) for key, part in data.items()}
    parts = tuple(map(_tensor, data))
    named: Any = type(data) if hasattr(data, "_fields") else None
    return named(*parts) if named else parts


def _tensor(part: Any) -> Any:
    if not isinstance(part, np.ndarray):
        return part
    if part.dtype.kind not in "biufc":
        msg = (
            f"Data must be numbers that PyTorch knows, got an array of dtype {part.dtype}. Encode "
            "words as integers."
        )
        raise DataError(msg)
    if any(stride < 0 for stride in part.strides) or not part.dtype.isnative:
        part = part.astype(part.dtype.newbyteorder("="))
    with warnings.catch_warnings():
        # Read-only arrays, as files mapped into memory: a model that writes gets copies.
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.as_tensor(part)


def _in_memory(whole: Any, device: torch.device) -> Source:
    lengths = first_lengths(whole)
    if len(lengths) != 1:
        msg = (
            "All parts of the data need the same number of examples along their first axis, got "
            f"{sorted(lengths)}, 0 for a number alone. Data that come in batches of several "
            "lengths are a list of batches."
        )
        raise DataError(msg)
    (examples,) = lengths
    if examples == 0:
        raise no_examples()
    crc = checksum(whole)
    if _size(whole) <= _room(device):
        whole = on_device(whole, device)
    return Sliced(whole, device, examples, crc)


def _from_batches(read: Reader) -> Source:
    """Read once; keep everything if it fits, else only its length and fingerprint."""
    kept: list[Any] | None = []
    first: list[int] = []
    examples = crc = size = largest = 0
    cuttable = True
    for batch in read():
        examples += count(batch)
        largest = max(largest, count(batch))
        cuttable &= can_be_cut(batch)
        crc = checksum(batch, crc)
        size += _size(batch)
        if len(first) < _COMPARED:
            first.append(crc)
        if kept is not None:
            kept.append(batch)
        if size > _room(read.device):
            kept = None
    if examples == 0:
        raise no_examples()
    _check_repeatable(first, read(seed=1))
    uncut = 0 if cuttable else largest
    # A reader that fills one buffer again and again hands out nothing that can be kept.
    if kept is None or functools.reduce(lambda so_far, one: checksum(one, so_far), kept, 0) != crc:
        return Streamed(read, read.device, examples, crc, uncut)
    whole = joined(kept) if cuttable else None
    if whole is not None:
        return _in_memory(whole, read.device)
    return _apart(kept, read.device, examples, crc, uncut)


def _apart(batches: list[Any], device: torch.device, examples: int, crc: int, uncut: int) -> Kept:
    """Keep batches each for itself; where one cannot be cut, none is."""
    hand = Handing()
    parts = [
        Sliced(on_device(batch, device), device, count(batch), 0, hand, uncut) for batch in batches
    ]
    return Kept(parts, examples, crc, hand, uncut)


def _check_repeatable(first: list[int], again: Iterator[Any]) -> None:
    """Read the first batches once more, with other random streams."""
    crc = 0
    for expected, batch in zip(first, again, strict=False):
        crc = checksum(batch, crc)
        if crc != expected:
            msg = (
                "Two readings of the data differ: the data set augments at random or the loader "
                "shuffles. Pass it in a fixed order, without random augmentation."
            )
            raise DataError(msg)


def _read_dataset(dataset: Any) -> Iterator[Any]:
    for begin in range(0, len(dataset), _READ_AT_ONCE):
        end = min(begin + _READ_AT_ONCE, len(dataset))
        yield default_collate([dataset[i] for i in range(begin, end)])


def _size(batch: Any) -> int:
    return sum(
        t.numel() * t.element_size() for t in pytree.tree_leaves(batch) if isinstance(t, Tensor)
    )


def _room(device: torch.device) -> float:
    """Return how many bytes of data may stay on the device."""
    if device.type == "cuda":
        return _RESIDENT_SHARE * torch.cuda.mem_get_info(device)[0]
    if hasattr(os, "sysconf") and "SC_AVPHYS_PAGES" in os.sysconf_names:
        return _RESIDENT_SHARE * os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return 2.0**30


def _not_one_by_one(data: Any) -> DataError:
    return DataError(
        "A partition or a probe picks examples one by one: pass tensors or a map-style Dataset, "
        f"got {type(data).__name__}. For a DataLoader, pass its `dataset`."
    )
