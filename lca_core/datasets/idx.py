"""MNIST and Fashion-MNIST: IDX files, plain or compressed, under the same names for both.

An IDX file begins with two zero bytes, a code of the element type (8 for bytes) and the number
of axes; then come the sizes of the axes, four bytes each, big end first, and the elements.

Source: Y. LeCun, C. Cortes and C. Burges, The MNIST database; Xiao et al. (2017).
"""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING

import numpy as np

from lca_core.datasets.files import damaged, not_found, places, unzipped
from lca_core.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

FOLDERS = {
    "mnist": ("mnist", "MNIST", "MNIST/raw"),
    "fashion-mnist": ("fashion-mnist", "fashion", "FashionMNIST", "FashionMNIST/raw"),
}
FIRST_LABELS = {
    "mnist": (5, 0, 4, 1, 9, 2, 1, 3, 1, 4),
    "fashion-mnist": (9, 0, 0, 3, 0, 2, 7, 2, 5, 5),
}
"""What tells files of the same names apart."""
IMAGES = ("train-images-idx3-ubyte", "train-images.idx3-ubyte")
LABELS = ("train-labels-idx1-ubyte", "train-labels.idx1-ubyte")
_BYTES = 8


def read_pair(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return images (n, height, width, 1) and labels (n,) of the training files, uint8.

    Args:
        folder: holds the files, itself or in a usual sub-folder.
        name: "mnist" or "fashion-mnist".

    Raises:
        DataError: nothing is found, or what is found is damaged or the other data set.
    """
    image_file, label_file = _pair(folder, name)
    images, labels = read_idx(image_file, axes=3), read_idx(label_file, axes=1)
    if len(images) != len(labels):
        msg = (
            f"'{image_file}' holds {len(images):,} images, '{label_file}' {len(labels):,} labels: "
            "they are not of the same data set. Get both anew."
        )
        raise DataError(msg)
    _refuse_the_other(name, labels, label_file)
    return images[..., np.newaxis], labels


def read_idx(path: Path, axes: int) -> np.ndarray:
    """Return the bytes of an IDX file as an array, uint8.

    Args:
        path: the file, plain or compressed.
        axes: how many it must have.

    Raises:
        DataError: it is no such file, too short or too long.
    """
    raw, head = unzipped(path), 4 + 4 * axes
    expected = bytes((0, 0, _BYTES, axes))
    if len(raw) < head or raw[:4] != expected:
        raise damaged(path, f"an IDX file of {axes} axes begins with {expected!r}, not {raw[:4]!r}")
    shape = struct.unpack(f">{axes}I", raw[4:head])
    if len(raw) - head != math.prod(shape):
        what = f"shape {shape} takes {math.prod(shape):,} bytes, there are {len(raw) - head:,}"
        raise damaged(path, what)
    return np.frombuffer(raw, np.uint8, offset=head).reshape(shape)


def _pair(folder: Path, name: str) -> tuple[Path, Path]:
    """Return images and labels that lie in the same place."""
    wanted = [
        [f"{file}{end}" for file in files for end in ("", ".gz")] for files in (IMAGES, LABELS)
    ]
    for place in places(folder, FOLDERS[name]):
        found = [[place / file for file in files if (place / file).is_file()] for files in wanted]
        if all(found):
            return found[0][0], found[1][0]
    raise not_found(folder, FOLDERS[name], (file for files in wanted for file in files), name)


def _refuse_the_other(name: str, labels: np.ndarray, path: Path) -> None:
    for other, first in FIRST_LABELS.items():
        if other != name and tuple(labels[: len(first)]) == first:
            msg = (
                f"'{path}' belongs to {other}, not to {name}: both use the same file names. Keep "
                f"each in a folder of its own, named {FOLDERS[name][0]} or {FOLDERS[other][0]}."
            )
            raise DataError(msg)
