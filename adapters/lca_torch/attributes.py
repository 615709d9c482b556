"""What modules hold in plain attributes: a forward pass may change it, and it is put back."""

from __future__ import annotations

import copy
import operator
import pickle
import random
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from attrs import frozen
from torch import Tensor
from torch.utils import _pytree as pytree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from torch import nn

_GENERATORS = (random.Random, np.random.RandomState, np.random.Generator, torch.Generator)
_HOLDING = (np.ndarray, bytearray, set, dict, list)
"""Written into as well; of dicts and lists, those that PyTorch knows no way through."""

_MEMBERS = {"_parameters", "_buffers", "_modules"}
"""Swapped and copied elsewhere."""

_ABSENT = object()


@frozen
class Touched:
    """An attribute that a forward pass changes.

    Args:
        module: that holds it.
        name: of the attribute.
        inside: it is written into; else another value takes its place.
    """

    module: nn.Module
    name: str
    inside: bool

    def __str__(self) -> str:
        return f"{type(self.module).__name__}.{self.name}"


@contextmanager
def put_back(modules: Iterable[nn.Module], touched: Sequence[Touched] = ()) -> Iterator[None]:
    """Give every plain attribute back the value that it had.

    Args:
        modules: whose attributes.
        touched: those that are written into are copies meanwhile.
    """
    before = [(values, values.copy()) for one in modules for values in _held(vars(one))]
    try:
        for one in touched:
            if one.inside and one.name in vars(one.module):
                vars(one.module)[one.name] = _own(vars(one.module)[one.name])
        yield
    finally:
        for now, then in before:
            _restore(now, then)


def find_touched(modules: Sequence[nn.Module], look: Callable[[], None]) -> tuple[Touched, ...]:
    """Return the plain attributes that a look changes; they are as they were afterwards.

    State inside objects of the user's own classes is not seen.

    Args:
        modules: whose attributes.
        look: evaluates the model.
    """
    held = [
        Touched(one, name, inside=True) for one in modules for name in vars(one).keys() - _MEMBERS
    ]
    with put_back(modules):
        before = [vars(one.module)[one.name] for one in held]
        copies = [_own(value) for value in before]
        for one, value in zip(held, copies, strict=True):
            vars(one.module)[one.name] = value
        look()
        after = [vars(one.module).get(one.name, _ABSENT) for one in held]
    found = []
    for one, value, own, now in zip(held, before, copies, after, strict=True):
        if now is not own:
            found.append(Touched(one.module, one.name, inside=False))
        elif not _alike(value, own):
            found.append(one)
    return tuple(found)


def _held(values: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    """Return attributes and buffers: a mask that is made when first needed is the training's."""
    buffers = values.get("_buffers")
    return (values, buffers) if isinstance(buffers, dict) else (values,)  # TorchScript has none


def _restore(now: dict[str, Any], then: dict[str, Any]) -> None:
    if len(now) == len(then) and not any(map(operator.is_not, now.values(), then.values())):
        return  # the usual case, and it comes for every module at every look
    for name in now.keys() - then.keys():
        del now[name]
    now.update(then)


def _own(value: Any) -> Any:
    """Return a value whose tensors, arrays, generators and containers are its own."""

    def own(leaf: Any) -> Any:
        if isinstance(leaf, Tensor):
            return leaf.detach().clone()
        if isinstance(leaf, _GENERATORS):
            return copy.deepcopy(leaf)
        return copy.copy(leaf) if isinstance(leaf, _HOLDING) else leaf

    return pytree.tree_map(own, value)


def _alike(value: Any, own: Any) -> bool:
    """Return whether nothing was written into a copy of a value."""
    (leaves, form), (others, other) = pytree.tree_flatten(value), pytree.tree_flatten(own)
    return form == other and all(map(_same, leaves, others))


def _same(leaf: Any, own: Any) -> bool:
    if leaf is own:  # as of the weights that a recurrent layer lists: swapped, and back again
        return True
    if isinstance(leaf, Tensor) and isinstance(own, Tensor):
        # Values too, where they can be compared: `x.data` and numpy count no versions.
        strided = leaf.layout == own.layout == torch.strided
        return own._version == 0 and (not strided or torch.equal(leaf, own))
    if isinstance(leaf, np.ndarray):
        return bool(leaf.tobytes() == own.tobytes())
    if isinstance(leaf, _GENERATORS):
        return pickle.dumps(leaf) == pickle.dumps(own)
    return isinstance(leaf, _HOLDING) and _contents(leaf) == _contents(own)


def _contents(holding: Any) -> list[int]:
    """Return what is in a container, by identity: it may be of any kind."""
    values = holding.values() if isinstance(holding, dict) else ()
    return [id(one) for one in (*holding, *values)]
