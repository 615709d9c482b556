"""What the commands and the conformance suite ask of the PyTorch backend."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from attrs import frozen
from torch import Tensor, nn

from lca_torch.losses import BatchLoss
from lca_torch.networks import build, spelling
from lca_torch.ops import TorchOps
from lca_torch.tracking import allocator
from lca_torch.training import tensors, train

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from lca_core import Layout, Run, Snapshot
    from lca_core.adapters import ExampleLoss, Mode, OnStep, Spelling
    from lca_core.datasets import Dataset, Split
    from lca_core.networks import NetworkSpec
    from lca_core.training import TrainingSpec
    from lca_torch.oracle import TorchOracle


@frozen
class TorchProblem:
    """A live module with its loss over data; `lca_core.adapters.Problem`."""

    oracle: TorchOracle

    @property
    def layout(self) -> Layout:
        """The leaves."""
        return self.oracle.leaves.layout

    def capture(self) -> Snapshot:
        """Return an owned copy of where the module stands."""
        return self.oracle.leaves.capture()

    def assign(self, params: Mapping[str, np.ndarray]) -> None:
        """Move parameters in place."""
        live = dict(self._model.named_parameters())
        with torch.no_grad():
            for name, values in params.items():
                live[self.oracle.leaves.keys[name]].copy_(torch.tensor(values))

    def traces(self) -> Mapping[str, bytes]:
        """Return parameters, buffers, gradients, flags and the random stream."""
        live = {**self._model.state_dict(keep_vars=True)}
        gradients = {f"{k}.grad": p.grad for k, p in live.items() if p.grad is not None}
        flags = {f"{k}.training": m.training for k, m in self._model.named_modules()}
        stream = {"random stream": torch.get_rng_state()}
        arrays = {**live, **gradients, **stream}
        return {
            **{k: array.detach().cpu().numpy().tobytes() for k, array in arrays.items()},
            **{k: bytes([flag]) for k, flag in flags.items()},
        }

    @property
    def _model(self) -> nn.Module:
        return self.oracle.leaves.model


class Named(nn.Module):
    """Parameters under given names, some of them the same under two."""

    def __init__(self, params: Mapping[str, np.ndarray], tied: Mapping[str, str]) -> None:
        super().__init__()
        for name, values in params.items():
            self.register_parameter(name, nn.Parameter(torch.tensor(values)))
        for alias, name in tied.items():
            self.register_parameter(alias, self.get_parameter(name))

    def leaves(self) -> dict[str, Tensor]:
        """Return every parameter by every name."""
        return dict(self.named_parameters(remove_duplicate=False))


class TorchAdapter:
    """`lca_core.adapters.Adapter` for PyTorch."""

    name = "torch"
    ops = TorchOps()

    def array(self, values: np.ndarray) -> Tensor:
        """Return a tensor of the same type."""
        return torch.tensor(values)

    def problem(
        self,
        loss: ExampleLoss,
        params: Mapping[str, np.ndarray],
        data: Mapping[str, np.ndarray],
        *,
        tied: Mapping[str, str],
        batch_size: int | None,
    ) -> TorchProblem:
        """Return a module of bare parameters with this loss."""
        batch_loss = BatchLoss(lambda model, batch: loss(model.leaves(), batch))
        return _problem(Named(params, tied), batch_loss, dict(data), "eval", batch_size)

    def network(
        self,
        spec: NetworkSpec,
        weights: Mapping[str, np.ndarray],
        split: Split,
        *,
        mode: Mode,
        batch_size: int | None,
    ) -> TorchProblem:
        """Return the spec's network with its cross-entropy over a split."""
        data = tensors(split, torch.device("cpu"))
        return _problem(build(spec, weights), nn.CrossEntropyLoss(), data, mode, batch_size)

    def spelling(self, spec: NetworkSpec) -> Mapping[str, Spelling]:
        """Return canonical name -> PyTorch's."""
        return spelling(spec)

    def train(
        self,
        spec: TrainingSpec,
        dataset: Dataset,
        *,
        on_step: OnStep,
        tracking: Mapping[str, Any],
        by_class: bool = False,
    ) -> Run:
        """Train the spec's network, tracking "train" and "val"."""
        return train(spec, dataset, on_step=on_step, tracking=tracking, by_class=by_class)


def _problem(
    model: nn.Module, loss_fn: Any, data: Any, mode: Mode, batch_size: int | None
) -> TorchProblem:
    oracles = allocator(model, loss_fn, {"train": data}, mode=mode, batch_size=batch_size).oracles
    oracle: Any = oracles["train"]
    return TorchProblem(oracle)


ADAPTER = TorchAdapter()
