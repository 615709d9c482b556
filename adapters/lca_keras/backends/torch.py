"""Keras on PyTorch."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import keras
import torch
from keras.src.backend.torch.core import get_device

from lca_core.streams import HostStreams, untouched_host
from lca_torch.ops import TorchOps
from lca_torch.untouched import same_draws

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    import numpy as np

    from lca_keras.backends import Leaves, Point


class Torch:
    """`lca_keras.backends.Backend` for PyTorch."""

    ops = TorchOps()
    _host = HostStreams()

    def compile(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function as it is: eager PyTorch."""
        return function

    def native(self) -> AbstractContextManager[None]:
        """Change nothing."""
        return nullcontext()

    def differentiate(self, function: Callable[[Leaves], Any], leaves: Leaves) -> Point:
        """Return value and gradient, by autograd."""
        with torch.inference_mode(mode=False), torch.enable_grad():
            points = {name: leaf.detach().clone().requires_grad_() for name, leaf in leaves.items()}
            value = function(points)
            if not value.requires_grad:  # the loss uses no leaf at all
                return value, {name: torch.zeros_like(leaf) for name, leaf in points.items()}
            gradient = torch.autograd.grad(
                value, list(points.values()), allow_unused=True, materialize_grads=True
            )
        return value.detach(), dict(zip(points, gradient, strict=True))

    def total(self, function: Callable[[Any], Point], starts: Sequence[int], zero: Point) -> Point:
        """Add up in place."""
        loss, gradient = zero
        for start in starts:
            more, of_more = function(start)
            loss = loss + more
            torch._foreach_add_(list(gradient.values()), list(of_more.values()))
        return loss, gradient

    def cut(self, tensor: Any, start: Any, size: int) -> Any:
        """Return a view."""
        return tensor[start : start + size]

    def owned(self, variable: keras.Variable) -> Any:
        """Return a clone."""
        with torch.inference_mode(mode=False):
            return variable.value.detach().clone()

    def move(self, variable: keras.Variable, values: np.ndarray) -> None:
        """Copy into the parameter."""
        with torch.no_grad():
            variable.value.copy_(torch.tensor(values))

    def put(self, array: np.ndarray) -> Any:
        """Return a tensor on Keras' device."""
        return keras.ops.convert_to_tensor(array)

    @contextmanager
    def untouched(self, seed: int = 0) -> Iterator[None]:
        """Guard PyTorch's streams too, on the CPU and on every GPU."""
        with untouched_host(seed), torch.random.fork_rng():
            torch.manual_seed(seed)
            yield

    def same_draws(self) -> AbstractContextManager[None]:
        """Guard all of them, quickly."""
        return same_draws(torch.device(get_device()), self._host)

    def streams(self) -> dict[str, bytes]:
        """Return the state of the CPU's stream."""
        return {"torch": torch.get_rng_state().numpy().tobytes()}

    def kept_bytes(self, function: Callable[[Leaves], Any], leaves: Leaves) -> int:
        """Count what the forward pass saves."""
        seen: set[int] = set()
        total = 0

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            nonlocal total
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in seen:
                seen.add(storage.data_ptr())
                total += min(storage.nbytes(), tensor.numel() * tensor.element_size())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            kept = function(
                {name: leaf.requires_grad_() for name, leaf in leaves.items()}
            )  # alive, so that no storage is used twice
        del kept
        return total


BACKEND = Torch()
