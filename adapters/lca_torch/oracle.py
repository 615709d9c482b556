"""Loss and gradient over a whole data set, evaluated functionally."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

import torch
from attrs import frozen
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from lca_core import Evaluation, Params
from lca_torch.untouched import flags, untouched_rng

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lca_core import Snapshot
    from lca_torch.data import Source
    from lca_torch.losses import Objective
    from lca_torch.parameters import Leaves

Mode: TypeAlias = Literal["eval", "batch-stats"]
NORMALISING = (_BatchNorm, _InstanceNorm)
TRAINING_MODULES: dict[str, tuple[type[nn.Module], ...]] = {"eval": (), "batch-stats": NORMALISING}
"""mode -> the modules that behave as in training while the loss is measured."""

_TF32_EPS = 2.0**-10


def machine_epsilon(leaves: Leaves, device: torch.device, autocast: torch.dtype | None) -> float:
    """Return the epsilon of the least precise arithmetic that the measurement uses."""
    live = dict(leaves.model.named_parameters())
    kinds = [live[key].dtype for key in leaves.keys.values()]
    coarsest = max(torch.finfo(kind).eps for kind in (*kinds, autocast) if kind)
    tf32 = device.type == "cuda" and torch.backends.cuda.matmul.allow_tf32
    return max(coarsest, _TF32_EPS) if tf32 else coarsest


class Measured(nn.Module):
    """A model and its loss as one module, so that parameters are swapped for the whole call."""

    def __init__(self, model: nn.Module, objective: Objective) -> None:
        super().__init__()
        self.model = model
        self.objective = objective

    def forward(self, batch: Any) -> tuple[Tensor, Tensor]:
        """Return weighted losses and weights of a batch."""
        return self.objective(self.model, batch)


@frozen
class TorchOracle:
    r"""L(θ) over all examples and its gradient.

    .. math:: L(\theta) = \frac{\sum_n w_n\, \ell_n(\theta)}{\sum_n w_n}

    The live model is not moved: parameters and buffers are swapped by
    `torch.func.functional_call`, flags and random streams are restored. Losses are summed in
    float64.

    Args:
        leaves: the model and its leaf names.
        measured: model and loss.
        source: the examples.
        batch_size: examples evaluated at once.
        mode: "eval", or "batch-stats" for batch norm on the chunk's own statistics.
        device: where the model is.
        eps: machine epsilon of the least precise arithmetic in use.
        autocast: evaluate in this lower precision; None for the parameters' own.
    """

    leaves: Leaves
    measured: Measured
    source: Source
    batch_size: int
    mode: Mode
    device: torch.device
    eps: float
    autocast: torch.dtype | None = None

    def __call__(self, params: Params, buffers: Params) -> Evaluation:
        """Return loss and gradient at these parameters."""
        with self.measuring():
            points = {name: _fresh(leaf) for name, leaf in params.items()}
            tensors = self._swapped_in(points, buffers)
            loss = torch.zeros((), dtype=torch.float64, device=self.device)
            weight = torch.zeros_like(loss)
            gradient: list[Tensor] = []
            for batch in self.source.batches(self.batch_size):
                losses, weights = functional_call(self.measured, tensors, (batch,))
                loss += losses.detach().sum(dtype=torch.float64)
                weight += weights.detach().sum(dtype=torch.float64)
                gradient = self._add_gradient(gradient, losses, points)
            scaled = torch._foreach_mul(gradient, 1.0 / weight)
            typed = [g.to(p.dtype) for g, p in zip(scaled, points.values(), strict=True)]
            return Evaluation(loss / weight, dict(zip(points, typed, strict=True)))

    def weight(self, point: Snapshot) -> float:
        """Return the sum of the examples' weights; it does not depend on where one looks."""
        with self.measuring(), torch.no_grad():
            tensors = self._swapped_in(point.params, point.buffers)
            total = torch.zeros((), dtype=torch.float64, device=self.device)
            for batch in self.source.batches(self.batch_size):
                _, weights = functional_call(self.measured, tensors, (batch,))
                total += weights.sum(dtype=torch.float64)
            return float(total)

    @contextmanager
    def measuring(self) -> Iterator[None]:
        """Enter the state in which the loss is measured, and leave no trace of it."""
        with ExitStack() as stack:
            stack.enter_context(torch.inference_mode(mode=False))
            stack.enter_context(torch.enable_grad())
            stack.enter_context(untouched_rng(self.device))
            training = TRAINING_MODULES[self.mode]
            stack.enter_context(flags(self.leaves.model, training=training))
            enabled = self.autocast is not None
            stack.enter_context(
                torch.autocast(self.device.type, dtype=self.autocast, enabled=enabled)
            )
            yield

    def _swapped_in(self, points: Mapping[str, Any], buffers: Params) -> dict[str, Tensor]:
        """Return what stands in for the live parameters and buffers."""
        model = self.leaves.model
        live = dict(model.named_parameters())
        tensors: dict[str, Tensor] = {}
        for name, point in points.items():
            key = self.leaves.keys[name]
            tensors[f"model.{key}"] = point.to(live[key].dtype)
        # Clones: a module may update its buffers in place, as batch norm does.
        for key, buffer in model.named_buffers():
            value = cast("Tensor", buffers.get(key, buffer))
            tensors[f"model.{key}"] = value.detach().clone()
        return tensors

    def _add_gradient(
        self, total: list[Tensor], losses: Tensor, points: dict[str, Tensor]
    ) -> list[Tensor]:
        if not losses.requires_grad:  # the loss uses no leaf at all
            return total or [torch.zeros_like(point) for point in points.values()]
        gradient = torch.autograd.grad(
            losses.sum(), list(points.values()), allow_unused=True, materialize_grads=True
        )
        if not total:
            return list(gradient)
        torch._foreach_add_(total, gradient)
        return total


def _fresh(leaf: Any) -> Tensor:
    """Return a leaf to differentiate by, even if the caller's step ran in inference mode."""
    tensor = cast("Tensor", leaf)
    own = tensor.clone() if tensor.is_inference() else tensor.detach()
    return own.requires_grad_()
