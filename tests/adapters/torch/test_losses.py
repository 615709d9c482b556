"""The loss is the mean that the user means, weights and ignored targets included."""

from __future__ import annotations

import functools
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import lca_torch
from lca_core.errors import LossError

WEIGHT = torch.tensor([0.1, 1.0, 2.0, 5.0])


def classes(targets: torch.Tensor) -> torch.Tensor:
    """Return the labels with every fifth one ignored."""
    return targets.where(torch.arange(len(targets)) % 5 != 0, -100)


CASES: dict[str, tuple[Any, Any]] = {
    "cross-entropy": (nn.CrossEntropyLoss(), lambda y: y),
    "class weights": (nn.CrossEntropyLoss(weight=WEIGHT), lambda y: y),
    "ignored targets": (nn.CrossEntropyLoss(), classes),
    "both, smoothed": (nn.CrossEntropyLoss(weight=WEIGHT, label_smoothing=0.2), classes),
    "functional": (F.cross_entropy, lambda y: y),
    "functional, weighted": (functools.partial(F.cross_entropy, weight=WEIGHT), classes),
    "probabilities": (nn.CrossEntropyLoss(), lambda y: F.one_hot(y, 4).float() * 0.9 + 0.025),
    "multi-margin": (nn.MultiMarginLoss(), lambda y: y),
    "squares": (nn.MSELoss(), lambda y: F.one_hot(y, 4).float()),
    "huber": (F.smooth_l1_loss, lambda y: F.one_hot(y, 4).float()),
    "batchmean": (
        nn.KLDivLoss(reduction="batchmean"),
        lambda y: F.one_hot(y, 4).float() * 0.9 + 0.025,
    ),
    "binary": (nn.BCEWithLogitsLoss(pos_weight=WEIGHT), lambda y: F.one_hot(y, 4).float()),
    "own mean": (lambda out, y: 1.0 * F.cross_entropy(out, y), lambda y: y),
    "own vector": (lambda out, y: F.cross_entropy(out, y, reduction="none"), lambda y: y),
    "own square": (lambda out, y: (out - y).square(), lambda y: F.one_hot(y, 4).float()),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("size", [101, 10])
def test_loss_and_gradient_are_those_of_one_big_batch(plain, blobs, case, size):
    """Cut into chunks, a mean-reducing loss is still the user's own loss over all the data."""
    loss_fn, targets = CASES[case]
    inputs, labels = blobs[0], targets(blobs[1])
    truth = loss_fn(plain(inputs), labels).mean()
    gradient = torch.autograd.grad(truth, list(plain.parameters()))
    tracker = lca_torch.track(plain, loss_fn, (inputs, labels), batch_size=size)
    found = tracker._state.evaluations["train"]

    assert float(found.loss) == pytest.approx(truth.item(), rel=1e-6)
    for expected, got in zip(gradient, found.gradient.values(), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-6)


def test_general_form_with_weights_is_a_weighted_mean(plain, blobs):
    """BatchLoss may return (losses, weights): L is Σ w·l / Σ w over all the data."""
    weights = torch.rand(101)

    def fn(model: Any, batch: Any) -> Any:
        x, y, w = batch
        return F.cross_entropy(model(x), y, reduction="none"), w

    run = lca_torch.track(plain, lca_torch.BatchLoss(fn), (*blobs, weights), batch_size=10).finish()
    losses = F.cross_entropy(plain(blobs[0]), blobs[1], reduction="none")

    assert run.loss("train")[0] == pytest.approx(
        ((losses * weights).sum() / weights.sum()).item(), rel=1e-6
    )


@pytest.mark.parametrize(
    "loss_fn",
    [
        nn.CrossEntropyLoss(reduction="sum"),
        functools.partial(F.cross_entropy, reduction="sum"),
        lambda out, y: F.cross_entropy(out, y, reduction="sum"),
        lambda out, y: F.cross_entropy(out, y, weight=torch.tensor([0.01, 1.0, 2.0, 50.0])),
        lambda out, y: (out @ out.T).logsumexp(1).mean(),
    ],
    ids=["module sum", "partial sum", "hidden sum", "hidden weights", "contrastive"],
)
def test_losses_that_depend_on_the_cut_are_refused(plain, blobs, loss_fn):
    """A sum, a hidden weighted mean or a contrastive loss would make the numbers meaningless."""
    with pytest.raises(LossError, match=r"mean"):
        lca_torch.track(plain, loss_fn, blobs)


def test_wrong_shape_of_losses_is_named(plain, blobs):
    """A loss vector of the wrong length says what was expected and what came."""
    with pytest.raises(LossError, match=r"\(64, \.\.\.\), got shape \(4,\)"):
        lca_torch.track(plain, lambda out, y: out.mean(0), blobs)


def test_nan_loss_is_recorded_as_nonfinite_and_totals_survive(plain, blobs):
    """A step into NaN is marked; what was recorded before it stays; later steps count again."""
    tracker = lca_torch.track(plain, nn.CrossEntropyLoss(), blobs)
    weight = plain[0].weight
    kept = weight.detach().clone()
    with torch.no_grad():
        for value in (0.9, float("nan"), None, 0.8):
            weight.copy_(kept if value is None else kept * value)
            tracker.step()
    run = tracker.finish()

    assert [int(s) for s in run.status("train")] == [0, 3, 3, 0]
    total = sum(leaf.sum() for leaf in run.total("train").values())
    finite = run.allocation("train").values[[0, 3]].sum()
    assert total == pytest.approx(finite, rel=1e-5)


class Together(nn.Module):
    """Two leaves that are only ever used as their sum, and one that is added up as it is."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Parameter(torch.ones(4, 12)), nn.Parameter(torch.zeros(4, 12))
        self.shift = nn.Parameter(torch.ones(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return outputs, shape (n, 4)."""
        return x @ (self.first + self.second).T + torch.arange(4.0) * self.shift.sum()


@pytest.mark.parametrize("size", [101, 10])
def test_leaves_that_share_their_gradient_do_not_share_its_sum(blobs, size):
    """For a + b autograd returns one tensor twice, for a sum one number many times."""
    model, (inputs, labels) = Together(), blobs
    truth = torch.autograd.grad(F.cross_entropy(model(inputs), labels), list(model.parameters()))
    tracker = lca_torch.track(model, F.cross_entropy, (inputs, labels), batch_size=size)
    found = tracker._state.evaluations["train"].gradient
    for expected, got in zip(truth, found.values(), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-6)
