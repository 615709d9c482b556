"""Loss and gradient over a whole data set, evaluated functionally."""

from __future__ import annotations

from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

import torch
from attrs import field, frozen
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from lca_core.errors import RuleError
from lca_core.streams import HostStreams
from lca_torch.attributes import put_back
from lca_torch.members import Members
from lca_torch.sums import Sums
from lca_torch.untouched import (
    differentiable,
    flags,
    normal_mode,
    precision,
    recomputed,
    untouched_rng,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from lca_core import Evaluation, Params, Snapshot
    from lca_torch.attributes import Touched
    from lca_torch.losses import Objective
    from lca_torch.parameters import Leaves
    from lca_torch.sources import Source

Mode: TypeAlias = Literal["eval", "batch-stats"]
NORMALISING = (_BatchNorm, _InstanceNorm)
TRAINING_MODULES: dict[str, tuple[type[nn.Module], ...]] = {"eval": (), "batch-stats": NORMALISING}
"""mode -> the modules that behave as in training while the loss is measured."""

_TF32_EPS = 2.0**-10


def machine_epsilon(leaves: Leaves, device: torch.device, autocast: torch.dtype | None) -> float:
    """Return the epsilon of the least precise arithmetic that the measurement uses.

    Raises:
        RuleError: `autocast` is no lower precision.
    """
    if autocast not in (None, torch.float16, torch.bfloat16):
        msg = f"autocast must be torch.bfloat16, torch.float16 or None, got {autocast!r}."
        raise RuleError(msg)
    live = Members.of(leaves.model).parameters
    kinds = [live[key].dtype for key in leaves.keys.values()]
    coarsest = max(torch.finfo(kind).eps for kind in (*kinds, autocast) if kind)
    tf32 = device.type == "cuda" and torch.backends.cuda.matmul.allow_tf32
    return max(coarsest, _TF32_EPS) if tf32 else coarsest


class Measured(nn.Module):
    """A model and its loss as one module, so that parameters are swapped for a whole pass.

    Args:
        model: what is tracked.
        objective: its loss.
        parts: modules that the loss is made of; their flags and buffers are guarded too.
    """

    def __init__(
        self, model: nn.Module, objective: Objective, parts: Sequence[nn.Module] = ()
    ) -> None:
        super().__init__()
        self.model = model
        self.objective = objective
        self.parts = nn.ModuleList(parts)
        known = set(model.modules())
        self.guarded = {
            f"parts.{key}": module
            for key, module in self.parts.named_modules()
            if key and module not in known
        }

    def buffers_of_loss(self) -> Iterator[tuple[str, Tensor]]:
        """Yield what the loss itself holds, by key."""
        for key, module in self.guarded.items():
            yield from module.named_buffers(key, recurse=False)

    def forward(self, batches: Iterable[Any], add: Callable[[Tensor, Tensor], None]) -> None:
        """Hand over weighted losses and weights of every batch."""
        for batch in batches:
            found = self.objective(self.model, batch)
            add(found.losses, found.weights)


@frozen
class TorchOracle:
    r"""L(θ) over all examples and its gradient.

    .. math:: L(\theta) = \frac{\sum_n w_n\, \ell_n(\theta)}{\sum_n w_n}

    The live model is not moved: parameters and buffers are swapped by
    `torch.func.functional_call`, plain attributes, flags and random streams are restored. Losses
    are summed in float64.

    Args:
        leaves: the model and its leaf names.
        measured: model and loss.
        source: the examples.
        batch_size: examples evaluated at once.
        mode: "eval", or "batch-stats" for batch norm on the chunk's own statistics.
        device: where the model is.
        eps: machine epsilon of the least precise arithmetic in use.
        autocast: evaluate in this lower precision; None for the parameters' own.
        touched: plain attributes that an evaluation changes.
        host: the host's random streams around an evaluation.
    """

    leaves: Leaves
    measured: Measured
    source: Source
    batch_size: int
    mode: Mode
    device: torch.device
    eps: float
    autocast: torch.dtype | None = None
    touched: tuple[Touched, ...] = ()
    host: HostStreams = field(factory=HostStreams, repr=False)

    def __call__(self, params: Params, buffers: Params) -> Evaluation:
        """Return loss and gradient at these parameters."""
        with self.measuring() as live:
            points = fresh(params)
            sums = self.sums(points, params)
            self.go_through(live, self._batches(), points, buffers, sums.add)
            return sums.mean()

    def sums(self, points: Mapping[str, Tensor], params: Params) -> Sums:
        """Return empty sums for the gradient by these points, which lies as `params` do."""
        return Sums(points, params, half=self._half)

    @cached_property
    def _half(self) -> bool:
        kinds = {leaf.dtype for leaf in self.leaves.layout.leaves}
        return self.autocast is torch.float16 or "float16" in kinds

    def weight(self, point: Snapshot) -> float:
        """Return the sum of the examples' weights; it does not depend on where one looks."""
        # Recording, since a loss may differentiate inside.
        with self.measuring() as live:
            sums = Sums({}, {})
            points = fresh(point.params)
            self.go_through(live, self._batches(), points, point.buffers, sums.add_weight)
            return float(sums.weight)

    @contextmanager
    def measuring(self) -> Iterator[Members]:
        """Enter the state in which the loss is measured, and leave no trace of it.

        Returns:
            What the live model is made of.
        """
        live = Members.of(self.leaves.model)
        modules = self.guarded(live)
        with (
            normal_mode(),
            put_back(modules, self.touched),
            recomputed(),
            differentiable(),
            precision(self.device, self.autocast),
            untouched_rng(self.device, host=self.host),
            flags(modules, training=TRAINING_MODULES[self.mode]),
        ):
            yield live

    def guarded(self, live: Members) -> tuple[nn.Module, ...]:
        """Return the modules whose flags and attributes a look must not change."""
        return (*live.modules, *self.measured.guarded.values())

    def _batches(self) -> Iterable[Any]:
        return self.source.batches(self.batch_size)

    def go_through(
        self,
        live: Members,
        batches: Iterable[Any],
        points: Mapping[str, Any],
        buffers: Params,
        add: Callable[[Tensor, Tensor], None],
    ) -> None:
        """Go through batches with these parameters in the place of the live ones.

        Args:
            live: from `measuring`.
            batches: on the device.
            points: leaf name -> what to evaluate at.
            buffers: what else the loss depends on.
            add: takes weighted losses and weights of every batch.
        """
        tensors = self._swapped_in(live, points, buffers)
        functional_call(self.measured, tensors, (batches, add), tie_weights=False)

    def _swapped_in(
        self, live: Members, points: Mapping[str, Any], buffers: Params
    ) -> dict[str, Tensor]:
        """Return what stands in for the live parameters and buffers, by all their keys."""
        tensors: dict[str, Tensor] = {}
        for name, point in points.items():
            key = self.leaves.keys[name]
            tensors[key] = point.to(live.parameters[key].dtype)
        # Clones: a module may update its buffers in place, as batch norm does.
        for key, buffer in live.buffers.items():
            value = cast("Tensor", buffers.get(key, buffer))
            tensors[key] = value.detach().clone()
        for key, first in live.tied.items():
            if first in tensors:
                tensors[key] = tensors[first]
        swapped = {f"model.{key}": tensor for key, tensor in tensors.items()}
        for key, buffer in self.measured.buffers_of_loss():
            swapped[key] = buffer.detach().clone()
        return swapped


def fresh(params: Params) -> dict[str, Tensor]:
    """Return leaves to differentiate by, even if the caller's step ran in inference mode."""
    return {name: _fresh(leaf) for name, leaf in params.items()}


def _fresh(leaf: Any) -> Tensor:
    tensor = cast("Tensor", leaf)
    own = tensor.clone() if tensor.is_inference() else tensor.detach()
    return own.requires_grad_()
