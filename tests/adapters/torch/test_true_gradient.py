"""Where training was told to take another gradient, allocations are still of the loss's own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

import lca_torch
from lca_core import Status
from lca_core.errors import LeafError

WORDS = torch.tensor([[0, 1, 2, 0], [3, 3, 0, 1], [2, 4, 4, 4], [0, 0, 1, 3]])
LABELS = torch.tensor([0, 1, 2, 1])


class Reader(nn.Module):
    """Averages the words of a text; which are padding it asks of its embedding."""

    def __init__(self, **told) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.words, self.out = nn.Embedding(5, 6, **told), nn.Linear(6, 3)
        self.words.weight.data.normal_()  # as of a trained model, whose padding is not zero

    def forward(self, text):
        """Return logits; padding weighs half."""
        padding = -1 if self.words.padding_idx is None else self.words.padding_idx
        weight = torch.where(text == padding, 0.5, 1.0)[..., None]
        return self.out(torch.tanh(self.words(text) * weight).mean(1))


def moved(model, seed):
    """Move every parameter a little."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.02 * torch.randn(p.shape, generator=generator))


def of_the_padding(model, before):
    """Return the allocation of every row of the words by a fine sum of differences of the loss."""
    after = {k: v.clone() for k, v in model.state_dict().items()}
    cuts, found = 200, torch.zeros(5, dtype=torch.float64)
    twin = Reader(padding_idx=model.words.padding_idx).double()

    def loss(point):
        twin.load_state_dict(point)
        return nn.functional.cross_entropy(twin(WORDS), LABELS).item()

    step = {k: (after[k] - before[k]).double() / cuts for k in after}
    for cut in range(cuts):
        here = {k: before[k].double() + (cut + 0.5) * step[k] for k in after}
        for row in range(5):
            aside = torch.zeros_like(step["words.weight"])
            aside[row] = step["words.weight"][row] / 2
            ends = [{**here, "words.weight": here["words.weight"] + s * aside} for s in (1, -1)]
            found[row] += loss(ends[0]) - loss(ends[1])
    return found.numpy()


@pytest.mark.parametrize("told", [{"padding_idx": 0}, {"scale_grad_by_freq": True}])
def test_every_row_of_an_embedding_has_its_own_gradient(told):
    """The row of padding and rows that are used often are allocated what they do to the loss."""
    model = Reader(**told)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with lca_torch.track(model, nn.CrossEntropyLoss(), (WORDS, LABELS)) as tracker:
        moved(model, 1)
        tracker.step()
    run = tracker.run
    assert run.status("train").tolist() == [Status.OK]
    truth = of_the_padding(model, before)
    found = run.total("train")["words.weight"].sum(axis=1)
    np.testing.assert_allclose(found, truth, atol=2e-3 * np.abs(truth).sum())


class Named(nn.Embedding):
    """An embedding of the user's own."""


@pytest.mark.parametrize("kind", [Named, nn.EmbeddingBag])
def test_how_often_a_row_is_used_scales_no_look(kind):
    """A bag of words, or an embedding of one's own, is looked at as if it were told nothing."""
    found = []
    for scaled in (False, True):
        torch.manual_seed(0)
        words = kind(5, 4, scale_grad_by_freq=scaled)
        model = nn.Sequential(words, nn.Flatten(), nn.LazyLinear(3))
        model(WORDS)
        tracker = lca_torch.track(model, nn.CrossEntropyLoss(), (WORDS, LABELS))
        found.append(tracker._state.evaluations["train"].gradient["0.weight"])
        assert words.scale_grad_by_freq is scaled
    torch.testing.assert_close(*found)


@pytest.mark.parametrize("told", [{"padding_idx": 0}, {"scale_grad_by_freq": True}])
def test_the_training_keeps_its_own_gradient(told):
    """Gradients of the live model are those of a model that is not tracked, before and after."""
    gradients = []
    for tracked in (False, True):
        model = Reader(**told)
        if tracked:
            tracker = lca_torch.track(model, nn.CrossEntropyLoss(), (WORDS, LABELS))
            tracker.step()
        nn.functional.cross_entropy(model(WORDS), LABELS).backward()
        gradients.append(model.words.weight.grad)
        assert "forward" not in vars(model.words)
    assert torch.equal(*gradients)


@pytest.mark.parametrize("kind", ["register_full_backward_hook", "register_full_backward_pre_hook"])
def test_hooks_on_the_backward_pass_are_the_trainings(plain, blobs, kind):
    """A hook that scales gradients is not called by a look, and is there again behind it."""
    calls = []

    def scaled(module, grad, *_):
        calls.append(module)
        return tuple(0.1 * g for g in grad)

    getattr(plain[2], kind)(scaled)
    with lca_torch.track(plain, nn.CrossEntropyLoss(), blobs) as tracker:
        for seed in range(3):
            moved(plain, seed)
            tracker.step()
    assert not calls
    assert (tracker.run.status("train") == Status.OK).all()
    nn.functional.cross_entropy(plain(blobs[0]), blobs[1]).backward()
    assert calls == [plain[2]]


def test_complex_parameters_can_be_left_out(blobs):
    """The error says how; the others are followed."""

    class Complex(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.phase = nn.Parameter(torch.randn(4, dtype=torch.cfloat))
            self.out = nn.Linear(12, 4)

        def forward(self, x):
            return self.out(x) * self.phase.abs()

    model, loss = Complex(), nn.CrossEntropyLoss()
    with pytest.raises(LeafError, match="leaves=lambda name: name != 'phase'"):
        lca_torch.track(model, loss, blobs)
    with lca_torch.track(model, loss, blobs, leaves=lambda name: name != "phase") as tracker:
        moved(model.out, 0)
        tracker.step()
    assert tracker.run.status("train").tolist() == [Status.OK]


class Attention(nn.Module):
    """Averages what every token sees, padded ones too, of which a mask leaves nothing to see."""

    def __init__(self, kernel) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.kernel = kernel
        self.query, self.key, self.value, self.out = (nn.Linear(4, n) for n in (4, 4, 4, 3))

    def forward(self, tokens, kept):
        """Return logits."""
        mask = torch.where(kept[:, None, :] & kept[:, :, None], 0.0, -1e9)[:, None]
        told = (one(tokens)[:, None] for one in (self.query, self.key, self.value))
        with sdpa_kernel(self.kernel):
            seen = nn.functional.scaled_dot_product_attention(*told, attn_mask=mask)
        return self.out(seen[:, 0].mean(dim=1))


@pytest.mark.parametrize(
    ("kernel", "status"),
    [(SDPBackend.FLASH_ATTENTION, Status.STALLED), (SDPBackend.MATH, Status.OK)],
    ids=str,
)
def test_a_gradient_that_is_not_of_the_loss_is_told_by_the_books(kernel, status):
    """PyTorch's fused attention on a CPU differentiates another function for rows masked whole."""
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randn(40, 6, 4, generator=generator)
    kept = torch.arange(6) < torch.randint(2, 7, (40, 1), generator=generator)
    labels = torch.randint(3, (40,), generator=generator)
    model = Attention(kernel)
    optimizer, loss_fn = torch.optim.SGD(model.parameters(), 0.5), nn.CrossEntropyLoss()
    with lca_torch.track(model, loss_fn, (tokens, kept, labels)) as tracker:
        for _ in range(3):
            optimizer.zero_grad()
            loss_fn(model(tokens, kept), labels).backward()
            optimizer.step()
            tracker.step()
    assert tracker.run.status("train").tolist() == [status] * 3
