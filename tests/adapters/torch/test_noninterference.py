"""Training with LCA on is, bit for bit, the training without it."""

from __future__ import annotations

import copy
import random
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import spectral_norm
from torch.utils.checkpoint import checkpoint

import lca_torch
from lca_core.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable

TEACHER = nn.Module()

OPTIMIZERS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "sgd-momentum": lambda params: torch.optim.SGD(params, lr=0.05, momentum=0.9),
    "adamw": lambda params: torch.optim.AdamW(params, lr=0.01),
}


def train(
    model: nn.Module, data: Any, optimizer: torch.optim.Optimizer, tracker: Any, steps: int
) -> dict[str, Any]:
    """Train with live dropout, python, numpy and torch randomness; return all that can differ."""
    torch.manual_seed(7)
    random.seed(7)
    np.random.seed(7)
    inputs, labels = data
    model.train()
    model.drop.eval()
    model.drop.train()
    drawn = []
    for _ in range(steps):
        rows = torch.randint(len(labels), (20,))
        drawn.append((random.random(), np.random.rand()))
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs[rows]), labels[rows]).backward()
        optimizer.step()
        if tracker is not None:
            tracker.step()
    return {
        "state": copy.deepcopy(model.state_dict()),
        "grads": [p.grad.clone() for p in model.parameters()],
        "optimizer": copy.deepcopy(optimizer.state_dict()),
        "rng": (torch.get_rng_state(), random.getstate(), drawn, np.random.get_state()),
        "flags": [module.training for module in model.modules()],
        "requires": [p.requires_grad for p in model.parameters()],
        "default": (torch.is_grad_enabled(), torch.get_default_dtype()),
    }


def same(left: Any, right: Any) -> bool:
    """Compare nested values exactly."""
    if isinstance(left, torch.Tensor):
        return torch.equal(left, right)
    if isinstance(left, np.ndarray):
        return bool(np.array_equal(left, right))
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[k], right[k]) for k in left)
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)


