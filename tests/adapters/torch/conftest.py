"""Small models and data for the PyTorch tests."""

from __future__ import annotations

import pytest
import torch
from torch import nn


class Noisy(nn.Module):
    """A network with everything that could leave a trace: batch norm, dropout, a buffer."""

    def __init__(self, features: int = 12, classes: int = 4) -> None:
        super().__init__()
        self.fc1 = nn.Linear(features, 16)
        self.norm = nn.BatchNorm1d(16)
        self.drop = nn.Dropout(0.3)
        self.fc2 = nn.Linear(16, classes)
        self.register_buffer("scale", torch.ones(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits."""
        return self.fc2(self.drop(torch.relu(self.norm(self.fc1(x))))) * self.scale


@pytest.fixture
def blobs() -> tuple[torch.Tensor, torch.Tensor]:
    """101 examples of 12 features in 4 classes: a prime number, so every cut is ragged."""
    generator = torch.Generator().manual_seed(3)
    labels = torch.randint(4, (101,), generator=generator)
    centres = torch.randn(4, 12, generator=generator)
    return centres[labels] + 0.7 * torch.randn(101, 12, generator=generator), labels


@pytest.fixture
def noisy() -> Noisy:
    """The network with batch norm and dropout, always with the same weights."""
    torch.manual_seed(0)
    return Noisy()


@pytest.fixture
def plain() -> nn.Sequential:
    """A small perceptron, always with the same weights."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(12, 8), nn.Tanh(), nn.Linear(8, 4))
