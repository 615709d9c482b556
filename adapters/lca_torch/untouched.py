"""Leave no trace: random streams, flags and modes are as they were."""

from __future__ import annotations

from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.utils import parametrize

from lca_core.streams import untouched_host

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lca_core.streams import HostStreams


@contextmanager
def untouched_rng(
    device: torch.device, seed: int = 0, others: Iterable[torch.Generator] = ()
) -> Iterator[None]:
    """Run with fixed random streams and restore the caller's afterwards.

    Args:
        device: where the model is.
        seed: of every stream.
        others: generators of the caller's, besides the global ones.
    """
    generators = [*_generators(device), *others]
    states = [generator.get_state() for generator in generators]
    try:
        for generator in generators:
            generator.manual_seed(seed)
        with untouched_host(seed):
            yield
    finally:
        for generator, state in zip(generators, states, strict=True):
            generator.set_state(state)


@contextmanager
def same_draws(device: torch.device, host: HostStreams) -> Iterator[None]:
    """Do so around an evaluation, which is one of many.

    The same stream at every evaluation makes a model that draws in its forward pass a fixed
    function, so that its books can close too.

    Args:
        device: where the model is.
        host: the host's streams around its evaluations.
    """
    generators = _generators(device)
    states = [generator.get_state() for generator in generators]
    give_back = host.fixed()
    try:
        for generator in generators:
            generator.manual_seed(0)
        yield
    finally:
        give_back()
        for generator, state in zip(generators, states, strict=True):
            generator.set_state(state)


def _generators(device: torch.device) -> list[torch.Generator]:
    """Return the global ones."""
    generators = [torch.default_generator]
    if device.type == "cuda":
        index = torch.cuda.current_device() if device.index is None else device.index
        generators.append(torch.cuda.default_generators[index])
    return generators


@contextmanager
def flags(modules: Iterable[nn.Module], *, training: tuple[type[nn.Module], ...]) -> Iterator[None]:
    """Put only modules of these types into training mode, and restore every flag afterwards.

    Flags are set one by one: `model.eval()` may be overridden and do more than that.
    """
    before = [(module, module.training) for module in modules]
    try:
        for module, flag in before:
            wanted = isinstance(module, training)
            if flag != wanted:
                module.training = wanted
        yield
    finally:
        for module, flag in before:
            if module.training != flag:
                module.training = flag


def normal_mode() -> AbstractContextManager[Any]:
    """Leave inference mode where the caller is in it: entering anew what holds is felt."""
    return torch.inference_mode(mode=False) if torch.is_inference_mode_enabled() else nullcontext()


def recomputed() -> AbstractContextManager[Any]:
    """Compute parametrised weights anew where the caller caches them: they are of other points."""
    return _uncached() if parametrize._cache_enabled else nullcontext()


@contextmanager
def _uncached() -> Iterator[None]:
    """Leave every `parametrize.cached()`, which are counted, and enter them again."""
    depth, cache = parametrize._cache_enabled, parametrize._cache
    try:
        parametrize._cache_enabled, parametrize._cache = 0, {}
        yield
    finally:
        parametrize._cache_enabled, parametrize._cache = depth, cache


def differentiable() -> AbstractContextManager[Any]:
    """Record for gradients where the caller does not."""
    return nullcontext() if torch.is_grad_enabled() else torch.enable_grad()


def precision(device: torch.device, autocast: torch.dtype | None) -> AbstractContextManager[Any]:
    """Calculate in the parameters' own precision, or in a lower one.

    Args:
        device: where the arithmetic is.
        autocast: the lower precision; None for the parameters' own.
    """
    if autocast is None and not torch.is_autocast_enabled(device.type):
        return nullcontext()
    return torch.autocast(device.type, dtype=autocast, enabled=autocast is not None)
