"""Data are read and measured without a trace in them, in their loaders or in random streams."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    IterableDataset,
    SequentialSampler,
    TensorDataset,
)

import lca_torch
from lca_core import Redrawn
from lca_core.errors import DataError, LossError, RuleError
from lca_torch import data as data_module
from lca_torch.data import source
from lca_torch.sources import Kept

CPU = torch.device("cpu")
LOSS = nn.CrossEntropyLoss()


class Shifts(nn.Module):
    """A perceptron that writes into its input."""

    def __init__(self, how: str = "versions") -> None:
        super().__init__()
        self.layers, self.how = nn.Sequential(nn.Linear(12, 8), nn.Tanh(), nn.Linear(8, 4)), how
        self.calm = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits."""
        if not self.calm:
            written = x if self.how == "versions" else x.data
            written -= 0.1
        return self.layers(x)


def two_steps(model: nn.Module, data: Any, **options: Any) -> list[float]:
    """Return the losses of a run whose parameters move by themselves, twice."""
    tracker = lca_torch.track(model, LOSS, data, **options)
    for _ in range(2):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(0.9)
        tracker.step()
    return tracker.finish().loss("train").tolist()


def truth_of_two_steps(model: Shifts, data: Any) -> list[float]:
    """Return the same losses in float64, of examples shifted once."""
    losses, (inputs, labels) = [], data
    weights = [parameter.detach().double() for parameter in model.parameters()]
    for k in range(3):
        w1, b1, w2, b2 = (0.9**k * weight for weight in weights)
        logits = torch.tanh((inputs.double() - 0.1) @ w1.T + b1) @ w2.T + b2
        losses.append(nn.functional.cross_entropy(logits, labels).item())
    return losses


@pytest.mark.parametrize("how", ["versions", "data"])
@pytest.mark.parametrize("form", ["tensors", "arrays", "batches", "apart", "streamed"])
def test_a_model_that_writes_into_its_input_changes_no_data(blobs, monkeypatch, form, how):
    """The user's data keep every bit, and every pass sees them as they are."""
    inputs, labels = blobs
    model = Shifts(how)
    before, expected = inputs.clone(), truth_of_two_steps(model, blobs)
    batches = [(inputs[:50], labels[:50]), (inputs[50:], labels[50:])]
    if form == "streamed":
        monkeypatch.setattr(data_module, "_room", lambda device: 100.0)
    forms: dict[str, Any] = {
        "tensors": blobs,
        "arrays": (inputs.numpy(), labels.numpy()),
        "batches": batches,
        "apart": [list(batches[0]), batches[1]],
        "streamed": batches,
    }
    losses = two_steps(model, forms[form], batch_size=20)

    assert torch.equal(inputs, before)
    assert losses == pytest.approx(expected, rel=1e-5)


def test_samples_are_drawn_from_data_that_nothing_wrote_into(blobs):
    """A redrawn probe sees the same numbers from a model that writes and one that does not."""
    writing, before = Shifts(), blobs[0].clone()
    reading = Shifts()
    reading.load_state_dict(writing.state_dict())
    reading.calm = True
    shifted = (blobs[0] - 0.1, blobs[1])
    losses = two_steps(writing, Redrawn(blobs, 40), batch_size=7)

    assert torch.equal(blobs[0], before)
    assert losses == pytest.approx(two_steps(reading, Redrawn(shifted, 40), batch_size=7))


def test_a_model_that_starts_to_write_later_is_an_error(blobs):
    """Writing that the first examples did not show is noticed at once."""
    model = Shifts()
    model.calm = True
    tracker = lca_torch.track(model, LOSS, blobs)
    model.calm = False
    with torch.no_grad():
        model.layers[0].bias += 0.1

    with pytest.raises(DataError, match=r"clone\(\)"):
        tracker.step()


