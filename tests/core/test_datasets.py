"""Data sets: files in their real formats become images and labels, damaged ones an error."""

import gzip
import hashlib
import io
import os
import pickle
import struct
import sys
import tarfile

import numpy as np
import pytest
from attrs import evolve

from lca_core.datasets import DATASETS, Split, digits, load_dataset, named
from lca_core.datasets.cifar import BINARY, PICKLED
from lca_core.datasets.download import REMOTES, Remote, download
from lca_core.datasets.named import CIFAR10, FASHION_MNIST, MNIST
from lca_core.errors import DataError, MissingExtraError, UnknownNameError

RNG = np.random.default_rng(7)
GREY = RNG.integers(256, size=(40, 28, 28), dtype=np.uint8)
COLOUR = RNG.integers(256, size=(50, 32, 32, 3), dtype=np.uint8)
LABELS = RNG.integers(10, size=50, dtype=np.uint8)
SMALL = {
    "mnist": evolve(MNIST, examples=40, validation=10),
    "fashion-mnist": evolve(FASHION_MNIST, examples=40, validation=10),
    "cifar10": evolve(CIFAR10, examples=50, validation=10),
}
IMAGE_FILE, LABEL_FILE = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


def idx(array):
    """Return an array of bytes as an IDX file."""
    return struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def mnist_files(folder, *, images=GREY, labels=LABELS[:40]):
    """Write the two training files, the second compressed."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / IMAGE_FILE).write_bytes(idx(images))
    (folder / f"{LABEL_FILE}.gz").write_bytes(gzip.compress(idx(labels)))
    return folder


def planes(images):
    """Return images as CIFAR's rows: red, green and blue, each row by row."""
    return np.concatenate([images[..., c].reshape(len(images), -1) for c in range(3)], axis=1)


def binary_rows(images, labels):
    """Return a batch of CIFAR-10's binary version."""
    return np.concatenate([labels[:, None], planes(images)], axis=1).tobytes()


def pickled_rows(images, labels):
    """Return a batch of CIFAR-10's python version, as Python 2 and its numpy wrote it."""

    def text(word):
        return b"U" + bytes([len(word)]) + word

    rows = planes(images)
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + text(b"b") + b"\x87R"
        b"(K\x01" + struct.pack("<BiBi", 0x4A, len(rows), 0x4A, 3072) + b"\x86"
        b"cnumpy\ndtype\n" + text(b"u1") + b"K\x00K\x01\x87R(K\x03" + text(b"|") + b"NNN"
        b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T" + struct.pack("<I", rows.size)
    )
    classes = b"](" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
    return (
        b"\x80\x02}(" + text(b"batch_label") + text(b"training batch 1 of 5")
        + text(b"data") + array + rows.tobytes() + b"tb" + text(b"labels") + classes + b"u."
    )  # fmt: skip


