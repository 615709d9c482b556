"""Data sets by name, from a local folder or from the network."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from lca_core.datasets.cifar import read_batches
from lca_core.datasets.digits import digits
from lca_core.datasets.download import download
from lca_core.datasets.idx import read_pair
from lca_core.datasets.split import hold_out
from lca_core.errors import DataError, UnknownNameError

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    import numpy as np

    from lca_core.datasets.split import Dataset

CLASSES = 10


@frozen
class Known:
    """What is known of a public data set before its files are read.

    Args:
        name: what people call it.
        read: folder -> images (n, height, width, channels), uint8, and labels (n,).
        shape: (height, width, channels) of an image.
        examples: training images.
        validation: how many of these are held out.
    """

    name: str
    read: Callable[[Path], tuple[np.ndarray, np.ndarray]]
    shape: tuple[int, ...]
    examples: int
    validation: int = 5_000

    def load(self, folder: Path) -> Dataset:
        """Return the data set from the files in a folder.

        Raises:
            DataError: the files are not there, damaged, or not of this data set.
        """
        images, labels = self.read(folder)
        expected, got = (self.examples, *self.shape), images.shape
        if got != expected:
            msg = f"The {self.name} in '{folder}' must have shape {expected}, it has {got}."
            raise DataError(msg)
        if labels.min() < 0 or labels.max() >= CLASSES:
            msg = (
                f"The labels of the {self.name} in '{folder}' must be 0 to {CLASSES - 1}, they go "
                f"from {labels.min()} to {labels.max()}: get the files anew."
            )
            raise DataError(msg)
        return hold_out(self.name, images, labels, self.validation, white=255)


MNIST = Known("mnist", partial(read_pair, name="mnist"), (28, 28, 1), 60_000)
FASHION_MNIST = Known(
    "fashion-mnist", partial(read_pair, name="fashion-mnist"), (28, 28, 1), 60_000
)
CIFAR10 = Known("cifar10", read_batches, (32, 32, 3), 50_000)

_KNOWN = {known.name: known for known in (MNIST, FASHION_MNIST, CIFAR10)}
DATASETS = ("digits", *_KNOWN)
"""Every name that `load_dataset` takes."""


def load_dataset(name: str, data_dir: str | os.PathLike[str] | None = None) -> Dataset:
    """Return a data set: pixels in [0, 1], 5,000 training examples held out for validation.

    Args:
        name: one of `DATASETS`: "digits" (see `digits`), "mnist", "fashion-mnist" or "cifar10".
        data_dir: folder with the files, themselves or in their usual sub-folders; None to
            download them, once. Digits need neither.

    Raises:
        UnknownNameError: there is no such data set.
        DataError: files are missing, damaged or of another data set, or cannot be downloaded.
        MissingExtraError: pooch, which downloads, is not installed, or scikit-learn is not.

    Example:
        >>> from lca_core.datasets import load_dataset
        >>> load_dataset("digits").shape
        (8, 8, 1)

    Source: LCA paper, section 3, for MNIST and CIFAR-10 and their use.
    """
    if name not in DATASETS:
        msg = f"No data set is called '{name}'; there are {', '.join(DATASETS)}."
        raise UnknownNameError(msg)
    if name == "digits":
        return digits()
    return _KNOWN[name].load(download(name) if data_dir is None else Path(data_dir))
