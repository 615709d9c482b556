"""What 16-bit arithmetic inside of a model means for a look."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import lca_torch
from lca_core import Status
from lca_torch import BatchLoss


class Adapted(nn.Module):
    """A body in 16 bits, or under an autocast of its own, between two layers that train."""

    def __init__(self, kind: torch.dtype, how: str) -> None:
        super().__init__()
        self.before, self.body, self.head = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 3)
        self.kind, self.how = kind, how
        self.body.requires_grad_(requires_grad=False)
        if how != "autocast":
            self.body.to(kind)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.how == "constant":  # no leaf before it
            return self.head(self.before(x) + self.body(x.to(self.kind)).to(x.dtype))
        if self.how == "frozen":
            return self.head(self.body(self.before(x).to(self.kind)).to(x.dtype))
        with torch.autocast("cpu", self.kind):
            return self.head(self.body(self.before(x))).float()


def some(n: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a few examples of three classes."""
    torch.manual_seed(0)
    return torch.randn(n, 6), torch.randint(3, (n,))


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("how", ["frozen", "autocast", "constant"])
def test_the_noise_floor_is_that_of_what_a_model_computes_in(how: str, kind: torch.dtype) -> None:
    """A frozen body in 16 bits rounds, as an autocast inside does; what no leaf moves does not."""
    data = some()
    model = Adapted(kind, how)
    tracker = lca_torch.track(model, nn.CrossEntropyLoss(), data)
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], 0.1)
    for _ in range(8):
        optimizer.zero_grad()
        F.cross_entropy(model(data[0]), data[1]).backward()
        optimizer.step()
        tracker.step()
    run = tracker.finish()

    eps = torch.finfo(torch.float32 if how == "constant" else kind).eps
    assert run.config["eps"]["train"] == eps
    assert set(run.status("train").tolist()) == {Status.OK}


def test_a_loss_that_differentiates_inside_can_be_tried() -> None:
    """`torch.func` bears no hooks on what is saved: its precision is not known, and it works."""

    def loss(model: nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        x, y = batch
        slope = torch.func.grad(lambda at: model(at).sum())(x)
        return F.cross_entropy(model(x), y, reduction="none") + slope.square().sum(1)

    tracker = lca_torch.track(nn.Linear(6, 3), BatchLoss(loss), some(), batch_size=64)
    assert tracker.finish().config["eps"]["train"] == torch.finfo(torch.float32).eps


@pytest.mark.parametrize("mean", [True, False])
def test_small_gradients_do_not_vanish_in_float16(mean: bool) -> None:  # noqa: FBT001
    """A mean over many outputs divides below 6e-8, the least of float16; scaled, it is right."""
    torch.manual_seed(0)
    model, x = nn.Linear(8, 4_096), torch.randn(256, 8)
    with torch.no_grad():
        target = model(x) + 0.02 * torch.sin(x[:, :1])

    def loss(out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        each = (out.float() - y).square().mean(1)
        return each.mean() if mean else each

    tracker = lca_torch.track(model, loss, (x, target), autocast=torch.float16, batch_size=128)
    found = tracker._state.evaluations["train"].gradient["weight"]
    (truth,) = torch.autograd.grad(F.mse_loss(model(x), target), [model.weight])
    assert float((found * truth).sum() / truth.square().sum()) == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize(("kind", "weight"), [(torch.bfloat16, 257), (torch.float16, 100_000)])
def test_weights_are_exact_beside_losses_in_16_bits(kind: torch.dtype, weight: int) -> None:
    """Where all examples weigh the same, the loss is the plain mean, to the last digits."""
    x, y = some()
    model, n = nn.Linear(6, 3).to(kind), torch.full((len(y),), weight)

    def loss(model: nn.Module, batch: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        return F.cross_entropy(model(batch[0]), batch[1], reduction="none"), batch[2]

    tracker = lca_torch.track(model, BatchLoss(loss), (x.to(kind), y, n))
    with torch.no_grad():
        plain = F.cross_entropy(model(x.to(kind)), y, reduction="none").double().mean()
    assert tracker.last()["loss"] == pytest.approx(float(plain), rel=1e-6)
