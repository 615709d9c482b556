"""What a data set is, and how its validation examples are held out."""

from __future__ import annotations

import numpy as np
from attrs import frozen

from lca_core.errors import DataError


@frozen
class Split:
    """Images and their labels.

    Args:
        inputs: shape (n, height, width, channels), float32, in [0, 1].
        labels: shape (n,), int64 classes.
    """

    inputs: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        """Return the number of examples."""
        return len(self.labels)

    def first(self, examples: int) -> Split:
        """Return the first examples alone.

        Args:
            examples: how many, from 1 up.

        Raises:
            DataError: there are not so many.
        """
        if not 1 <= examples <= len(self):
            msg = f"The first {examples:,} examples were asked for, of 1 to {len(self):,}."
            raise DataError(msg)
        return Split(self.inputs[:examples], self.labels[:examples])


@frozen
class Dataset:
    """A training and a validation split.

    Args:
        name: what people call it.
        train, val: the splits.
        classes: number of classes.
    """

    name: str
    train: Split
    val: Split
    classes: int

    @property
    def shape(self) -> tuple[int, ...]:
        """(height, width, channels) of one example."""
        return self.train.inputs.shape[1:]


def hold_out(
    name: str, images: np.ndarray, labels: np.ndarray, validation: int, *, white: int
) -> Dataset:
    """Split a data set of ten classes, the same way every time.

    Args:
        name: what people call it.
        images: shape (n, height, width, channels), uint8.
        labels: shape (n,), integers from 0 to 9.
        validation: examples held out, drawn without replacement by `default_rng(0)`.
        white: the pixel value that becomes 1.
    """
    order = np.random.default_rng(0).permutation(len(labels))

    def chosen(which: np.ndarray) -> Split:
        return Split(images[which] / np.float32(white), labels[which].astype(np.int64))

    return Dataset(name, chosen(order[validation:]), chosen(order[:validation]), classes=10)
