"""What batch norm and dropout do while the loss is measured is explicit, and the books close."""

from __future__ import annotations

import copy
import itertools

import numpy as np
import pytest
import torch
from torch import nn

import lca_torch
from lca_core import SIMPSON, Adaptive, Fixed, composite
from lca_core.errors import LossError, RuleError
from lca_torch.tracking import allocator

LOSS = nn.CrossEntropyLoss()


def train(model, data, tracker, steps=12, seed=5):
    """Train in train mode, so that moving averages move; return the model after every step."""
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    iterates = [copy.deepcopy(model)]
    model.train()
    for _ in range(steps):
        rows = torch.randint(len(data[1]), (32,), generator=generator)
        optimizer.zero_grad()
        LOSS(model(data[0][rows]), data[1][rows]).backward()
        optimizer.step()
        tracker.step()
        iterates.append(copy.deepcopy(model))
    return iterates


def loss_of(model, data, parameters=None):
    """Return the eval-mode loss in float64, optionally with another model's parameters."""
    probe = copy.deepcopy(model).double().eval()
    if parameters is not None:
        with torch.no_grad():
            for p, q in zip(probe.parameters(), parameters.parameters(), strict=True):
                p.copy_(q)
    return LOSS(probe(data[0].double()), data[1]).item()


def test_moving_averages_have_their_own_term_in_the_ledger(noisy, blobs):
    """In "eval" mode ΔL = Σ allocation + buffers + gap, each term checked from outside."""
    tracker = lca_torch.track(noisy, LOSS, blobs, integrator=Fixed(composite(SIMPSON, 8)))
    iterates = train(noisy, blobs, tracker)
    run = tracker.finish()
    losses = [loss_of(model, blobs) for model in iterates]
    moved = [
        loss_of(after, blobs, parameters=before) - loss_of(before, blobs)
        for before, after in itertools.pairwise(iterates)
    ]

    np.testing.assert_allclose(run.loss("train"), losses, rtol=1e-6)
    np.testing.assert_allclose(run.buffers("train"), moved, atol=1e-6)
    assert np.abs(run.buffers("train")).min() > 1e-5
    closed = run.allocation("train").values.sum(1) + run.buffers("train") + run.gap("train")
    np.testing.assert_allclose(closed, np.diff(run.loss("train")), atol=1e-12)
    assert np.abs(run.gap("train")).max() < 1e-4
    assert np.all(run.evaluations("train") == 17)


def test_batch_stats_mode_measures_the_chunk_statistics(noisy, blobs):
    """In "batch-stats" mode batch norm sees the chunk, dropout is off, averages do not matter."""
    tracker = lca_torch.track(noisy, LOSS, blobs, mode="batch-stats")
    iterates = train(noisy, blobs, tracker)
    run = tracker.finish()

    def truth(model):
        probe = copy.deepcopy(model).eval()
        probe.norm.train()
        return LOSS(probe(blobs[0]), blobs[1]).item()

    np.testing.assert_allclose(run.loss("train"), [truth(m) for m in iterates], rtol=1e-5)
    assert np.all(run.buffers("train") == 0.0)
    assert np.all(run.status("train") == 0)
    assert run.config["batch_size"]["train"] == 2500
    assert np.mean(run.evaluations("train")) < 3


def test_a_bias_before_batch_norm_gets_no_credit_in_batch_stats_mode(noisy, blobs):
    """Its gradient is exactly zero on the chunk's own statistics (paper, ResNet biases)."""
    tracker = lca_torch.track(noisy, LOSS, blobs, mode="batch-stats")
    train(noisy, blobs, tracker)
    run = tracker.finish()
    labels, values = run.allocation("train", by="leaf")
    total = dict(zip(labels, values.sum(0), strict=True))

    assert abs(total["fc1.bias"]) < 1e-6 * abs(total["fc1.weight"])


def test_eval_mode_without_moving_buffers_costs_one_gradient(noisy, blobs):
    """A model whose buffers stand still (fine-tuning with frozen averages) shares its ends."""
    noisy.eval()
    tracker = lca_torch.track(noisy, LOSS, blobs, integrator=Adaptive(atol=1.0, audit=None))
    with torch.no_grad():
        for _ in range(4):
            noisy.fc2.weight *= 0.95
            tracker.step()
    run = tracker.finish()

    assert np.all(run.evaluations("train") == 1)
    assert np.all(run.buffers("train") == 0.0)


def test_only_buffers_moved(noisy, blobs):
    """When only moving averages move, they get the whole change and the parameters zero."""
    tracker = lca_torch.track(noisy, LOSS, blobs)
    noisy.norm.running_mean += 0.1
    tracker.step()
    run = tracker.finish()

    assert np.all(run.allocation("train", by="leaf").values == 0.0)
    assert run.buffers("train")[0] == pytest.approx(np.diff(run.loss("train"))[0], abs=1e-12)
    assert run.buffers("train")[0] != 0.0


class Scaled(nn.Module):
    """A layer behind a factor that is a buffer."""

    def __init__(self, layer, factor):
        super().__init__()
        self.layer = layer
        self.register_buffer("factor", factor)

    def forward(self, x):
        return self.layer(self.factor * x)


def test_a_buffer_that_two_modules_share_is_one(plain, blobs):
    """Where the loss is measured at another value of it, both modules see that value."""
    factor = torch.tensor(1.0)
    model = nn.Sequential(Scaled(plain, factor), Scaled(nn.Linear(4, 4), factor))
    oracle = allocator(model, LOSS, blobs).oracles["train"]
    snapshot = lca_torch.track(model, LOSS, blobs).iterate
    assert list(snapshot.buffers) == ["0.factor"]
    elsewhere = oracle(snapshot.params, {"0.factor": torch.tensor(0.5)})
    factor.mul_(0.5)
    assert elsewhere.loss.item() == pytest.approx(loss_of(model, blobs), rel=1e-6)


def test_instance_norm_and_odd_chunks(blobs):
    """Batch statistics of evenly cut chunks: no chunk of one example, however the cut falls."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(12, 6), nn.BatchNorm1d(6), nn.Linear(6, 4))
    run = lca_torch.track(model, LOSS, blobs, mode="batch-stats", batch_size=50).finish()

    assert np.isfinite(run.loss("train")[0])


def test_batch_norm_without_moving_averages_needs_batch_stats_mode(blobs):
    """In "eval" mode its loss depends on how the data are cut: refused, with the remedy."""
    torch.manual_seed(0)
    norm = nn.BatchNorm1d(6, track_running_stats=False)
    model = nn.Sequential(nn.Linear(12, 6), norm, nn.Linear(6, 4))
    with pytest.raises(LossError, match="mode='batch-stats'"):
        lca_torch.track(model, LOSS, blobs)
    run = lca_torch.track(model, LOSS, blobs, mode="batch-stats").finish()
    truth = LOSS(model(blobs[0]), blobs[1]).item()
    assert run.loss("train")[0] == pytest.approx(truth, rel=1e-6)


def test_unknown_mode_is_refused(plain, blobs):
    """The modes are named in the error."""
    with pytest.raises(RuleError, match=r"'eval', 'batch-stats'.*'train'"):
        lca_torch.track(plain, LOSS, blobs, mode="train")