def test_a_calm_model_sees_the_data_themselves(blobs):
    """No pass copies data in memory for a model that only reads them."""
    where = source(blobs, CPU)
    (first, _), *_ = where.batches(10)

    assert first.data_ptr() == blobs[0].data_ptr()


def graphs() -> list[dict[str, torch.Tensor]]:
    """Return two batches of graphs: nodes, edges and a label a graph, of different lengths."""
    return [
        {
            "x": torch.randn(nodes, 12),
            "edges": torch.randint(nodes, (2, 30)),
            "graph": torch.arange(nodes) % 4,
            "y": torch.randint(4, (4,)),
        }
        for nodes in (16, 20)
    ]


def graph_losses(model: nn.Module, batch: Any) -> Any:
    """Return losses and weights of graphs, from nodes and edges."""
    begin, end = batch["edges"]
    nodes = batch["x"].index_add(0, end, batch["x"][begin])
    pooled = torch.zeros(4, 12).index_add(0, batch["graph"], nodes)
    losses = nn.functional.cross_entropy(model(pooled), batch["y"], reduction="none")
    return losses, torch.ones(4)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("size", [None, 20, 1000])
def test_batches_that_cannot_be_cut_go_whole(plain, monkeypatch, size, streamed):
    """Graphs give the mean over all of them, as the user's batches have it."""
    if streamed:
        monkeypatch.setattr(data_module, "_room", lambda device: 100.0)
    data = graphs()
    truth = torch.cat([graph_losses(plain, batch)[0] for batch in data]).mean().item()
    run = lca_torch.track(
        plain, lca_torch.BatchLoss(graph_losses), data, batch_size=size, memory=1
    ).finish()

    assert run.loss("train")[0] == pytest.approx(truth, rel=1e-6)


def graph_mean(model: nn.Module, batch: Any) -> torch.Tensor:
    """Return the mean over the graphs of a batch."""
    return graph_losses(model, batch)[0].mean()


def test_a_mean_over_nobody_knows_how_many_examples_is_refused(plain):
    """Nodes, the rows of the first tensor, would be a wrong weight; one batch needs none."""
    with pytest.raises(LossError, match=r"first lengths .*16.*how_many"):
        lca_torch.track(plain, lca_torch.BatchLoss(graph_mean), graphs())

    first = graphs()[:1]
    run = lca_torch.track(plain, lca_torch.BatchLoss(graph_mean), first).finish()

    assert run.loss("train")[0] == pytest.approx(graph_mean(plain, first[0]).item(), rel=1e-6)


def test_a_streamed_mean_over_nobody_knows_how_many_is_refused(plain, monkeypatch):
    """The number of batches is looked up where they are read at every pass, too."""
    monkeypatch.setattr(data_module, "_room", lambda device: 100.0)
    with pytest.raises(LossError, match="how_many"):
        lca_torch.track(plain, lca_torch.BatchLoss(graph_mean), graphs())


@pytest.mark.parametrize("form", ["one loss a graph", "mean and number"])
def test_graphs_count_as_the_loss_counts_them(plain, form):
    """What the loss is a mean over is told by its losses, or by a number beside it."""
    data = graphs()
    data[0] = {**data[0], "y": data[0]["y"][:3], "graph": data[0]["graph"].clamp(max=2)}

    def loss(model: nn.Module, batch: Any) -> Any:
        begin, end = batch["edges"]
        nodes = batch["x"].index_add(0, end, batch["x"][begin])
        pooled = torch.zeros(len(batch["y"]), 12).index_add(0, batch["graph"], nodes)
        each = nn.functional.cross_entropy(model(pooled), batch["y"], reduction="none")
        if form == "one loss a graph":
            return each
        return each.mean(), torch.tensor(len(each))

    run = lca_torch.track(plain, lca_torch.BatchLoss(loss), data).finish()
    three, four = (loss(plain, batch) for batch in data)
    if form == "mean and number":
        truth = (3 * three[0] + 4 * four[0]) / 7
    else:
        truth = torch.cat([three, four]).mean()

    assert run.loss("train")[0] == pytest.approx(truth.item(), rel=1e-6)


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_a_sum_over_a_batch_that_cannot_be_cut_is_refused(plain, blobs, reduction):
    """Every example twice, in tensors and lists, doubles a sum and leaves a mean."""
    inputs, labels = blobs
    data = [{"x": inputs[k : k + 40], "y": labels[k : k + 40].tolist()} for k in (0, 40)]

    def loss(model: nn.Module, batch: Any) -> torch.Tensor:
        labels = torch.tensor(batch["y"])
        return nn.functional.cross_entropy(model(batch["x"]), labels, reduction=reduction)

    if reduction == "sum":
        with pytest.raises(LossError, match="sums over"):
            lca_torch.track(plain, lca_torch.BatchLoss(loss), data)
        return
    run = lca_torch.track(plain, lca_torch.BatchLoss(loss), data).finish()

    assert run.loss("train")[0] == pytest.approx(
        LOSS(plain(inputs[:80]), labels[:80]).item(), rel=1e-6
    )