def cifar_files(folder, version, names):
    """Write five batches of ten images."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, name in enumerate(names):
        part = slice(10 * i, 10 * i + 10)
        (folder / name).write_bytes(version(COLOUR[part], LABELS[part]))
    return folder


def archived(folder, archive, names):
    """Pack files into an archive as it is published, and remove them."""
    with tarfile.open(folder / archive, "w:gz") as packed:
        for name in names:
            packed.add(folder / name, f"cifar-10-batches/{name}")
            (folder / name).unlink()
    return folder


def holds(dataset, images, labels):
    """Check that the splits have every example once, the held-out ones drawn by seed 0."""
    order = np.random.default_rng(0).permutation(len(labels))
    for split, chosen in ((dataset.val, order[:10]), (dataset.train, order[10:])):
        assert split.inputs.dtype == np.float32
        assert split.labels.dtype == np.int64
        np.testing.assert_array_equal(np.round(split.inputs * 255.0), images[chosen])
        np.testing.assert_array_equal(split.labels, labels[chosen])
    assert dataset.classes == 10
    assert dataset.shape == images.shape[1:]


@pytest.mark.parametrize("place", ["", "mnist", "MNIST/raw"])
def test_mnist_is_found_where_it_usually_lies(place, tmp_path):
    """IDX files, plain or compressed, are found in the folder and in its usual sub-folders."""
    mnist_files(tmp_path / place)
    holds(SMALL["mnist"].load(tmp_path), GREY[..., None], LABELS[:40])


def test_compression_is_seen_in_the_file(tmp_path):
    """A compressed file is read under a name without .gz too."""
    mnist_files(tmp_path)
    (tmp_path / f"{LABEL_FILE}.gz").rename(tmp_path / "train-labels.idx1-ubyte")
    holds(SMALL["mnist"].load(tmp_path), GREY[..., None], LABELS[:40])


@pytest.mark.parametrize("archive", ["cifar-10-binary.tar.gz", None])
@pytest.mark.parametrize("place", ["", "cifar-10-batches-bin"])
def test_binary_cifar(place, archive, tmp_path):
    """Rows of bytes become images with their planes as channels, from files and from the tar."""
    folder = cifar_files(tmp_path / place, binary_rows, BINARY)
    if archive:
        archived(folder, archive, BINARY)
    holds(SMALL["cifar10"].load(tmp_path), COLOUR, LABELS)


@pytest.mark.parametrize("archive", ["cifar-10-python.tar.gz", None])
def test_pickled_cifar(archive, tmp_path):
    """The pickles of Python 2 hold the same images, from files and from the tar."""
    folder = cifar_files(tmp_path, pickled_rows, PICKLED)
    if archive:
        archived(folder, archive, PICKLED)
    holds(SMALL["cifar10"].load(tmp_path), COLOUR, LABELS)


def test_pickles_of_today(tmp_path):
    """Batches that today's Python and numpy wrote anew are read as well."""

    def version(images, labels):
        return pickle.dumps({b"data": planes(images), b"labels": labels.tolist()})

    holds(SMALL["cifar10"].load(cifar_files(tmp_path, version, PICKLED)), COLOUR, LABELS)


class Intruder:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        """Name the call to make."""
        return os.mkdir, (self.folder,)


def test_a_pickle_runs_nothing(tmp_path):
    """A pickle that asks for anything but arrays is refused before it is called."""
    cifar_files(tmp_path, pickled_rows, PICKLED)
    (tmp_path / PICKLED[0]).write_bytes(pickle.dumps(Intruder(tmp_path / "was here")))
    with pytest.raises(DataError, match=r"data_batch_1' is damaged.*asks for \w+\.mkdir"):
        SMALL["cifar10"].load(tmp_path)
    assert not (tmp_path / "was here").exists()


def test_digits_are_the_published_ones():
    """The digits are scikit-learn's, pixel for pixel, and together they are all of them."""
    bunch = pytest.importorskip("sklearn.datasets").load_digits()
    dataset = digits()
    assert (len(dataset.train), len(dataset.val), dataset.shape) == (1500, 297, (8, 8, 1))
    order = np.random.default_rng(0).permutation(1797)
    both = np.concatenate([dataset.val.inputs, dataset.train.inputs])[..., 0]
    np.testing.assert_array_equal(both * 16.0, bunch.images[order])
    labels = np.concatenate([dataset.val.labels, dataset.train.labels])
    np.testing.assert_array_equal(labels, bunch.target[order])


def test_first_examples():
    """The first examples of a split are those; more than there are is an error."""
    split = Split(GREY[..., None] / np.float32(255), LABELS[:40].astype(np.int64))
    np.testing.assert_array_equal(split.first(3).inputs, split.inputs[:3])
    np.testing.assert_array_equal(split.first(40).labels, split.labels)
    for examples in (0, 41):
        with pytest.raises(DataError, match=rf"first {examples} .* 1 to 40"):
            split.first(examples)


def cut(raw):
    """Leave out the last bytes."""
    return raw[:-20]


