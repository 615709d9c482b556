"""A `TrainingSpec` as a native PyTorch loop, tracked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from lca_core.optimizers import SGD, Adam, AdamW, Optimizer, RMSprop
from lca_core.resuming import reached
from lca_core.sampling import yardsticks
from lca_torch.networks import build, spelling
from lca_torch.tracking import track

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lca_core import Run
    from lca_core.adapters import OnStep
    from lca_core.datasets import Dataset, Split
    from lca_core.training import TrainingSpec


def train(
    spec: TrainingSpec,
    dataset: Dataset,
    *,
    on_step: OnStep,
    tracking: Mapping[str, Any],
    by_class: bool = False,
) -> Run:
    """Train the spec's network, on a GPU where there is one, tracking "train" and "val"."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(spec.seed)
    model = build(spec.network, spec.initial()).to(device)
    arguments = {**tracking}
    splits = {"train": tensors(dataset.train, device), "val": tensors(dataset.val, device)}
    sampling = arguments.pop("sampling", None)
    data = yardsticks(splits, dataset, spec, by_class=by_class, sampling=sampling)
    moves = iterates(spec, model, splits["train"])
    model = reached(moves, **tracking)
    with track(model, nn.CrossEntropyLoss(), data, **arguments) as tracker:
        for _ in moves:
            tracker.step()
            on_step(tracker)
    return tracker.run


def iterates(
    spec: TrainingSpec, model: nn.Module, data: tuple[Tensor, Tensor]
) -> Iterator[nn.Module]:
    """Yield the model as it stands, then after every step.

    Args:
        spec: the set-up.
        model: built from its network; it is trained in place.
        data: inputs and labels of all examples, on the model's device.
    """
    yield model
    (x, y), loss_fn, groups = data, nn.CrossEntropyLoss(), Groups(spec, model)
    batches, factors = spec.batches(len(y)), spec.factors(len(y))
    for step, (indices, factor) in enumerate(zip(batches, factors, strict=True)):
        batch = torch.from_numpy(indices).to(y.device)
        model.zero_grad()
        loss_fn(model(x[batch]), y[batch]).backward()
        groups.step(step, factor)
        yield model


def tensors(split: Split, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return a split's inputs and labels on the device."""
    return torch.from_numpy(split.inputs).to(device), torch.from_numpy(split.labels).to(device)


class Groups:
    """One optimizer a group of leaves, each with its own learning rate.

    Args:
        spec: the set-up.
        model: built from its network.
    """

    def __init__(self, spec: TrainingSpec, model: nn.Module) -> None:
        names, live = spelling(spec.network), dict(model.named_parameters())
        self._groups = spec.groups
        self._optimizers = [
            native(group.optimizer, [live[names[leaf].name] for leaf in group.leaves])
            for group in spec.groups
        ]

    def step(self, step: int, factor: float) -> None:
        """Move the leaves that are not frozen.

        Args:
            step: from 0.
            factor: what the schedule multiplies learning rates by.
        """
        for group, optimizer in zip(self._groups, self._optimizers, strict=True):
            if group.moves(step):
                optimizer.param_groups[0]["lr"] = group.optimizer.learning_rate * factor
                optimizer.step()


def native(optimizer: Optimizer, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    """Return PyTorch's own optimizer, whose formulas are the spec's."""
    rate = optimizer.learning_rate
    match optimizer:
        case SGD(momentum=momentum):
            return torch.optim.SGD(parameters, rate, momentum)
        case RMSprop(momentum=momentum, decay=decay, epsilon=epsilon):
            return torch.optim.RMSprop(parameters, rate, decay, epsilon, momentum=momentum)
        case Adam(beta1=beta1, beta2=beta2, epsilon=epsilon):
            return torch.optim.Adam(parameters, rate, (beta1, beta2), epsilon)
        case AdamW(weight_decay=decay, beta1=beta1, beta2=beta2, epsilon=epsilon):
            return torch.optim.AdamW(parameters, rate, (beta1, beta2), epsilon, decay)