def listed(model: nn.Module, batch: Any) -> torch.Tensor:
    """Return losses of labels in a Python list, scaled by a number alone."""
    labels = torch.tensor(batch["y"])
    return batch["scale"] * nn.functional.cross_entropy(model(batch["x"]), labels, reduction="none")


def test_labels_in_python_lists_and_numbers_alone_go_whole(plain, blobs):
    """What is no tensor with a row an example is not cut apart from the rest."""
    inputs, labels = blobs
    data = [{"x": inputs, "y": labels.tolist(), "scale": torch.tensor(2.0)}]
    run = lca_torch.track(plain, lca_torch.BatchLoss(listed), data).finish()

    assert run.loss("train")[0] == pytest.approx(2 * LOSS(plain(inputs), labels).item(), rel=1e-6)


@pytest.mark.parametrize("streamed", [False, True])
def test_batches_that_would_have_to_be_cut_are_refused(plain, monkeypatch, streamed):
    """Nothing is left out silently: the error names both sizes and the remedy."""
    if streamed:
        monkeypatch.setattr(data_module, "_room", lambda device: 100.0)
    with pytest.raises(DataError, match=r"16 examples .* cut to 8.*batch_size=16"):
        lca_torch.track(plain, lca_torch.BatchLoss(graph_losses), graphs(), batch_size=8)


def test_packed_sequences_go_whole():
    """A packed sequence keeps its steps together."""
    model = nn.GRU(3, 5)
    packed = [
        nn.utils.rnn.pack_sequence([torch.randn(n, 3) for n in lengths])
        for lengths in ((5, 4, 2), (3, 3, 1))
    ]

    def last(model: nn.Module, batch: Any) -> Any:
        losses = model(batch)[1].square().mean((0, 2))
        return losses, torch.ones(3)

    run = lca_torch.track(model, lca_torch.BatchLoss(last), packed, memory=1).finish()
    truth = torch.cat([last(model, batch)[0] for batch in packed]).mean().item()

    assert run.loss("train")[0] == pytest.approx(truth, rel=1e-6)


def test_a_number_alone_among_tensors_is_a_clear_error(plain, blobs):
    """Data in memory are one row an example; a number without an axis is named."""
    with pytest.raises(DataError, match="0 for a number alone"):
        lca_torch.track(plain, LOSS, (*blobs, torch.tensor(1.0)))


