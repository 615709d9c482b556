"""Loss and gradient over a whole data set, evaluated functionally."""

from __future__ import annotations

from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

import torch
from attrs import field, frozen
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from lca_core.streams import HostStreams
from lca_torch.attributes import put_back
from lca_torch.members import Members
from lca_torch.sums import Sums
from lca_torch.true_gradient import true_gradient
from lca_torch.untouched import (
    differentiable,
    flags,
    normal_mode,
    precision,
    recomputed,
    same_draws,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from lca_core import Evaluation, Params, Snapshot
    from lca_torch.attributes import Touched
    from lca_torch.losses import Weighted
    from lca_torch.measured import Measured
    from lca_torch.parameters import Leaves
    from lca_torch.sources import Source

Mode: TypeAlias = Literal["eval", "batch-stats"]
NORMALISING = (_BatchNorm, _InstanceNorm)
TRAINING_MODULES: dict[str, tuple[type[nn.Module], ...]] = {"eval": (), "batch-stats": NORMALISING}
"""mode -> the modules that behave as in training while the loss is measured."""


@frozen
class TorchOracle:
    r"""L(θ) over all examples and its gradient.

    .. math:: L(\theta) = \frac{\sum_n w_n\, \ell_n(\theta)}{\sum_n w_n}

    The live model is not moved: parameters and buffers are swapped for a while, plain attributes,
    flags and random streams are restored. Losses are summed in float64.

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
        written: keys of the parameters that the model writes into, as `nn.Embedding` does with
            `max_norm`: it gets copies.
        host: the host's random streams around an evaluation.
        total: the weight of all examples, where it is known beforehand.
        halves: the 16-bit types that a look computes in, besides.
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
    written: frozenset[str] = frozenset()
    host: HostStreams = field(factory=HostStreams, repr=False)
    total: float | None = None
    halves: frozenset[torch.dtype] = frozenset()

    def __call__(self, params: Params, buffers: Params) -> Evaluation:
        """Return loss and gradient at these parameters."""
        with self.measuring() as live:
            points = self.points(params)
            sums = self.sums(points, params, self.total)
            self.go_through(live, self._batches(), points, buffers, sums.add)
            return sums.mean()

    def points(self, params: Params) -> dict[str, Tensor]:
        """Return leaves to differentiate by, even if the caller's step ran in inference mode."""
        return {
            name: _fresh(leaf, copied=self.leaves.keys[name] in self.written)
            for name, leaf in params.items()
        }

    def sums(self, points: Mapping[str, Tensor], params: Params, weight: float | None) -> Sums:
        """Return empty sums for the gradient by these points, which lies as `params` do."""
        return Sums(points, params, weight=weight, half=self._half)

    @cached_property
    def _half(self) -> bool:
        kinds = {leaf.dtype for leaf in self.leaves.layout.leaves}
        return torch.float16 in {self.autocast, *self.halves} or "float16" in kinds

    def weight(self, point: Snapshot) -> float:
        """Return the sum of the examples' weights; it does not depend on where one looks."""
        if self.total is not None:
            return self.total
        # Recording, since a loss may differentiate inside.
        with self.measuring() as live:
            sums = Sums({}, {})
            points = self.points(point.params)
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
            same_draws(self.device, self.host),
            flags(modules, training=TRAINING_MODULES[self.mode]),
        ):
            true_gradient(modules)
            yield live

    def guarded(self, live: Members) -> tuple[nn.Module, ...]:
        """Return the modules whose flags and attributes a look must not change."""
        return (*live.modules, *self.measured.guarded)

    def _batches(self) -> Iterable[Any]:
        return self.source.batches(self.batch_size)

    def go_through(
        self,
        live: Members,
        batches: Iterable[Any],
        points: Mapping[str, Any],
        buffers: Params,
        add: Callable[[Weighted], None],
    ) -> None:
        """Go through batches with these parameters in the place of the live ones.

        Args:
            live: from `measuring`.
            batches: on the device.
            points: leaf name -> what to evaluate at.
            buffers: what else the loss depends on.
            add: takes what the loss gives of every batch.
        """
        keys = self.leaves.keys
        own = {
            keys[name]: point.to(live.parameters[keys[name]].dtype)
            for name, point in points.items()
        }
        for key in self.written - own.keys():
            own[key] = live.parameters[key].detach().clone()
        self.measured.evaluate(live, own, buffers, batches, add)


def _fresh(leaf: Any, *, copied: bool) -> Tensor:
    tensor = cast("Tensor", leaf)
    own = tensor.clone() if copied or tensor.is_inference() else tensor.detach()
    return own.requires_grad_()
