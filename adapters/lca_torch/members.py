"""A model's modules, parameters and buffers, all found in one walk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from torch import Tensor, nn


@frozen
class Members:
    """What a model is made of; everything once, under the first of its keys, in PyTorch's order.

    `named_parameters` and its like find the same by a walk each, and `functional_call` would walk
    twice more for what is tied: at every step, that is felt.

    Args:
        modules: the model itself and all within.
        parameters: key -> parameter.
        buffers: key -> buffer.
        tied: further key of a parameter or buffer -> the first one.
    """

    modules: tuple[nn.Module, ...]
    parameters: dict[str, nn.Parameter]
    buffers: dict[str, Tensor]
    tied: dict[str, str]

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
        parameters, tied = _once((name, module._parameters) for name, module in walked)
        buffers, tied_buffers = _once((name, module._buffers) for name, module in walked)
        modules = tuple(module for _, module in walked)
        return cls(modules, parameters, buffers, tied | tied_buffers)


def _once(owned: Iterable[tuple[str, Any]]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return tensors by the first of their keys, and what further keys they have."""
    first: dict[int, str] = {}
    found: dict[str, Any] = {}
    tied: dict[str, str] = {}
    for key, tensor in _by_key(owned):
        known = first.setdefault(id(tensor), key)
        if known == key:
            found[key] = tensor
        else:
            tied[key] = known
    return found, tied


def _by_key(owned: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    for module, tensors in owned:
        for name, tensor in tensors.items():
            if tensor is not None:
                yield f"{module}.{name}" if module else name, tensor
