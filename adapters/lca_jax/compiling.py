"""Functions of the core as one XLA program each, with float64 inside whatever the user's setting.

The core's containers become pytrees here. JAX sorts the keys of a dict wherever it looks into
one; leaves have an order of their own, so dicts travel as `OrderedDict`, which keeps it.
"""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import jax

from lca_core.closing import State
from lca_core.look import Look
from lca_core.typing import Evaluation, Snapshot


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function as one compiled program; `lca_core.Allocator`'s `compile`.

    Inside, float64 exists; whoever needs the user's own setting restores it (the oracle does,
    around the user's loss function).

    Args:
        function: of pytrees, returning pytrees; every argument is traced.

    Example:
        >>> import jax.numpy as jnp
        >>> from lca_jax.compiling import compiled
        >>> total = compiled(lambda leaves: jnp.sum(leaves["b"], dtype=jnp.float64))
        >>> total({"b": jnp.ones(3), "a": jnp.ones(2)}).dtype
        dtype('float64')
    """

    # A function of its own, since one program serves one wrapper: nothing is shared or kept alive.
    @functools.wraps(function)
    def ordered(*args: Any) -> Any:
        return in_order(function(*args))

    program = jax.jit(ordered)

    @functools.wraps(function)
    def call(*args: Any) -> Any:
        with jax.enable_x64(True):
            return program(*map(in_order, args))

    return call


def in_order(tree: Any) -> Any:
    """Return dicts, and dicts inside dicts and tuples, as pytrees that keep their order."""
    if isinstance(tree, Mapping):
        return OrderedDict((key, in_order(value)) for key, value in tree.items())
    if type(tree) in (tuple, list):
        return type(tree)(in_order(value) for value in tree)
    return tree


def register(kind: type, static: tuple[str, ...] = (), outside: tuple[str, ...] = ()) -> None:
    """Make a frozen attrs class a pytree.

    Args:
        kind: the class.
        static: fields that are hashable settings, not arrays; a program is made for each value.
        outside: fields for the host alone: in and behind a program they have their default, and
            one program serves all values.

    Example:
        >>> import jax
        >>> from attrs import frozen
        >>> from lca_jax.compiling import register
        >>> @frozen
        ... class Named:
        ...     values: jax.Array
        ...     name: str = ""
        >>> register(Named, outside=("name",))
        >>> jax.tree.map(lambda value: 2 * value, Named(1, "one"))
        Named(values=2, name='')
    """
    names = tuple(field.name for field in attrs.fields(kind))
    children = tuple(name for name in names if name not in (*static, *outside))

    def flatten(value: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        return (
            tuple(in_order(getattr(value, name)) for name in children),
            tuple(getattr(value, name) for name in static),
        )

    def unflatten(settings: tuple[Any, ...], parts: tuple[Any, ...]) -> Any:
        pairs = zip((*children, *static), (*parts, *settings), strict=True)
        return kind(**dict(pairs))

    jax.tree_util.register_pytree_node(kind, flatten, unflatten)


for _kind in (Snapshot, Evaluation, Look):
    register(_kind)
register(State, outside=("accounts",))  # compiled steps refine nothing, and keep none
