"""What a model keeps in plain attributes is the training's: measuring gives it back."""

from __future__ import annotations

import copy
import operator
import random
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import nn

import lca_torch
from lca_core.errors import LossError
from lca_torch.attributes import find_touched

if TYPE_CHECKING:
    from collections.abc import Callable

LOSS = nn.CrossEntropyLoss()


class Keeps(nn.Module):
    """A layer that keeps what it saw in an attribute; what it returns depends on it, or not."""

    def __init__(self, kept: Any, keep: Callable[[Any, torch.Tensor], None], share: float) -> None:
        super().__init__()
        self.layer = nn.Linear(12, 4)
        self.kept = kept
        self.keep = keep
        self.share = share

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits, moved by what was kept."""
        logits = self.layer(x)
        if self.share:
            logits = logits + self.share * self.kept
        self.keep(self, logits.detach().mean(0))
        return logits


def rebind(model: Any, mean: torch.Tensor) -> None:
    """Put another value in the attribute's place."""
    model.kept = 0.5 * model.kept + mean


def buffer(model: Any, _: torch.Tensor) -> None:
    """Make a buffer at the first look."""
    if not hasattr(model, "mask"):
        model.register_buffer("mask", torch.ones(4))


KEPT: dict[str, tuple[Callable[[], Any], Callable[[Any, torch.Tensor], None]]] = {
    "another value": (lambda: torch.zeros(4), rebind),
    "in place": (lambda: torch.zeros(4), lambda model, mean: model.kept.add_(mean)),
    "behind the versions": (lambda: torch.zeros(4), lambda model, mean: model.kept.data.add_(mean)),
    "array": (lambda: np.zeros(4), lambda model, mean: np.add(model.kept, 1, out=model.kept)),
    "list": (list, lambda model, mean: model.kept.append(mean)),
    "tensor in a dict": ({}.copy, lambda model, mean: model.kept.update(mean=mean)),
    "set": (set, lambda model, mean: model.kept.add(len(model.kept))),
    "counter": (Counter, lambda model, _: model.kept.update(["looks"])),
    "torch's generator": (torch.Generator, lambda model, _: torch.rand(1, generator=model.kept)),
    "numpy's generator": (lambda: np.random.default_rng(0), lambda model, _: model.kept.random()),
    "python's generator": (lambda: random.Random(0), lambda model, _: model.kept.random()),
    "new attribute": (lambda: 0, lambda model, mean: setattr(model, "last", mean)),
    "gone": (lambda: 0, lambda model, _: model.__dict__.pop("kept", None)),
    "new buffer": (lambda: 0, buffer),
}


def state(model: nn.Module) -> str:
    """Return everything that a module's attributes and buffers hold."""
    plain = {k: v for k, v in vars(model).items() if not k.startswith("_") and k != "keep"}
    for name, value in plain.items():
        if isinstance(value, torch.Generator):
            plain[name] = value.get_state().tolist()
        if isinstance(value, (np.random.Generator, random.Random)):
            plain[name] = copy.deepcopy(value).random()
    return repr((sorted(plain.items()), dict(model.named_buffers())))


@pytest.mark.parametrize("kind", KEPT)
def test_what_a_forward_pass_keeps_is_put_back(blobs, kind):
    """Whatever it is and however it is changed, no look advances what the training left there."""
    make, keep = KEPT[kind]
    model = Keeps(make(), keep, share=0.0)
    held = model.__dict__["kept"]
    before = state(model)
    tracker = lca_torch.track(model, LOSS, blobs)
    for _ in range(2):
        with torch.no_grad():
            model.layer.bias += 0.1
        tracker.step()

    assert state(model) == before
    assert model.kept is held


@pytest.mark.parametrize("kind", ["another value", "in place"])
def test_what_is_carried_from_batch_to_batch_is_refused_by_its_name(blobs, kind):
    """Such a loss depends on the order of the batches; what the training had is still there."""
    make, keep = KEPT[kind]
    model = Keeps(make(), keep, share=0.5)
    before = state(model)
    with pytest.raises(LossError, match=r"Keeps\.kept.*BatchLoss"):
        lca_torch.track(model, LOSS, blobs)

    assert state(model) == before


def test_what_a_buffer_carries_from_batch_to_batch_is_refused(blobs):
    """A buffer that every look moves is no other than an attribute."""
    model = Keeps(None, rebind, share=0.5)
    del model.kept
    model.register_buffer("kept", torch.zeros(4))
    with pytest.raises(LossError, match="looked at again"):
        lca_torch.track(model, LOSS, blobs)


def test_a_hidden_state_that_is_reset_for_every_batch_is_measured(blobs):
    """The remedy holds: books close, and training is bit for bit what it is untracked."""

    def begun_anew(model: Any, batch: Any) -> torch.Tensor:
        model.kept = torch.zeros(4)
        return LOSS(model(batch[0]), batch[1])

    def trained(*, tracked: bool) -> tuple[Any, Any]:
        torch.manual_seed(0)
        model = Keeps(torch.zeros(4), rebind, share=0.5)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        loss = lca_torch.BatchLoss(begun_anew)
        tracker = lca_torch.track(model, loss, blobs, batch_size=20) if tracked else None
        for _ in range(4):
            optimizer.zero_grad()
            LOSS(model(blobs[0]), blobs[1]).backward()
            optimizer.step()
            if tracker:
                tracker.step()
        return model, tracker and tracker.finish()

    alone, _ = trained(tracked=False)
    model, run = trained(tracked=True)

    assert torch.equal(alone.layer.weight, model.layer.weight)
    assert torch.equal(alone.kept, model.kept)
    assert run.loss("train")[-1] == pytest.approx(begun_anew(alone, blobs).item(), rel=1e-6)
    assert abs(run.gap("train")).max() < 1e-3 * (run.loss("train")[0] - run.loss("train")[-1])


def test_weights_that_a_recurrent_layer_lists_are_no_state(blobs):
    """They are swapped like all weights, not copied at every look."""
    model = nn.GRU(12, 4)
    with torch.no_grad():
        model.weight_hh_l0.add_(0.1)
    listed = list(model._flat_weights)

    def look() -> None:
        points = {name: p.detach() + 1.0 for name, p in model.named_parameters()}
        torch.func.functional_call(model, points, blobs[0])

    assert not any(one.inside for one in find_touched(tuple(model.modules()), look))
    assert all(map(operator.is_, model._flat_weights, listed))


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
@pytest.mark.parametrize("norm", [nn.utils.weight_norm, nn.utils.spectral_norm])
def test_weights_that_hooks_recompute_are_put_back(blobs, norm):
    """The normed weight is an attribute: its gradient goes to the leaves, its value stays."""
    torch.manual_seed(0)
    model = nn.Sequential(norm(nn.Linear(12, 8)), nn.Tanh(), nn.Linear(8, 4)).double()
    data = (blobs[0].double(), blobs[1])
    LOSS(model(data[0]), data[1]).backward()
    model.eval()
    held, value = model[0].weight, model[0].weight.detach().clone()
    tracker = lca_torch.track(model, LOSS, data)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.sub_(0.01 * parameter.grad)
    tracker.step()

    assert model[0].weight is held
    assert torch.equal(held, value)
    run = tracker.finish()
    change = run.loss("train")[1] - run.loss("train")[0]
    assert run.allocation("train").values.sum() == pytest.approx(change, rel=1e-3)
    assert run.loss("train")[1] == pytest.approx(LOSS(model(data[0]), data[1]).item(), rel=1e-9)
