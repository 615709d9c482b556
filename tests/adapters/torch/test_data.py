"""Every example counts once, in whatever form the data come; what cannot be trusted is refused."""

from __future__ import annotations

from collections import UserDict
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import BatchSampler, DataLoader, Dataset, SequentialSampler, TensorDataset

import lca_torch
from lca_core.errors import DataError, LossError
from lca_torch import data as data_module
from lca_torch.data import source
from lca_torch.sources import Sliced, Streamed

CPU = torch.device("cpu")
LOSS = nn.CrossEntropyLoss()


class Rows(Dataset):
    """A map-style data set that is not a TensorDataset."""

    def __init__(self, data: Any, noise: float = 0.0) -> None:
        self.data, self.noise = data, noise

    def __len__(self) -> int:
        return len(self.data[1])

    def __getitem__(self, i: int) -> Any:
        return self.data[0][i] + self.noise * torch.randn(12), self.data[1][i]


def initial_loss(model: nn.Module, data: Any, **options: Any) -> float:
    """Return the loss that a tracker measures at the start."""
    return lca_torch.track(model, LOSS, data, **options).finish().loss("train")[0]


class Pair(NamedTuple):
    """Inputs and targets by name."""

    inputs: torch.Tensor
    targets: torch.Tensor


def read_only(tensor: torch.Tensor) -> np.ndarray:
    """Return the values as an array that is not to be written, as of a file."""
    array = tensor.numpy().copy()
    array.flags.writeable = False
    return array


def forms(data: Any) -> dict[str, Any]:
    """Return the same examples in every accepted form."""
    inputs, labels = data
    batches = [(inputs[i : i + 7], labels[i : i + 7]) for i in range(0, len(labels), 7)]
    return {
        "tensors": data,
        "arrays": (inputs.numpy(), labels.numpy()),
        "read-only arrays": (read_only(inputs), read_only(labels)),
        "reversed arrays": (inputs.numpy()[::-1], labels.numpy()[::-1]),
        "arrays in the order of bytes of files": (inputs.numpy().astype(">f4"), labels.numpy()),
        "named tuple": Pair(inputs, labels),
        "TensorDataset": TensorDataset(*data),
        "Dataset": Rows(data),
        "loader": DataLoader(Rows(data), batch_size=8),
        "loader, two workers' worth of batches": DataLoader(TensorDataset(*data), batch_size=50),
        "batches": batches,
        "named": {"train": data},
    }


@pytest.mark.parametrize("form", forms((torch.zeros(1, 12), torch.zeros(1))))
def test_every_form_gives_the_float64_mean_over_all_examples(plain, blobs, form):
    """The ragged remainder counts, with its weight, whatever the form and the chunk."""
    inputs, labels = blobs
    logits = plain.double()(inputs.double()).detach().numpy()
    plain.float()
    log_partition = np.log(np.exp(logits).sum(1))
    truth = (log_partition - logits[np.arange(101), labels.numpy()]).mean()

    for size in (None, 1, 10, 101, 1000):
        measured = initial_loss(plain, forms(blobs)[form], batch_size=size)
        assert measured == pytest.approx(truth, rel=2e-7)


@pytest.mark.parametrize("size", [1, 2, 10, 50, 100, 101, 200])
def test_slices_cover_every_example_once_and_are_even(blobs, size):
    """Chunks differ by at most one example."""
    where = source(blobs, CPU)
    batches = list(where.batches(size))
    lengths = [len(labels) for _, labels in batches]

    assert torch.equal(torch.cat([labels for _, labels in batches]), blobs[1])
    assert max(lengths) - min(lengths) <= 1
    assert max(lengths) <= size


def test_a_named_tuple_reaches_the_loss_as_one(plain, blobs):
    """Whole and cut, its parts have their names."""
    loss_fn = lca_torch.BatchLoss(lambda model, pair: LOSS(model(pair.inputs), pair.targets))
    tracker = lca_torch.track(plain, loss_fn, Pair(*blobs), batch_size=10)
    assert tracker.last()["loss"] == pytest.approx(initial_loss(plain, blobs), rel=1e-6)


def test_batches_of_tokenizers_reach_the_loss_as_dicts(plain, blobs):
    """What is a mapping, but no dict, is made one, so that it can be cut."""

    def collate(rows: Any) -> UserDict:
        return UserDict(
            x=torch.stack([x for x, _ in rows]), labels=torch.stack([y for _, y in rows])
        )

    loader = DataLoader(Rows(blobs), batch_size=16, collate_fn=collate)
    loss_fn = lca_torch.BatchLoss(lambda model, batch: LOSS(model(batch["x"]), batch["labels"]))
    tracker = lca_torch.track(plain, loss_fn, loader, batch_size=10)
    assert tracker.last()["loss"] == pytest.approx(initial_loss(plain, blobs), rel=1e-6)


