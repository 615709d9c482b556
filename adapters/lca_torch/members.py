"""A model's modules, parameters and buffers, all found in one walk."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import torch
from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torch import Tensor, nn

Place: TypeAlias = tuple[MutableMapping[str, Any], str]
"""A dict of a module, and a name in it."""


@frozen
class Members:
    """What a model is made of; everything once, under the first of its keys, in PyTorch's order.

    `named_parameters` and its like find the same by a walk each: at every step, that is felt.

    Args:
        modules: the model itself and all within.
        parameters: key -> parameter.
        buffers: key -> buffer.
        tied: further key of a parameter or buffer -> the first one.
        places: every key -> the module's own dict that holds the tensor, and its name there.
    """

    modules: tuple[nn.Module, ...]
    parameters: dict[str, nn.Parameter]
    buffers: dict[str, Tensor]
    tied: dict[str, str]
    places: dict[str, Place]

    @classmethod
    def of(cls, model: nn.Module) -> Self:
        """Walk through a model.

        Example:
            >>> from torch import nn
            >>> from lca_torch.members import Members
            >>> model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2, bias=False))
            >>> model[1].weight = model[0].weight
            >>> members = Members.of(model)
            >>> list(members.parameters), members.tied
            (['0.weight', '0.bias'], {'1.weight': '0.weight'})
        """
        walked = list(model.named_modules())
        places: dict[str, Place] = {}
        parameters, tied = _once(((name, one._parameters) for name, one in walked), places)
        buffers, tied_buffers = _once(((name, one._buffers) for name, one in walked), places)
        modules = tuple(module for _, module in walked)
        return cls(modules, parameters, buffers, tied | tied_buffers, places)

    def copies(self) -> dict[str, Tensor]:
        """Return copies of the parameters, for a look that may write into what it sees."""
        return {
            key: live.detach().clone().requires_grad_(live.requires_grad)
            for key, live in self.parameters.items()
        }

    def written(self, copies: Mapping[str, Tensor]) -> frozenset[str]:
        """Return the keys of `copies` that were written into."""
        return frozenset(
            key
            for key, copy in copies.items()
            # Values too: `parameter.data` counts no versions.
            if copy._version or not torch.equal(copy, self.parameters[key])
        )


def _once(
    owned: Iterable[tuple[str, Any]], places: dict[str, Place]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return tensors by the first of their keys, and what further keys they have; add all places.

    In one loop: calls would be felt.
    """
    first: dict[int, str] = {}
    found: dict[str, Any] = {}
    tied: dict[str, str] = {}
    for module, tensors in owned:
        for name, tensor in tensors.items():
            if tensor is None:
                continue
            key = f"{module}.{name}" if module else name
            places[key] = (tensors, name)
            known = first.setdefault(id(tensor), key)
            if known == key:
                found[key] = tensor
            else:
                tied[key] = known
    return found, tied
