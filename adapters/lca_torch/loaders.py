"""Readings of a user's loader that leave no trace in it, and loaders that cannot be trusted."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from attrs import frozen
from torch.utils.data.distributed import DistributedSampler
from torch.utils.data.sampler import RandomSampler, SubsetRandomSampler, WeightedRandomSampler

from lca_core.errors import DataError
from lca_torch.untouched import untouched_rng

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from torch.utils.data import DataLoader

_SHUFFLING = (RandomSampler, SubsetRandomSampler, WeightedRandomSampler, DistributedSampler)
_END = object()


@frozen
class Reader:
    """Reads batches; random streams are its own while it reads, and the caller's in between.

    Args:
        read: returns the batches, from the first on.
        device: where the model is.
        generators: that reading draws from, besides the global ones.
    """

    read: Callable[[], Iterable[Any]]
    device: torch.device
    generators: tuple[torch.Generator, ...] = ()

    @classmethod
    def of(cls, loader: DataLoader[Any], device: torch.device) -> Reader:
        """Read a user's loader.

        Args:
            loader: in fixed order.
            device: where the model is.

        Raises:
            DataError: it shuffles or drops examples.
        """
        check_loader(loader)
        own = _own(loader)
        return cls(lambda: own, device, _generators(loader))

    def __call__(self, seed: int = 0) -> Iterator[Any]:
        """Yield all batches.

        Args:
            seed: of the random streams, 0 or 1; of another reading, the other.
        """
        batches: Iterator[Any] = iter(())
        for place in itertools.count():
            # Not open across `yield`: a reading that is broken off may be freed at any time.
            with untouched_rng(self.device, 2 * place + seed, self.generators):
                batches = batches if place else iter(self.read())
                batch = next(batches, _END)
            if batch is _END:
                return
            yield _as_dict(batch)


def _as_dict(batch: Any) -> Any:
    """Return a batch of another kind of mapping, as tokenizers make, as a dict."""
    mapping = isinstance(batch, Mapping) and not isinstance(batch, dict)
    return dict(batch) if mapping else batch


def check_loader(loader: DataLoader[Any]) -> None:
    """Raise a `DataError` where a loader shuffles, or drops examples, or may drop them."""
    batches = _batches(loader)
    sampler: Any = getattr(batches, "sampler", loader.sampler)
    if isinstance(sampler, _SHUFFLING):
        msg = (
            f"The DataLoader draws with {type(sampler).__name__}; every example must come once, "
            "in a fixed order. Pass loader.dataset, or a DataLoader with shuffle=False."
        )
        raise DataError(msg)
    if not getattr(batches, "drop_last", False):
        return
    examples, size = _length(sampler), getattr(batches, "batch_size", None)
    if examples is None or size is None:
        msg = (
            "The DataLoader may drop the last examples: drop_last=True, and it does not tell how "
            "many there are. Every example must count: pass drop_last=False."
        )
        raise DataError(msg)
    if examples % size:
        msg = (
            f"The DataLoader drops the last {examples % size} of {examples} examples. "
            "Every example must count: pass drop_last=False."
        )
        raise DataError(msg)


def _batches(loader: DataLoader[Any]) -> Any:
    """Return what says which examples make a batch: without automatic batches, the sampler may."""
    return loader.sampler if loader.batch_sampler is None else loader.batch_sampler


def _length(sampler: Any) -> int | None:
    """Return how many examples a loader's batches are made of, where that is known."""
    return len(sampler) if hasattr(sampler, "__len__") else None


def _own(loader: DataLoader[Any]) -> DataLoader[Any]:
    """Return a loader with workers of its own: persistent ones serve one reading at a time."""
    if not loader.persistent_workers:
        return loader
    own = copy.copy(loader)
    own._iterator = None
    return own


def _generators(loader: DataLoader[Any]) -> tuple[torch.Generator, ...]:
    """Return the generators that a reading draws from, each once."""
    inner = getattr(_batches(loader), "sampler", None)
    owners = (loader, loader.sampler, loader.batch_sampler, inner)
    found = [getattr(owner, "generator", None) for owner in owners]
    return tuple({id(one): one for one in found if isinstance(one, torch.Generator)}.values())
