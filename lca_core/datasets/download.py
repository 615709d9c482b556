"""Where the public data sets are, and what they must be; the only file that uses the network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from lca_core.errors import DataError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Mapping


@frozen
class Remote:
    """Files of one data set on the network.

    Args:
        url: the folder that they are in, with its slash.
        hashes: file name -> checksum as pooch writes it.
    """

    url: str
    hashes: Mapping[str, str]


REMOTES = {
    "mnist": Remote(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        {
            "train-images-idx3-ubyte.gz": "md5:f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "train-labels-idx1-ubyte.gz": "md5:d53e105ee54ea40749a09fcbcd1e9432",
        },
    ),
    "fashion-mnist": Remote(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        {
            "train-images-idx3-ubyte.gz": "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "train-labels-idx1-ubyte.gz": "md5:25c81989df183df01b3e8a0aad5dffbe",
        },
    ),
    "cifar10": Remote(
        "https://www.cs.toronto.edu/~kriz/",
        {"cifar-10-binary.tar.gz": "md5:c32a1d4ab5d03f1284b67883e8d87530"},
    ),
}


def download(name: str) -> Path:
    """Return the folder in pooch's cache that holds a data set's files; fetch what is not there.

    Args:
        name: one of `REMOTES`.

    Raises:
        MissingExtraError: pooch is not installed.
        DataError: a file cannot be had, or is not what it must be.
    """
    try:
        import pooch
    except ImportError as error:
        raise MissingExtraError(f"Downloading {name}", "data") from error
    remote, folder = REMOTES[name], Path(pooch.os_cache("loss-change-allocation")) / name
    for file, known_hash in remote.hashes.items():
        try:
            pooch.retrieve(remote.url + file, known_hash, fname=file, path=folder)
        except (OSError, ValueError) as error:  # no connection; a wrong checksum
            msg = (
                f"{file} of {name} cannot be downloaded from {remote.url}: {error}. Get it "
                "elsewhere, and give the folder that it is in as data_dir (--data-dir)."
            )
            raise DataError(msg) from error
    return folder