class Padded(Dataset):
    """Sequences of several lengths."""

    def __len__(self) -> int:
        return 16

    def __getitem__(self, i: int) -> Any:
        return torch.full((1 + i // 4, 12), i / 16), torch.tensor(i % 4)


class Pooled(nn.Module):
    """A perceptron on the mean over time."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(12, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits."""
        return self.layer(x.mean(1))


@pytest.mark.parametrize("room", [100.0, 1e9])
def test_the_generator_of_a_loader_stays_where_it_is(monkeypatch, room):
    """A generator shared with the training loader is not advanced by any pass."""
    monkeypatch.setattr(data_module, "_room", lambda device: room)
    generator = torch.Generator().manual_seed(5)
    loader = DataLoader(Padded(), 4, generator=generator)
    before = generator.get_state()
    two_steps(Pooled(), loader)

    assert torch.equal(before, generator.get_state())


class Counted(DataLoader):
    """A loader that counts how often it is read."""

    reads = 0

    def __iter__(self) -> Any:
        type(self).reads += 1
        return super().__iter__()


def test_ragged_batches_that_fit_are_read_at_the_start_only():
    """No pass reads the loader again; twice at the start, to compare."""
    Counted.reads = 0
    loader = Counted(Padded(), 4)
    two_steps(Pooled(), loader)

    assert isinstance(source(Counted(Padded(), 4), CPU), Kept)
    assert Counted.reads == 4


class OneBuffer:
    """Hands out the same memory, filled anew."""

    def __iter__(self) -> Any:
        buffer = torch.zeros(2, 12)
        for k in range(3):
            yield buffer.fill_(float(k)), torch.tensor([0, 1])


def test_batches_in_one_buffer_are_read_again(plain):
    """What is kept is what was read, or it is not kept."""
    run = lca_torch.track(plain, LOSS, OneBuffer()).finish()
    inputs = torch.arange(3.0).repeat_interleave(2)[:, None].expand(6, 12)
    truth = LOSS(plain(inputs), torch.tensor([0, 1] * 3)).item()

    assert run.loss("train")[0] == pytest.approx(truth, rel=1e-6)


@pytest.mark.parametrize("room", [100.0, 1e9])
def test_persistent_workers_in_use_are_left_alone(monkeypatch, room):
    """A loader measured inside its own epoch still hands the user every batch."""
    monkeypatch.setattr(data_module, "_room", lambda device: room)
    # Not forked: other frameworks in this process have threads.
    loader = DataLoader(
        Padded(), 4, num_workers=1, persistent_workers=True, multiprocessing_context="spawn"
    )
    model, seen = Pooled(), []
    tracker = None
    for inputs, _ in loader:
        tracker = tracker or lca_torch.track(model, LOSS, loader)
        with torch.no_grad():
            model.layer.bias += 0.1
        tracker.step()
        seen.append(inputs.shape[1])

    assert seen == [1, 2, 3, 4]


class Noisy(Dataset):
    """Draws anew at every reading."""

    def __len__(self) -> int:
        return 600

    def __getitem__(self, i: int) -> Any:
        return torch.randn(12), i % 4


def test_an_error_that_is_freed_later_moves_no_random_stream(plain):
    """The reading behind a refusal is over when the refusal comes."""
    try:
        lca_torch.track(plain, LOSS, Noisy())
    except DataError as error:
        held: Any = error
    torch.manual_seed(123)
    before = torch.get_rng_state()
    del held

    assert torch.equal(before, torch.get_rng_state())


class Stream(IterableDataset):
    """A stream that does not know its length."""

    def __iter__(self) -> Any:
        return ((torch.zeros(12), 1) for _ in range(10))


class Order:
    """A user's own order, without a length."""

    def __iter__(self) -> Any:
        return iter(range(101))


@pytest.mark.parametrize("kind", ["stream", "sampler"])
def test_a_loader_that_may_drop_examples_is_refused(plain, blobs, kind):
    """drop_last with an unknown length is an error, not a smaller data set."""
    loaders = {
        "stream": lambda: DataLoader(Stream(), 4, drop_last=True),
        "sampler": lambda: DataLoader(TensorDataset(*blobs), 4, sampler=Order(), drop_last=True),
    }
    with pytest.raises(DataError, match=r"may drop .*drop_last=False"):
        lca_torch.track(plain, LOSS, loaders[kind]())


def test_a_sampler_that_makes_batches_itself_may_not_drop_examples(plain, blobs):
    """Where the loader makes no batches, its sampler is asked."""
    sampler = BatchSampler(SequentialSampler(range(101)), 16, drop_last=True)
    loader = DataLoader(TensorDataset(*blobs), batch_size=None, sampler=sampler)
    with pytest.raises(DataError, match="drops the last 5 of 101"):
        lca_torch.track(plain, LOSS, loader)


@pytest.mark.parametrize("form", ["dict", "dicts"])
def test_a_loss_may_take_a_batch_apart(plain, blobs, form):
    """Every look gets a container of its own, whatever the last one took out of it."""

    def popping(model: nn.Module, batch: Any) -> torch.Tensor:
        labels = batch.pop("labels")
        return nn.functional.cross_entropy(model(**batch), labels, reduction="none")

    inputs, labels = blobs
    batch = {"input": inputs, "labels": labels}
    tracker = lca_torch.track(
        plain, lca_torch.BatchLoss(popping), batch if form == "dict" else [batch]
    )
    with torch.no_grad():
        plain[0].bias += 0.1
    tracker.step()

    assert sorted(batch) == ["input", "labels"]
    assert tracker.finish().loss("train")[1] == pytest.approx(
        LOSS(plain(inputs), labels).item(), rel=1e-6
    )


@pytest.mark.parametrize("size", [0, -3, 2.5, "8"])
def test_a_batch_size_is_a_whole_number(plain, blobs, size):
    """Zero is not the default, and halves are no examples."""
    with pytest.raises(RuleError, match="batch_size"):
        lca_torch.track(plain, LOSS, blobs, batch_size=size)


@pytest.mark.parametrize("memory", [0, -1, float("inf"), float("nan"), "1 GB"])
def test_memory_is_a_number_of_bytes(plain, blobs, memory):
    """No memory is not the default, and no chunk fits into it."""
    with pytest.raises(RuleError, match="memory must be a number of bytes from 1 up, got"):
        lca_torch.track(plain, LOSS, blobs, memory=memory)


@pytest.mark.parametrize("every", [0, 1.5, "2"])
def test_every_is_a_whole_number(plain, blobs, every):
    """Segments have whole steps."""
    with pytest.raises(RuleError, match="every"):
        lca_torch.track(plain, LOSS, blobs, every=every)


def test_numpy_integers_are_whole_numbers(plain, blobs, tmp_path):
    """Settings often come out of arrays."""
    path = tmp_path / "run.zarr"
    run = lca_torch.track(
        plain, LOSS, blobs, batch_size=np.int64(10), every=np.int64(2), path=path
    ).finish()

    assert np.isfinite(run.loss("train")).all()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda x: x, r"\(x,\)"),
        (lambda x: x.numpy(), r"\(x,\)"),
        (lambda x: [x, x], "list of bare tensors"),
        (lambda x: {"train": x, "val": x}, r"'train': \(x,\)"),
        (lambda x: {"train": x}, r"'train': \(x,\)"),
    ],
)
def test_what_could_mean_two_things_is_refused(plain, blobs, make, words):
    """Bare tensors are neither taken for batches nor for pairs by a guess."""
    with pytest.raises(DataError, match=words):
        lca_torch.track(plain, LOSS, make(blobs[0]))


@pytest.mark.parametrize("form", ["tensors", "loader"])
def test_data_of_inference_mode_are_measured_like_others(plain, blobs, form):
    """Where data are made or read does not change the loss."""
    with torch.inference_mode():
        made = tuple(part.clone() for part in blobs)
        data: Any = made if form == "tensors" else DataLoader(TensorDataset(*made), 8)
        run = lca_torch.track(plain, LOSS, data).finish()

    truth = LOSS(plain(blobs[0]), blobs[1]).item()
    assert run.loss("train")[0] == pytest.approx(truth, rel=1e-6)
