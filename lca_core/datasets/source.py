"""Where a data set comes from: what is sent to another process instead of the data."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from attrs import evolve, frozen

from lca_core.datasets.named import load_dataset

if TYPE_CHECKING:
    from pathlib import Path

    from lca_core.datasets.split import Dataset


@frozen
class Source:
    """A data set by name, or its first examples.

    Args:
        name: one of `DATASETS`.
        folder: with its files; None to download them.
        examples: only the first so many of each split; None for all.

    Example:
        >>> from lca_core.datasets import Source
        >>> len(Source("digits", examples=100).load().train)
        100
    """

    name: str
    folder: Path | None = None
    examples: int | None = None

    def load(self) -> Dataset:
        """Return the data set; see `load_dataset`."""
        whole = load_dataset(self.name, self.folder)
        if self.examples is None:
            return whole
        held_out = whole.val.first(min(self.examples, len(whole.val)))
        return evolve(whole, train=whole.train.first(self.examples), val=held_out)


@lru_cache(maxsize=1)
def loaded(source: Source) -> tuple[Dataset, str]:
    """Return a data set and its fingerprint; the newest is kept for the next call.

    Args:
        source: where it comes from.
    """
    dataset = source.load()
    return dataset, fingerprint(dataset)


def fingerprint(dataset: Dataset) -> str:
    """Return what tells data sets apart: a hash of all examples in their order.

    Args:
        dataset: any.

    Example:
        >>> from lca_core.datasets import Source, fingerprint
        >>> all_of_them, first = Source("digits").load(), Source("digits", examples=100).load()
        >>> fingerprint(all_of_them) == fingerprint(first)
        False
    """
    known = hashlib.sha256(f"{dataset.classes}".encode())
    for split in (dataset.train, dataset.val):
        for array in (split.inputs, split.labels):
            known.update(f"{array.shape} {array.dtype.str}".encode())
            known.update(np.ascontiguousarray(array).data)
    return known.hexdigest()[:32]
