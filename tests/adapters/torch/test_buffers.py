"""Buffers of every kind, and models whose modules are not nn.Module's own."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from torch import nn

import lca_torch
from lca_core.errors import LeafError

CONSTANTS = {
    "complex": lambda: torch.polar(torch.ones(4), torch.arange(4.0)),
    "sparse": lambda: torch.eye(4).to_sparse(),
    "small floats": lambda: torch.ones(4).to(torch.float8_e4m3fn),
    "unsigned": lambda: torch.ones(4, dtype=torch.uint16),
}


class Holding(nn.Module):
    """A layer behind a buffer that it multiplies with, as dense real numbers."""

    def __init__(self, buffer: torch.Tensor) -> None:
        super().__init__()
        self.layer = nn.Linear(12, 4)
        self.register_buffer("held", buffer)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return outputs, shape (n, 4)."""
        held = self.held.to_dense() if self.held.is_sparse else self.held
        real = held.real if held.is_complex() else held.to(torch.float32)
        return self.layer(x) * (real.sum(0) if real.dim() > 1 else real)


def moved(model: nn.Module) -> None:
    """Take a step."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(0.9)


@pytest.mark.parametrize("kind", CONSTANTS)
def test_a_buffer_that_cannot_be_compared_is_a_constant(blobs, kind):
    """Rotations of a language model or a graph's neighbours are no reason to stop."""
    model, loss_fn, (x, y) = Holding(CONSTANTS[kind]()), nn.CrossEntropyLoss(), blobs
    before = loss_fn(model(x), y).item()
    tracker = lca_torch.track(model, loss_fn, (x, y))
    moved(model)
    tracker.step()
    run = tracker.finish()
    assert run.loss("train").tolist() == pytest.approx([before, loss_fn(model(x), y).item()])
    assert abs(run.gap("train")[0]) < 1e-4


@pytest.mark.parametrize("change", ["gone", "of another shape"])
def test_a_buffer_that_changes_its_form_is_named(blobs, change):
    """What is recorded stays, and the error says which buffer."""
    model = Holding(torch.ones(4))
    tracker = lca_torch.track(model, nn.CrossEntropyLoss(), blobs)
    moved(model)
    tracker.step()
    if change == "gone":
        del model.held
    else:
        model.held = torch.ones(1)
    with pytest.raises(LeafError, match="held"):
        tracker.step()
    assert len(tracker._waiting) == 1


def test_a_scripted_model_is_measured(blobs):
    """TorchScript's modules hold their parameters as others do."""
    torch.manual_seed(0)
    with warnings.catch_warnings():
        # Whether it is deprecated, and by which kind of warning, depends on the version.
        warnings.filterwarnings("ignore", message=".*torch.jit.script.* is deprecated")
        model = torch.jit.script(nn.Sequential(nn.Linear(12, 4), nn.Tanh()))
    loss_fn, (x, y) = nn.CrossEntropyLoss(), blobs
    tracker = lca_torch.track(model, loss_fn, (x, y))
    moved(model)
    tracker.step()
    run = tracker.finish()
    assert run.loss("train")[1] == pytest.approx(loss_fn(model(x), y).item())
    np.testing.assert_allclose(
        np.diff(run.loss("train")), run.allocation("train").values.sum(1), atol=1e-4
    )