@pytest.mark.parametrize(
    ("file", "change", "says"),
    [
        (IMAGE_FILE, cut, "31,360 bytes, there are 31,340"),
        (IMAGE_FILE, lambda raw: raw + b"\x00", "31,360 bytes, there are 31,361"),
        (IMAGE_FILE, lambda raw: b"\x00\x00\x0d\x03" + raw[4:], "begins with"),
        (IMAGE_FILE, lambda raw: raw[:7], "begins with"),
        (IMAGE_FILE, lambda _: idx(LABELS), "an IDX file of 3 axes"),
        (IMAGE_FILE, lambda _: b"", "begins with"),
        (f"{LABEL_FILE}.gz", cut, "its compression ends in"),
        (f"{LABEL_FILE}.gz", lambda raw: raw[:12] + b"\xff\xff" + raw[14:], "compression"),
    ],
)
def test_damaged_idx_files(file, change, says, tmp_path):
    """A file that is cut off, too long, changed or of another kind is named, with what is wrong."""
    path = mnist_files(tmp_path) / file
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(DataError) as caught:
        SMALL["mnist"].load(tmp_path)
    assert str(path) in str(caught.value)
    assert says in str(caught.value)
    assert "Get the file anew" in str(caught.value)


def test_images_and_labels_of_different_counts(tmp_path):
    """Labels that are not as many as the images are refused, with both files and counts."""
    mnist_files(tmp_path, labels=LABELS[:39])
    with pytest.raises(DataError, match=rf"{IMAGE_FILE}' holds 40 .*{LABEL_FILE}.gz' 39 "):
        SMALL["mnist"].load(tmp_path)


def test_the_other_data_set_of_the_same_names(tmp_path):
    """MNIST's files are not taken for Fashion-MNIST's, nor the other way round."""
    digits_come = np.array([5, 0, 4, 1, 9, 2, 1, 3, 1, 4] * 4, np.uint8)
    clothes_come = np.array([9, 0, 0, 3, 0, 2, 7, 2, 5, 5] * 4, np.uint8)
    mnist_files(tmp_path / "mnist", labels=digits_come)
    mnist_files(tmp_path / "FashionMNIST/raw", labels=clothes_come)
    holds(SMALL["mnist"].load(tmp_path), GREY[..., None], digits_come)
    holds(SMALL["fashion-mnist"].load(tmp_path), GREY[..., None], clothes_come)
    with pytest.raises(DataError, match="belongs to mnist, not to fashion-mnist"):
        SMALL["fashion-mnist"].load(tmp_path / "mnist")
    with pytest.raises(DataError, match="belongs to fashion-mnist, not to mnist"):
        SMALL["mnist"].load(tmp_path / "FashionMNIST/raw")


@pytest.mark.parametrize(
    ("known", "expected"), [(MNIST, r"\(60000, 28, 28, 1\)"), (CIFAR10, r"\(50000, 32, 32, 3\)")]
)
def test_fewer_examples_than_published(known, expected, tmp_path):
    """A data set of another size than the published one is not taken for it."""
    mnist_files(tmp_path)
    cifar_files(tmp_path, binary_rows, BINARY)
    with pytest.raises(DataError, match=expected):
        known.load(tmp_path)


def test_labels_beyond_the_classes(tmp_path):
    """A label that is no class is refused."""
    mnist_files(tmp_path, labels=np.full(40, 10, np.uint8))
    with pytest.raises(DataError, match="0 to 9, they go from 10 to 10"):
        SMALL["mnist"].load(tmp_path)


@pytest.mark.parametrize("change", [cut, lambda _: b""])
@pytest.mark.parametrize(("version", "names"), [(binary_rows, BINARY), (pickled_rows, PICKLED)])
def test_damaged_batches(version, names, change, tmp_path):
    """A batch of CIFAR-10 that is cut off or empty is named."""
    path = cifar_files(tmp_path, version, names) / names[2]
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(DataError, match=f"{names[2]}' is damaged"):
        SMALL["cifar10"].load(tmp_path)


@pytest.mark.parametrize(
    "batch", [{b"data": 3, b"labels": [1]}, {b"fine_labels": [1]}, [1], "no batch"]
)
def test_pickles_of_something_else(batch, tmp_path):
    """A pickle without the images and labels of a batch is refused."""
    cifar_files(tmp_path, pickled_rows, PICKLED)
    (tmp_path / PICKLED[1]).write_bytes(pickle.dumps(batch))
    with pytest.raises(DataError, match="data_batch_2' is damaged"):
        SMALL["cifar10"].load(tmp_path)


