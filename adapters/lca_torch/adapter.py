"""What the command line and the conformance suite ask of the PyTorch backend."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from lca_torch.tracking import track

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lca_core import Run
    from lca_core.datasets import Dataset, Split
    from lca_core.training import OnStep, TrainingSpec


def build(spec: TrainingSpec) -> nn.Sequential:
    """Return the spec's network with its initial weights."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    depth = len(spec.widths) - 1
    for i, (inputs, outputs) in enumerate(zip(spec.widths, spec.widths[1:], strict=False), 1):
        layers[f"fc{i}"] = nn.Linear(inputs, outputs)
        if i < depth:
            layers[f"relu{i}"] = nn.ReLU()
    model = nn.Sequential(layers)
    model.load_state_dict({k: torch.from_numpy(leaf) for k, leaf in spec.initial().items()})
    return model


class TorchAdapter:
    """`lca_core.training.Adapter` for PyTorch; trains on a GPU where there is one."""

    name = "torch"

    def train(
        self,
        spec: TrainingSpec,
        dataset: Dataset,
        *,
        on_step: OnStep,
        tracking: Mapping[str, Any],
    ) -> Run:
        """Train the spec's network by SGD with momentum, tracking "train" and "val"."""
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        model, loss_fn = build(spec).to(device), nn.CrossEntropyLoss()
        optimizer = torch.optim.SGD(model.parameters(), spec.learning_rate, spec.momentum)
        train, val = _tensors(dataset.train, device), _tensors(dataset.val, device)
        data = {"train": train, "val": val}
        with track(model, loss_fn, data, **tracking) as tracker:
            for indices in spec.batches(len(dataset.train)):
                batch = torch.from_numpy(indices).to(device)
                optimizer.zero_grad()
                loss_fn(model(train[0][batch]), train[1][batch]).backward()
                optimizer.step()
                tracker.step()
                on_step(tracker)
        return tracker.run


def _tensors(split: Split, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(split.inputs).to(device), torch.from_numpy(split.labels).to(device)


ADAPTER = TorchAdapter()
