"""Where a backward pass was told to return anything but the gradient, a look takes the gradient."""

from __future__ import annotations

from collections import OrderedDict
from types import MethodType
from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

_HOOKS = ("_backward_hooks", "_backward_pre_hooks")


def true_gradient(modules: Iterable[nn.Module]) -> None:
    """Let modules be differentiated as they are evaluated, inside of `attributes.put_back`.

    Hooks on their backward pass scale or clip what passes; an `nn.Embedding` leaves out the row of
    its `padding_idx`, and divides by how often a row is used with `scale_grad_by_freq`. That is
    the training's: what the loss changes by where such a row moves is the gradient.

    Args:
        modules: the model's and the loss's.
    """
    for module in modules:
        held = vars(module)
        for name in _HOOKS:
            if held.get(name):
                held[name] = OrderedDict()
        if isinstance(module, (nn.Embedding, nn.EmbeddingBag)) and module.scale_grad_by_freq:
            held["scale_grad_by_freq"] = False
        # Its forward alone: other modules may read the index of the padding, and make masks of it.
        padded = type(module) is nn.Embedding and module.padding_idx is not None
        if padded and "forward" not in held:
            held["forward"] = MethodType(_embedded, module)


def _embedded(module: nn.Embedding, tokens: Tensor) -> Tensor:
    return F.embedding(
        tokens,
        module.weight,
        max_norm=module.max_norm,
        norm_type=module.norm_type,
        sparse=module.sparse,
    )