@pytest.mark.parametrize("mode", ["eval", "batch-stats"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_fifty_steps_are_the_same_with_and_without(noisy, blobs, optimizer, mode):
    """Parameters, buffers, optimizer state, .grad, RNG streams and flags are untouched."""
    bare, tracked = noisy, copy.deepcopy(noisy)
    without = train(bare, blobs, OPTIMIZERS[optimizer](bare.parameters()), None, 50)
    optimizer_of_tracked = OPTIMIZERS[optimizer](tracked.parameters())
    tracker = lca_torch.track(
        tracked, nn.CrossEntropyLoss(), {"train": blobs, "val": blobs}, mode=mode
    )
    tracked_result = train(tracked, blobs, optimizer_of_tracked, tracker, 50)

    assert tracker.finish().steps == 50
    for key, value in without.items():
        assert same(value, tracked_result[key]), key


def test_a_model_that_draws_in_its_forward_pass_leaves_the_streams_alone(blobs):
    """Randomness inside the model is drawn from a private stream, the same at every look."""

    class Drawing(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            noise = torch.rand(len(x), 1) + random.random() + np.random.rand()
            return super().forward(x) * noise

    model = Drawing(12, 4)
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()
    tracker = lca_torch.track(model, nn.CrossEntropyLoss(), blobs)
    with torch.no_grad():
        model.weight *= 0.9
    tracker.step()
    after = torch.get_rng_state(), random.getstate(), np.random.get_state()
    run = tracker.finish()

    assert same(list(before), list(after))
    assert abs(run.gap("train")[0]) < 1e-3 * abs(np.diff(run.loss("train"))[0])


class Perceptual(nn.Module):
    """A loss with everything that could leave a trace, or be measured as if it trained."""

    def __init__(self) -> None:
        super().__init__()
        self.reduction = "mean"
        self.norm, self.drop = nn.BatchNorm1d(4), nn.Dropout(0.5)
        self.register_buffer("seen", torch.zeros(()))
        self.requires_grad_(requires_grad=False)

    def forward(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the mean, or one loss an example."""
        self.seen += 1.0
        losses = self.drop(self.norm(outputs))
        return nn.functional.cross_entropy(losses, targets, reduction=self.reduction)


@pytest.mark.parametrize("form", ["module", "partial", "general"])
def test_a_loss_module_is_measured_in_eval_mode_and_left_alone(plain, blobs, form):
    """Its dropout is off, its moving averages are used, and neither they nor flags change."""
    loss_fn = Perceptual()
    inputs, labels = blobs
    truth = copy.deepcopy(loss_fn).eval()(plain(inputs), labels).item()
    passed: Any = {
        "module": loss_fn,
        "partial": partial(loss_fn),
        "general": lca_torch.BatchLoss(partial(general, loss_fn)),
    }[form]
    before = copy.deepcopy(loss_fn.state_dict())
    tracker = lca_torch.track(plain, passed, blobs)
    with torch.no_grad():
        plain[0].weight *= 0.95
    tracker.step()
    run = tracker.finish()

    assert run.loss("train")[0] == pytest.approx(truth, rel=1e-6)
    assert same(before, loss_fn.state_dict())
    assert all(module.training for module in loss_fn.modules())


def general(loss_fn: Any, model: Any, batch: Any) -> torch.Tensor:
    """Return a loss of the general form."""
    return loss_fn(model(batch[0]), batch[1])


class Forwarding(nn.Module):
    """A loss whose `reduction` is that of another one."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.CrossEntropyLoss()

    @property
    def reduction(self) -> str:
        """What the inner loss does with single examples."""
        return self.inner.reduction

    @reduction.setter
    def reduction(self, kind: str) -> None:
        self.inner.reduction = kind

    def forward(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the inner loss."""
        return self.inner(outputs, targets)


@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.compile(nn.CrossEntropyLoss(), backend="eager"),
        Forwarding,
        lambda: torch.jit.script(nn.CrossEntropyLoss()),
    ],
    ids=["compiled", "forwarding", "scripted"],
)
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_a_loss_that_passes_its_settings_on_is_left_alone(plain, blobs, make):
    """It is not asked for single examples by settings that are another module's."""
    loss_fn, outputs = make(), plain(blobs[0]).detach()
    truth = loss_fn(outputs, blobs[1])
    tracker = lca_torch.track(plain, loss_fn, blobs)
    after = loss_fn(outputs, blobs[1])

    assert tracker.last()["loss"] == pytest.approx(truth.item(), rel=1e-6)
    assert torch.equal(after, truth)
    assert loss_fn.training


class Teaching:
    """A callable object, and one with a method, that asks a teacher."""

    def __init__(self, teacher: nn.Module) -> None:
        self.teachers = {"first": teacher}

    def __call__(self, model: Any, batch: Any) -> torch.Tensor:
        """Return the distance from the teacher, by example."""
        return self.distance(model, batch)

    def distance(self, model: Any, batch: Any) -> torch.Tensor:
        """Return the same."""
        told = self.teachers["first"](batch[0])
        return (model(batch[0]) - told).square().mean(dim=1)


@pytest.mark.parametrize("form", ["closure", "default", "global", "object", "method", "helper"])
def test_modules_that_a_loss_only_calls_are_measured_in_eval_mode_and_left_alone(
    plain, blobs, form, monkeypatch
):
    """A teacher or a critic: dropout off, moving averages used, and nothing of it changes."""
    teacher = nn.Sequential(spectral_norm(nn.Linear(12, 4)), nn.BatchNorm1d(4), nn.Dropout(0.5))
    teacher(blobs[0])
    monkeypatch.setitem(globals(), "TEACHER", teacher)
    own = Teaching(teacher)

    def closing(model: Any, batch: Any) -> torch.Tensor:
        return (model(batch[0]) - teacher(batch[0])).square().mean(dim=1)

    passed = {
        "closure": closing,
        "default": lambda model, batch, told=(teacher,): (
            (model(batch[0]) - told[0](batch[0])).square().mean(dim=1)
        ),
        "global": lambda model, batch: (model(batch[0]) - TEACHER(batch[0])).square().mean(dim=1),
        "object": own,
        "method": own.distance,
        "helper": lambda model, batch: 1.0 * closing(model, batch),
    }[form]
    evaluated = copy.deepcopy(teacher).eval()
    truth = (plain(blobs[0]) - evaluated(blobs[0])).square().mean().item()
    before = copy.deepcopy(teacher.state_dict())
    tracker = lca_torch.track(plain, lca_torch.BatchLoss(passed), blobs)
    with torch.no_grad():
        plain[0].weight *= 0.95
    tracker.step()

    assert tracker.finish().loss("train")[0] == pytest.approx(truth, rel=1e-6)
    assert same(before, teacher.state_dict())
    assert all(module.training for module in teacher.modules())


class Writing(nn.Module):
    """A network that writes into its parameters whenever it is called."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.words = nn.Embedding(10, 12, max_norm=None if how == "clamped" else 1.0)
        self.words.requires_grad_(requires_grad=how != "frozen")
        self.last, self.how = nn.Linear(12, 4), how

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        """Return logits."""
        if self.how == "clamped":
            self.words.weight.data.clamp_(-0.5, 0.5)
        return self.last(self.words(words).mean(dim=1))


@pytest.mark.parametrize("how", ["max_norm", "clamped", "frozen"])
def test_a_model_that_writes_into_its_parameters_trains_as_it_would(how, blobs):
    """Every look gets copies: neither the live parameters nor the tracker's own are written to."""
    words = torch.randint(10, (101, 5), generator=torch.Generator().manual_seed(1))
    ends = []
    for tracked in (False, True):
        torch.manual_seed(0)
        model = Writing(how)
        tracker = (
            lca_torch.track(model, nn.CrossEntropyLoss(), (words, blobs[1])) if tracked else None
        )
        optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1.0)
        for _ in range(3):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(words[:2]), blobs[1][:2]).backward()
            optimizer.step()
            if tracker is not None:
                tracker.step()
                iterate = tracker.iterate.params
                live = dict(model.named_parameters())
                assert all(torch.equal(iterate[name], live[name]) for name in iterate)
        ends.append(copy.deepcopy(model.state_dict()))
    assert same(*ends)


def test_stepping_inside_inference_mode_or_no_grad_works(plain, blobs):
    """Where the user calls step() from does not matter."""
    tracker = lca_torch.track(plain, nn.CrossEntropyLoss(), blobs)
    for context in (torch.no_grad(), torch.inference_mode()):
        with torch.no_grad():
            plain[0].weight *= 0.95
        with context:
            tracker.step()
    run = tracker.finish()

    assert np.all(run.status("train") == 0)
    assert np.all(run.allocation("train", by="leaf").values[:, 0] != 0)


def test_flags_are_restored_when_the_loss_raises(noisy, blobs):
    """An error inside the user's loss leaves the model as it was and the record intact."""
    broken = False

    def loss_fn(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        if broken:
            msg = "user's own error"
            raise ValueError(msg)
        return nn.functional.cross_entropy(outputs, targets, reduction="none")

    tracker = lca_torch.track(noisy, loss_fn, blobs)
    with torch.no_grad():
        noisy.fc2.weight *= 0.9
    tracker.step()
    flags = [module.training for module in noisy.modules()]
    broken = True
    with torch.no_grad():
        noisy.fc2.weight *= 0.9
    with pytest.raises(ValueError, match="user's own"):
        tracker.step()

    assert flags == [module.training for module in noisy.modules()]
    assert tracker.finish().steps == 1


def test_weights_that_the_caller_caches_are_computed_anew(blobs):
    """Inside `parametrize.cached()` every node has its own weights, and the cache is kept."""

    def measured(*, cached: bool) -> Any:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(12, 4))
        nn.utils.parametrizations.weight_norm(model[0])
        tracker = lca_torch.track(model, nn.CrossEntropyLoss(), blobs)
        with parametrize.cached() if cached else nullcontext():
            held = model[0].weight
            with torch.no_grad():
                model[0].parametrizations.weight.original0.mul_(1.1)
                model[0].parametrizations.weight.original1.add_(0.1)
            tracker.step()
            assert (model[0].weight is held) == cached
        return tracker.finish()

    expected, got = measured(cached=False), measured(cached=True)

    assert np.array_equal(got.allocation("train").values, expected.allocation("train").values)
    assert np.array_equal(got.loss("train"), expected.loss("train"))


class Checkpointed(nn.Module):
    """A perceptron that computes its second half again in the backward pass."""

    def __init__(self, *, reentrant: bool | None) -> None:
        super().__init__()
        self.first = nn.Linear(12, 8)
        self.second = nn.Linear(8, 4)
        self.reentrant = reentrant

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits."""
        hidden = self.first(x)
        if self.reentrant is None:
            return self.second(hidden)
        return checkpoint(self.second, hidden, use_reentrant=self.reentrant)


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad:UserWarning")
def test_checkpointed_activations_are_recomputed_or_refused(blobs):
    """Without re-entering the numbers are the plain ones; re-entering is refused at the start."""

    def measured(reentrant: Any) -> Any:
        torch.manual_seed(0)
        model = Checkpointed(reentrant=reentrant)
        tracker = lca_torch.track(model, nn.CrossEntropyLoss(), blobs)
        with torch.no_grad():
            model.first.weight.add_(0.1)
            model.second.bias[0] += 0.1
        tracker.step()
        return tracker.finish().allocation("train").values

    assert np.array_equal(measured(reentrant=False), measured(reentrant=None))
    with pytest.raises(UnsupportedError, match="use_reentrant=False"):
        measured(reentrant=True)
