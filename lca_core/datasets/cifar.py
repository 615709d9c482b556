"""CIFAR-10: five training batches, as rows of bytes or as pickles, in a folder or in a tar file.

An image is 3,072 bytes: its red, green and blue planes of 32 x 32, row by row. In the binary
version a byte with the label comes before each image.

Source: A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images (2009).
"""

from __future__ import annotations

import io
import pickle
import tarfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from lca_core.datasets.files import DAMAGED, damaged, not_found, places

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Batch = tuple[np.ndarray, np.ndarray]

BINARY = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
PICKLED = tuple(f"data_batch_{i}" for i in range(1, 6))
FOLDERS = ("cifar-10-batches-bin", "cifar-10-batches-py", "cifar10", "cifar-10")
ARCHIVES = {"cifar-10-binary.tar.gz": BINARY, "cifar-10-python.tar.gz": PICKLED}
_PIXELS = 32 * 32 * 3


def read_batches(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return images (n, 32, 32, 3), uint8, and labels (n,) of the training batches.

    Args:
        folder: holds the batches or the archive, itself or in a usual sub-folder.

    Raises:
        DataError: nothing is found, or what is found is damaged.
    """
    files = _files(folder)
    batches = [_reader(path)(path, raw) for path, raw in files.items()]
    planes = np.concatenate([pixels for pixels, _ in batches]).reshape(-1, 3, 32, 32)
    return planes.transpose(0, 2, 3, 1), np.concatenate([labels for _, labels in batches])


def _files(folder: Path) -> Mapping[Path, bytes]:
    """Return the five batches of one version that lie in the same place."""
    for place in places(folder, FOLDERS):
        for names in (BINARY, PICKLED):
            if all((place / name).is_file() for name in names):
                return {place / name: (place / name).read_bytes() for name in names}
        for archive, names in ARCHIVES.items():
            if (place / archive).is_file():
                return _members(place / archive, names)
    wanted = (f"{BINARY[0]} ... {BINARY[-1]}", f"{PICKLED[0]} ... {PICKLED[-1]}", *ARCHIVES)
    raise not_found(folder, FOLDERS, wanted, "cifar10")


def _members(path: Path, names: tuple[str, ...]) -> dict[Path, bytes]:
    """Return files of an archive; nothing is written to the disk."""
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                name = PurePosixPath(member.name).name
                if name in names and (file := archive.extractfile(member)):
                    found[name] = file.read()
    except (tarfile.TarError, *DAMAGED) as error:
        raise damaged(path, f"the archive ends in '{error}'") from error
    if missing := [name for name in names if name not in found]:
        raise damaged(path, f"the archive lacks {', '.join(missing)}")
    return {path / name: found[name] for name in names}


def _reader(path: Path) -> Callable[[Path, bytes], Batch]:
    return _binary if path.suffix == ".bin" else _pickled


def _binary(path: Path, raw: bytes) -> Batch:
    if not raw or len(raw) % (1 + _PIXELS):
        what = f"its {len(raw):,} bytes are not a whole number of rows of {1 + _PIXELS:,}"
        raise damaged(path, what)
    rows = np.frombuffer(raw, np.uint8).reshape(-1, 1 + _PIXELS)
    return rows[:, 1:], rows[:, 0]


class _Arrays(pickle.Unpickler):
    """Reads dicts, lists, strings and numpy arrays; calls nothing else that a pickle names."""

    def find_class(self, module: str, name: str) -> Any:
        """Return one of the three things that an array is made by."""
        known = {
            "_reconstruct": np.empty(0).__reduce__()[0],
            "ndarray": np.ndarray,
            "dtype": np.dtype,
        }
        if module.partition(".")[0] != "numpy" or name not in known:
            msg = f"it asks for {module}.{name}, which no batch of CIFAR-10 needs"
            raise pickle.UnpicklingError(msg)
        return known[name]


def _pickled(path: Path, raw: bytes) -> Batch:
    try:
        batch = _Arrays(io.BytesIO(raw), encoding="bytes").load()
        pixels, labels = batch[b"data"], np.array(batch[b"labels"])
    except Exception as error:  # damaged pickles end in any exception
        raise damaged(path, f"reading the pickle ends in '{error}'") from error
    expected = (len(labels), _PIXELS)
    if getattr(pixels, "shape", None) != expected or pixels.dtype != np.uint8:
        what = f"its data are no uint8 array of shape {expected}"
        raise damaged(path, what)
    return pixels, labels
