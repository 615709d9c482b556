"""Trains the article's FC network for an epoch, and prints how many gradients a step took."""

from __future__ import annotations

import json
import sys

import torch
from torch import nn

import lca_torch
from lca_core import Adaptive
from lca_core.datasets import load_dataset
from lca_core.networks import fc
from lca_core.optimizers import SGD
from lca_core.training import TrainingSpec
from lca_torch.networks import build
from lca_torch.training import iterates, tensors

AUTHORS = Adaptive(rtol=0.0, atol=1e-3)
"""Their tolerance: a gap of 0.001 a step."""


def gradients(data: str, folder: str | None, epochs: int) -> float:
    """Return full passes over the training data a step, on average."""
    dataset = load_dataset(data, folder)
    network = fc(dataset.shape, 10)
    spec = TrainingSpec(network, SGD(0.01, 0.9), batch_size=250, epochs=epochs)
    model = build(network, spec.initial())
    x, y = tensors(dataset.train, torch.device("cpu"))
    moves = iterates(spec, model, (x, y))
    next(moves)
    with lca_torch.track(model, nn.CrossEntropyLoss(), (x, y), integrator=AUTHORS) as tracker:
        for _ in moves:
            tracker.step()
    return float(tracker.run.evaluations("train").mean())


if __name__ == "__main__":
    sys.stdout.write(json.dumps({"gradients": gradients(**json.loads(sys.argv[1]))}))