def test_damaged_archives(tmp_path):
    """An archive that is cut off, is none, or lacks a batch is named, with what it lacks."""
    archive = "cifar-10-binary.tar.gz"
    path = archived(cifar_files(tmp_path, binary_rows, BINARY), archive, BINARY) / archive
    whole = path.read_bytes()
    for raw in (whole[: len(whole) // 2], b"no archive", b""):
        path.write_bytes(raw)
        with pytest.raises(DataError, match=f"{archive}' is damaged"):
            SMALL["cifar10"].load(tmp_path)
    archived(cifar_files(tmp_path, binary_rows, BINARY), archive, BINARY[:4])
    (tmp_path / BINARY[4]).unlink()
    with pytest.raises(DataError, match=r"lacks data_batch_5\.bin"):
        SMALL["cifar10"].load(tmp_path)


@pytest.mark.parametrize("name", SMALL)
def test_nothing_found(name, tmp_path):
    """Where nothing is found, the error lists names and folders and says how to download."""
    files = {"cifar10": [BINARY[0], PICKLED[0], "cifar-10-python.tar.gz"]}
    wanted = files.get(name, [IMAGE_FILE, f"{LABEL_FILE}.gz"])
    with pytest.raises(DataError) as caught:
        load_dataset(name, tmp_path)
    for words in (str(tmp_path), *wanted, "--data-dir", "downloaded"):
        assert words in str(caught.value)
    with pytest.raises(DataError, match="no folder"):
        load_dataset(name, tmp_path / "nowhere")


def test_unknown_name():
    """A name that is no data set is refused with those that are."""
    with pytest.raises(UnknownNameError, match=r"'imagenet'; there are digits, mnist, .*cifar10"):
        load_dataset("imagenet")


def test_mnist_at_its_size(tmp_path):
    """The whole of MNIST is split as in the paper: 55,000 and 5,000."""
    images = io.BytesIO()
    with gzip.GzipFile(fileobj=images, mode="wb", compresslevel=1) as packed:
        packed.write(struct.pack(">4I", 0x803, 60_000, 28, 28) + bytes(60_000 * 784))
    (tmp_path / f"{IMAGE_FILE}.gz").write_bytes(images.getvalue())
    (tmp_path / LABEL_FILE).write_bytes(idx(np.zeros(60_000, np.uint8)))
    dataset = load_dataset("mnist", tmp_path)
    assert (len(dataset.train), len(dataset.val)) == (55_000, 5_000)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Let a temporary folder be pooch's cache."""
    pooch = pytest.importorskip("pooch")
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / project)
    return tmp_path / "loss-change-allocation"


def test_what_was_downloaded_is_read(cache, monkeypatch):
    """Files in the cache that have their checksums are read without asking the network."""
    folder = mnist_files(cache / "mnist")
    hashes = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}
    monkeypatch.setitem(REMOTES, "mnist", Remote("nowhere://", hashes))
    monkeypatch.setitem(named._KNOWN, "mnist", SMALL["mnist"])
    holds(load_dataset("mnist"), GREY[..., None], LABELS[:40])


@pytest.mark.usefixtures("cache")
def test_failed_download(monkeypatch):
    """A download that fails names file and address, and the way around it."""
    monkeypatch.setitem(REMOTES, "mnist", Remote("nowhere://x/", {"a.gz": "md5:" + 32 * "0"}))
    with pytest.raises(DataError, match=r"a\.gz of mnist .* from nowhere://x/.*--data-dir"):
        download("mnist")


def test_downloading_needs_pooch(monkeypatch):
    """Without pooch, downloading says which extra to install."""
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(MissingExtraError, match=r"\[data\]"):
        load_dataset("cifar10")


def test_every_public_data_set_can_be_downloaded():
    """Every name but the digits has an address, and a checksum for every file."""
    assert set(REMOTES) == set(DATASETS) - {"digits"}
    for remote in REMOTES.values():
        assert remote.url.endswith("/")
        for known_hash in remote.hashes.values():
            kind, _, digest = known_hash.partition(":")
            assert hashlib.new(kind).digest_size == len(bytes.fromhex(digest))
