"""What a newcomer passes wrongly is said before any training, with the remedy that works."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import lca_torch
from lca_core.errors import LossError

DRAWN = torch.Generator().manual_seed(0)
X = torch.randn(30, 12, generator=DRAWN)
IMAGES = torch.randn(30, 8, 8, 3, generator=DRAWN)
Y = torch.randint(4, (30,), generator=DRAWN)
CE, BCE = nn.CrossEntropyLoss(), nn.BCEWithLogitsLoss()


def network(inputs: int | str, classes: int = 4) -> nn.Module:
    """Return a network of so many features, or a convolution over "rgb" or "grey" images."""
    torch.manual_seed(0)
    if isinstance(inputs, int):
        return nn.Linear(inputs, classes)
    return nn.Sequential(nn.Conv2d(3 if inputs == "rgb" else 1, classes, 8), nn.Flatten())


# model, loss, (inputs, targets), what they are said to be, the remedy in words, and as code
CASES: dict[str, tuple[Any, ...]] = {
    "float64 inputs": (
        *(network(12), CE, (X.double(), Y), "inputs = float64 (30, 12)"),
        *("x.to(torch.float32)", lambda x, y: (x.float(), y)),
    ),
    "float32 inputs of a float64 model": (
        *(network(12).double(), CE, (X, Y), "parameters = float64"),
        *("x.to(torch.float64)", lambda x, y: (x.double(), y)),
    ),
    "bytes of images": (
        *(network("grey"), CE, (IMAGES[:, None, :, :, 0].byte(), Y), "uint8 (30, 1, 8, 8)"),
        *("x.to(torch.float32)", lambda x, y: (x.float(), y)),
    ),
    "int32 classes": (
        *(network(12), CE, (X, Y.int()), "targets = int32 (30,)"),
        *("y.long()", lambda x, y: (x, y.long())),
    ),
    "float classes": (
        *(network(12), CE, (X, Y.float()), "targets = float32 (30,)"),
        *("y.long()", lambda x, y: (x, y.long())),
    ),
    "a column of classes": (
        *(network(12), CE, (X, Y[:, None]), "targets = int64 (30, 1)"),
        *("y.squeeze(-1)", lambda x, y: (x, y.squeeze(-1))),
    ),
    "integers where probabilities are compared": (
        *(network(12, 1), BCE, (X, Y[:, None] % 2), "targets = int64 (30, 1)"),
        *("y.to(torch.float32)", lambda x, y: (x, y.float())),
    ),
    "no column": (
        *(network(12, 1), BCE, (X, (Y % 2).float()), "targets = float32 (30,)"),
        *("y.unsqueeze(-1)", lambda x, y: (x, y.unsqueeze(-1))),
    ),
    "channels last": (
        *(network("rgb"), CE, (IMAGES, Y), "inputs = float32 (30, 8, 8, 3)"),
        *("x.permute(0, 3, 1, 2)", lambda x, y: (x.permute(0, 3, 1, 2), y)),
    ),
    "no channels": (
        *(network("grey"), CE, (IMAGES[..., 0], Y), "inputs = float32 (30, 8, 8)"),
        *("x.unsqueeze(1)", lambda x, y: (x.unsqueeze(1), y)),
    ),
    "images for a perceptron": (
        *(network(64), CE, (IMAGES[..., 0], Y), "inputs = float32 (30, 8, 8)"),
        *("x.flatten(1)", lambda x, y: (x.flatten(1), y)),
    ),
    "three at once": (
        *(network(12), CE, (X.double(), Y[:, None].double()), "targets = float64 (30, 1)"),
        *("x.to(torch.float32)", lambda x, y: (x.float(), y.long().squeeze(-1))),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_was_passed_is_said_with_the_remedy(case):
    """The message holds PyTorch's own, the shapes and types, and a remedy with which it works."""
    model, loss_fn, (x, y), passed, words, remedied = CASES[case]
    with pytest.raises(Exception) as pytorchs:
        loss_fn(model(x), y)
    with pytest.raises(LossError) as found:
        lca_torch.track(model, loss_fn, {"mine": (x, y)})
    message, truth = str(found.value), remedied(x, y)
    tracker = lca_torch.track(model, loss_fn, truth)

    assert all(part in message for part in ("'mine'", passed, "It works with", words))
    assert type(found.value.__cause__) is type(pytorchs.value)
    assert str(pytorchs.value).rstrip(".") in message
    wanted = loss_fn(model(truth[0]), truth[1]).item()
    assert tracker.last()["loss"] == pytest.approx(wanted, rel=1e-6)


def test_a_loss_of_the_general_form_is_told_from_the_usual_one():
    """A function of (model, batch) is said to need `BatchLoss`, one of outputs to need none."""

    def general(model: nn.Module, batch: Any) -> torch.Tensor:
        inputs, targets = batch
        return F.cross_entropy(model(inputs), targets, reduction="none")

    with pytest.raises(LossError, match=r"pass BatchLoss\(loss_fn\)"):
        lca_torch.track(network(12), general, (X, Y))
    with pytest.raises(LossError, match="pass it without BatchLoss"):
        lca_torch.track(network(12), lca_torch.BatchLoss(CE), (X, Y))


def test_where_no_remedy_is_known_none_is_claimed():
    """Inputs of another number of features are said to be so, and no remedy is made up."""
    with pytest.raises(LossError, match=r"inputs = float32 \(30, 11\)") as found:
        lca_torch.track(network(12), CE, (X[:, :11], Y))

    assert "It works" not in str(found.value)
    assert "30x11 and 12x4" in str(found.value)


def test_a_loss_with_a_value_for_every_example():
    """A loss that holds weights of all examples cannot be cut: that is said; whole, it is taken."""
    weighted = nn.BCEWithLogitsLoss(weight=torch.linspace(0.1, 1.0, 30)[:, None])
    model, data = network(12, 1), (X, Y[:, None].float() % 2)
    with pytest.raises(LossError, match=r"Passed: inputs = float32 \(16, 12\)"):
        lca_torch.track(model, weighted, data)

    tracker = lca_torch.track(model, weighted, data, batch_size=30)
    wanted = weighted(model(data[0]), data[1]).item()
    assert tracker.last()["loss"] == pytest.approx(wanted, rel=1e-6)


def test_looking_for_a_remedy_leaves_no_trace(noisy, blobs):
    """A refused model is as it was: flags, buffers, parameters and random streams."""
    noisy.train()
    before = {name: tensor.clone() for name, tensor in noisy.state_dict().items()}
    stream = torch.get_rng_state()
    with pytest.raises(LossError, match=r"x\.to\(torch\.float32\)"):
        lca_torch.track(noisy, CE, (blobs[0].double(), blobs[1]))

    assert all(module.training for module in noisy.modules())
    assert torch.equal(torch.get_rng_state(), stream)
    for name, tensor in noisy.state_dict().items():
        assert torch.equal(tensor, before[name])


@pytest.mark.parametrize("weight", [None, torch.linspace(0.1, 2.0, 200)])
def test_classes_as_bytes_weigh_as_integers_do(weight):
    """Class 156 as a byte is -100 modulo 256, and not ignored; weights are looked up."""
    targets = torch.tensor([156, 3, 199, 0] * 8)
    model, loss_fn = network(12, 200), nn.CrossEntropyLoss(weight=weight)
    inputs = torch.cat([X, X[:2]])
    wanted = loss_fn(model(inputs), targets).item()
    tracker = lca_torch.track(model, loss_fn, (inputs, targets.byte()))

    assert tracker.last()["loss"] == pytest.approx(wanted, rel=1e-6)
