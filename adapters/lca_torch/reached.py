"""What a loss may use: what is bound to it, what it closes over, and the globals that it names."""

from __future__ import annotations

import functools
import inspect
from types import CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

T = TypeVar("T", nn.Module, nn.Parameter)

_NONE: frozenset[str] = frozenset()
_CONTAINERS = (functools.partial, list, tuple, set, dict)
_FOREIGN = {"torch", "numpy"}
"""Packages whose own functions call no model of the user's by name."""


def reached(loss_fn: Any, kind: type[T]) -> tuple[T, ...]:
    """Return the modules, or the parameters, that a loss may use, each once.

    What it reaches by computed names, or inside of modules, is not seen.

    Args:
        loss_fn: any callable.
        kind: `nn.Module` or `nn.Parameter`.

    Example:
        >>> from torch import nn
        >>> from lca_torch.reached import reached
        >>> critic = nn.Linear(2, 1)
        >>> reached(lambda model, batch: -critic(model(batch)), nn.Module)
        (Linear(in_features=2, out_features=1, bias=True),)
    """
    seen: dict[tuple[int, frozenset[str]], Any] = {}  # holds them, so that no id comes twice
    waiting: list[tuple[Any, frozenset[str]]] = [(loss_fn, _NONE)]
    while waiting:
        value, names = waiting.pop()
        if (id(value), names) not in seen:
            seen[id(value), names] = value
            waiting += _next(value, names)
    found = {id(value): value for value in seen.values() if isinstance(value, kind)}
    return tuple(found.values())


def _next(value: Any, names: frozenset[str]) -> Iterator[tuple[Any, frozenset[str]]]:
    """Yield what a value leads to, each with the names that are looked up in it.

    Args:
        value: anything.
        names: attributes that the code which holds the value may ask for.
    """
    if isinstance(value, (nn.Module, Tensor)):
        return
    if inspect.ismethod(value):
        yield from _method(value.__func__, value.__self__)
    elif isinstance(value, FunctionType):
        if not _foreign(value.__module__):
            own = _names(value.__code__)
            yield from ((one, own) for one in _held(value, own))
    elif isinstance(value, _CONTAINERS):
        yield from ((one, names) for one in _inside(value))
    elif isinstance(value, ModuleType):
        named = (vars(value).get(name) for name in names)
        yield from ((one, _NONE) for one in named if isinstance(one, (nn.Module, Tensor)))
    elif not isinstance(value, type) and not _foreign(type(value).__module__):
        yield from _attributes(value, names)


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, functools.partial):
        return (value.func, *value.args, *value.keywords.values())
    found: Iterable[Any] = value.values() if isinstance(value, dict) else value
    return found


def _attributes(value: Any, names: frozenset[str]) -> Iterator[tuple[Any, frozenset[str]]]:
    """Yield the attributes of an object that are asked for, and its methods."""
    own = getattr(value, "__dict__", {})
    for name in {*names, "__call__"}:
        if name in own:
            yield own[name], names
        elif isinstance(method := getattr(type(value), name, None), FunctionType):
            yield from _method(method, value)


def _method(function: Any, owner: Any) -> Iterator[tuple[Any, frozenset[str]]]:
    yield function, _NONE
    if isinstance(function, FunctionType):
        yield owner, _names(function.__code__)


def _held(function: FunctionType, names: frozenset[str]) -> Iterator[Any]:
    """Yield what a function closes over, its defaults, and the globals that it names."""
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    yield from function.__defaults__ or ()
    yield from (function.__kwdefaults__ or {}).values()
    yield from (function.__globals__[name] for name in names & function.__globals__.keys())


def _names(code: CodeType) -> frozenset[str]:
    """Return the names of globals and attributes in a function, and in those inside it."""
    inner = (one for one in code.co_consts if isinstance(one, CodeType))
    return frozenset(code.co_names).union(*map(_names, inner))


def _foreign(module: str | None) -> bool:
    return str(module).partition(".")[0] in _FOREIGN
