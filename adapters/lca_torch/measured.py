"""A model and its loss, to be evaluated anywhere without being moved."""

from __future__ import annotations

from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from torch import Tensor, nn

    from lca_torch.losses import Objective, Weighted
    from lca_torch.members import Members, Place


@frozen
class Measured:
    """A model and its loss.

    Args:
        model: what is tracked.
        objective: its loss.
        parts: modules that the loss is made of; their flags and buffers are guarded too.
    """

    model: nn.Module
    objective: Objective
    parts: Sequence[nn.Module] = ()

    @cached_property
    def guarded(self) -> tuple[nn.Module, ...]:
        """The modules of the loss that are not the model's."""
        known = set(self.model.modules())
        own = (module for part in self.parts for module in part.modules())
        return tuple(module for module in dict.fromkeys(own) if module not in known)

    @property
    def parameters(self) -> Iterator[nn.Parameter]:
        """The live parameters, the loss's own too."""
        for module in (self.model, *self.parts):
            yield from module.parameters()

    def evaluate(
        self,
        live: Members,
        points: Mapping[str, Tensor],
        buffers: Mapping[str, Any],
        batches: Iterable[Any],
        add: Callable[[Weighted], None],
    ) -> None:
        """Hand over the losses of every batch with other tensors in the place of the live ones.

        What `torch.func.functional_call` does, by the places that are known already.

        Args:
            live: what the model is made of now.
            points: key of a parameter -> what stands in for it.
            buffers: key of a buffer, or of a parameter that counts as one -> its value; the
                others keep theirs.
            batches: on the device.
            add: takes what the loss gives.
        """
        with _swapped(self._standing_in(live, points, buffers)):
            for batch in batches:
                add(self.objective(self.model, batch))

    def _standing_in(
        self, live: Members, points: Mapping[str, Tensor], buffers: Mapping[str, Any]
    ) -> Iterator[tuple[Place, Tensor]]:
        """Yield what stands in for the live parameters and buffers, in all their places."""
        tensors = dict(points)
        # Clones: a module may update its buffers in place, as batch norm does.
        for key, buffer in {**live.buffers, **buffers}.items():
            tensors[key] = cast("Tensor", buffer).detach().clone()
        for key, tensor in tensors.items():
            if key in live.places:  # else it says something of the others; see `Leaves.capture`
                yield live.places[key], tensor
        for key, first in live.tied.items():
            if first in tensors:
                yield live.places[key], tensors[first]
        for module in self.guarded:
            for name, buffer in module.named_buffers(recurse=False):
                yield (module._buffers, name), buffer.detach().clone()


@contextmanager
def _swapped(standing_in: Iterable[tuple[Place, Tensor]]) -> Iterator[None]:
    """Let tensors stand in the place of others for a while."""
    pairs = list(standing_in)
    before = [held[name] for (held, name), _ in pairs]
    try:
        for (held, name), tensor in pairs:
            held[name] = tensor
        yield
    finally:
        for ((held, name), _), tensor in zip(pairs, before, strict=True):
            held[name] = tensor
