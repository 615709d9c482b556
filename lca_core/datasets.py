"""Data sets as numpy arrays, split into training and validation."""

from __future__ import annotations

import numpy as np
from attrs import frozen

from lca_core.errors import MissingExtraError


@frozen
class Split:
    """Examples and their labels.

    Args:
        inputs: shape (n, features), float32, in [0, 1].
        labels: shape (n,), int64 classes.
    """

    inputs: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        """Return the number of examples."""
        return len(self.labels)


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


def digits(validation: int = 297) -> Dataset:
    """Return scikit-learn's 1,797 handwritten digits of 8 x 8 pixels; nothing is downloaded.

    Args:
        validation: examples held out, drawn without replacement by `default_rng(0)`.

    Raises:
        MissingExtraError: scikit-learn is not installed.

    Example:
        >>> from lca_core.datasets import digits
        >>> len(digits().train)
        1500

    Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise MissingExtraError("The digits data set", "cli") from error
    bunch = load_digits()
    inputs = (bunch.data / 16.0).astype(np.float32)
    labels = bunch.target.astype(np.int64)
    order = np.random.default_rng(0).permutation(len(labels))
    held, kept = order[:validation], order[validation:]
    return Dataset(
        "digits", Split(inputs[kept], labels[kept]), Split(inputs[held], labels[held]), classes=10
    )