def test_a_mapping_of_tensors_is_one_data_set(blobs):
    """Batches may be dicts, as Hugging Face has them; they are not taken for measures."""
    model = nn.Linear(12, 4)
    loss = lca_torch.BatchLoss(
        lambda net, batch: nn.functional.cross_entropy(
            net(batch["x"]), batch["y"], reduction="none"
        )
    )
    batches = {"x": blobs[0], "y": blobs[1]}
    run = lca_torch.track(model, loss, batches).finish()
    named = lca_torch.track(model, loss, {"train": batches, "val": [batches]}).finish()

    assert run.measures == ("train",)
    assert named.measures == ("train", "val")
    assert run.loss("train")[0] == named.loss("val")[0]


class Drops(BatchSampler):
    """A user's own batch sampler."""


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda d: DataLoader(TensorDataset(*d), 8, shuffle=True), "shuffle=False"),
        (lambda d: DataLoader(TensorDataset(*d), 8, drop_last=True), "last 5 of 101"),
        (
            lambda d: DataLoader(
                TensorDataset(*d),
                batch_sampler=Drops(SequentialSampler(range(101)), 8, drop_last=True),
            ),
            "last 5 of 101",
        ),
        (lambda d: Rows(d, noise=0.1), "augments at random"),
        (lambda d: DataLoader(Rows(d, noise=0.1), 8), "augments at random"),
        (lambda d: iter([d]), "again and again"),
        (lambda d: (d[0], d[1][:-1]), r"\[100, 101\]"),
        (lambda d: (d[0][:0], d[1][:0]), "empty"),
        (lambda d: [], "empty"),
        (lambda d: {}, "no measure"),
        (lambda d: 3, "again and again"),
        (lambda d: (np.array(["word"] * 101), d[1]), "dtype <U4. Encode words"),
    ],
)
def test_what_cannot_be_trusted_is_refused_with_the_remedy(plain, blobs, make, words):
    """Shuffling, dropping, augmenting, one-shot and empty data are errors, not wrong numbers."""
    torch.manual_seed(1)
    with pytest.raises(DataError, match=words):
        lca_torch.track(plain, LOSS, make(blobs))


def test_a_loader_whose_length_fits_may_say_drop_last(plain, blobs):
    """drop_last that drops nothing is no error."""
    loader = DataLoader(TensorDataset(blobs[0][:96], blobs[1][:96]), 8, drop_last=True)

    assert np.isfinite(initial_loss(plain, loader))


def test_data_that_do_not_fit_are_streamed_to_the_same_numbers(plain, blobs, monkeypatch):
    """Streaming changes where the data are, not the result."""
    resident = initial_loss(plain, Rows(blobs), batch_size=13)
    monkeypatch.setattr(data_module, "_room", lambda device: 100.0)
    streamed = source(Rows(blobs), CPU)

    assert isinstance(streamed, Streamed)
    assert isinstance(source(blobs, CPU), Sliced)
    assert initial_loss(plain, Rows(blobs), batch_size=13) == pytest.approx(resident, rel=1e-7)


def test_streamed_data_that_change_are_noticed(plain, blobs, monkeypatch):
    """A stream that differs from its first pass raises instead of corrupting the books."""
    monkeypatch.setattr(data_module, "_room", lambda device: 100.0)
    batches = [(blobs[0][:50].clone(), blobs[1][:50]), (blobs[0][50:], blobs[1][50:])]
    tracker = lca_torch.track(plain, LOSS, batches)
    batches[0][0][3, 3] += 1.0
    with torch.no_grad():
        plain[0].bias += 0.1

    with pytest.raises(DataError, match="changed between two passes"):
        tracker.step()


def test_batches_of_different_lengths_in_time_are_kept_apart(blobs):
    """Padded sequences of several lengths cannot be joined; they still all count."""
    sequences = [(torch.randn(5, t, 3), torch.randn(5, t, 2)) for t in (4, 6)]
    model = nn.Linear(3, 2)
    run = lca_torch.track(model, nn.MSELoss(reduction="none"), sequences).finish()
    truth = torch.cat([(model(x) - y).square().flatten() for x, y in sequences]).mean()

    assert run.loss("train")[0] == pytest.approx(truth.item(), rel=1e-6)


def test_loading_data_does_not_move_the_random_streams(plain, blobs):
    """A DataLoader pass draws from torch's global stream; the tracker gives it back."""
    before = torch.get_rng_state()
    lca_torch.track(plain, LOSS, DataLoader(Rows(blobs), 8))

    assert torch.equal(before, torch.get_rng_state())


def test_short_form_without_targets_says_what_to_do(plain, blobs):
    """A batch that is no pair needs the general form, and the error says so."""
    with pytest.raises(LossError, match="BatchLoss"):
        lca_torch.track(plain, LOSS, (blobs[0],))
