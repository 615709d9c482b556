"""A pytree's arrays as named leaves, and owned snapshots of them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, TypeAlias, cast

import jax
import jax.numpy as jnp
import numpy as np
from attrs import field, frozen
from jax.tree_util import DictKey, FlattenedIndexKey, GetAttrKey, SequenceKey

from lca_core import Layout, Leaf, Snapshot
from lca_core.errors import LeafError

UnitAxis: TypeAlias = Callable[[str, tuple[int, ...]], int | None]
"""(leaf name, shape) -> the axis of neurons, channels or rows; None for none."""

_TABLES = ("embedding", "embeddings", "table")
_HOST = (np.ndarray, np.generic)


@frozen
class Slot:
    """One array of the pytree.

    Args:
        name: of a leaf, or of a buffer.
        followed: a leaf; otherwise a buffer.
        dtype: that the loss function gets it in.
        key: the generator's name, for an array of random keys; their data are what is kept.
    """

    name: str
    followed: bool
    dtype: Any
    key: str | None = None

    def check(self, value: Any) -> None:
        """Raise a `LeafError` unless an array is of the type that it had when tracking began."""
        now = jnp.dtype(jnp.uint32) if self.key else _type(value)
        if now != self.dtype:
            what = f"Leaf '{self.name}'" if self.followed else f"The array '{self.name}'"
            msg = (
                f"{what} was of type {self.dtype} when tracking began, now it is of {now}: the "
                "loss would be measured in a type that training does not use. Pass to track() what "
                f"training goes on with, as by jnp.asarray(..., '{now}')."
            )
            raise LeafError(msg)

    @property
    def kept(self) -> Any:
        """The type it is kept in: float32 for leaves of half precision."""
        return widened(self.dtype) if self.followed else self.dtype


@frozen(eq=False)
class Leaves:
    """Which arrays of a pytree are leaves, and under which names.

    Everything else is a buffer if it is an array, and fixed if it is not.

    Args:
        layout: the leaves, in the pytree's order.
        slots: what stands at every place of the flat pytree; None where something fixed does.
        fixed: the values at these places (functions, Python numbers); None at the others.
        structure: of the pair (parameters, state).
    """

    layout: Layout
    slots: tuple[Slot | None, ...]
    fixed: tuple[Any, ...] = field(repr=False)
    structure: Any = field(repr=False)

    def capture(self, params: Any, state: Any = None) -> Snapshot:
        """Return an owned copy of an iterate; donating or deleting the originals leaves it alone.

        Leaves of half precision are copied to float32, so that displacements keep their digits.

        Args:
            params: of the structure that tracking began with.
            state: likewise.

        Raises:
            LeafError: the structure, the type of an array, or something that is none changed, or
                the arrays were donated.
        """
        values, structure = jax.tree_util.tree_flatten((params, state))
        if structure != self.structure:
            raise self._restructured((params, state))
        self._check_fixed(values)
        arrays = [(slot, v) for slot, v in zip(self.slots, values, strict=True) if slot]
        for slot, value in arrays:
            slot.check(value)
        copies = self._copy([_data(slot, value) for slot, value in arrays])
        named = list(zip(filter(None, self.slots), copies, strict=True))
        return Snapshot(
            {slot.name: copy for slot, copy in named if slot.followed},
            {slot.name: copy for slot, copy in named if not slot.followed},
        )

    def rebuilt(self, params: Any, buffers: Any) -> tuple[Any, Any]:
        """Return the user's own (parameters, state) with these values, in their own types."""
        values = [
            _restored(slot, (params if slot.followed else buffers)[slot.name]) if slot else fixed
            for slot, fixed in zip(self.slots, self.fixed, strict=True)
        ]
        pair: tuple[Any, Any] = jax.tree_util.tree_unflatten(self.structure, values)
        return pair

    def _copy(self, values: list[Any]) -> list[jax.Array]:
        # Any type that comes is taken as it is, also float64 where the user has switched it off.
        with jax.enable_x64(True):
            try:
                copies: list[jax.Array] = self._copies(values)
            except (RuntimeError, ValueError) as error:  # which of them, JAX changes
                gone = [s.name for s, v in zip(self._arrays, values, strict=True) if _is_gone(v)]
                if not gone:
                    raise
                msg = (
                    f"These arrays were donated, and are gone: {gone}. Pass what the training "
                    "step returned, not what went into it."
                )
                raise LeafError(msg) from error
        return copies

    @property
    def _arrays(self) -> list[Slot]:
        return [slot for slot in self.slots if slot]

    @cached_property
    def _copies(self) -> Callable[[list[Any]], list[jax.Array]]:
        kinds = [slot.kept for slot in self._arrays]

        def copies(values: list[Any]) -> list[jax.Array]:
            pairs = zip(values, kinds, strict=True)
            return [jax.lax.convert_element_type(jnp.copy(value), kind) for value, kind in pairs]

        return jax.jit(copies)

    def _restructured(self, pair: tuple[Any, Any]) -> LeafError:
        known = {slot.name for slot in self.slots if slot}
        found = {_slot(path, value, None) for path, value in _named(pair)}
        names = {slot.name for slot in found if slot}
        changes = f"missing {sorted(known - names)}, new {sorted(names - known)}"
        if names == known:
            changes = "the same arrays, but in other containers or with other settings in them"
        msg = (
            f"The structure of the parameters (or of the state) changed: {changes}. Pass to "
            "step() what track() was given; start a new tracker when the model changes."
        )
        return LeafError(msg)

    def _check_fixed(self, values: Sequence[Any]) -> None:
        triples = zip(self.slots, self.fixed, values, strict=True)
        for place, (slot, before, now) in enumerate(triples):
            if slot is None and not _same(before, now):
                keys, _ = _named(jax.tree_util.tree_unflatten(self.structure, values))[place]
                msg = (
                    f"'{'/'.join(keys)}', which is no array, changed from {before!r} to {now!r}, "
                    "which a compiled loss cannot see. Make it an array: jnp.asarray(...)."
                )
                raise LeafError(msg)


def _same(before: Any, now: Any) -> bool:
    if now is before:
        return True
    undefined = all(isinstance(one, float) and math.isnan(one) for one in (before, now))
    return undefined or (type(now) is type(before) and bool(now == before))


def _is_gone(value: Any) -> bool:
    return isinstance(value, jax.Array) and value.is_deleted()


def widened(dtype: Any) -> Any:
    """Return float32 for floating types of less, the type itself otherwise."""
    return jnp.dtype(jnp.float32) if jnp.dtype(dtype).itemsize < 4 else jnp.dtype(dtype)


def find_leaves(
    params: Any,
    state: Any = None,
    *,
    leaves: Callable[[str], bool] | None = None,
    unit_axis: UnitAxis | None = None,
) -> Leaves:
    """Name the leaves of a pytree.

    Args:
        params: any pytree.
        state: another, of what the loss depends on besides; None for nothing.
        leaves: leaf name -> whether to follow it; by default all arrays of real floating type.
        unit_axis: instead of `usual_unit_axis`.

    Raises:
        LeafError: there is nothing to follow, a leaf is complex, or two arrays have one name.
    """
    _check_functions(leaves=leaves, unit_axis=unit_axis)
    named = _named((params, state))
    slots = tuple(_slot(path, value, leaves) for path, value in named)
    _check_names(slots)
    pairs = list(zip(slots, named, strict=True))
    shapes = {
        slot.name: tuple(np.shape(value)) for slot, (_, value) in pairs if slot and slot.followed
    }
    if not shapes:
        msg = "The parameters hold no array of floating type to follow, or leaves= chooses none."
        raise LeafError(msg)
    axis = unit_axis or usual_unit_axis(tuple(shapes))
    layout = Layout(
        Leaf(
            slot.name,
            shapes[slot.name],
            str(slot.dtype),
            slot.name.rpartition("/")[0] or slot.name,
            axis(slot.name, shapes[slot.name]),
        )
        for slot in slots
        if slot and slot.followed
    )
    fixed = tuple(None if slot else value for slot, (_, value) in pairs)
    structure = jax.tree_util.tree_structure((params, state))
    return Leaves(layout, slots, fixed, structure)


def _check_functions(**given: Any) -> None:
    for name, function in given.items():
        if not (function is None or callable(function)):
            msg = (
                f"{name} must be a function of a leaf's name, got {function!r}. Pass one, as in "
                "leaves=lambda name: name != 'mask' or unit_axis=lambda name, shape: 0."
            )
            raise LeafError(msg)


def _check_names(slots: Sequence[Slot | None]) -> None:
    """Raise a `LeafError` if one array would stand for another; `Layout` looks at the leaves."""
    names = Counter(slot.name for slot in slots if slot and not slot.followed)
    twice = sorted(name for name, times in names.items() if times > 1)
    if twice:
        msg = (
            f"Every array that is not followed needs a name of its own, got more than one {twice}: "
            "names are the keys on the way, joined by '/'. Use other keys in the state, or in what "
            "leaves= leaves out."
        )
        raise LeafError(msg)


def usual_unit_axis(names: Sequence[str]) -> UnitAxis:
    """Return how the libraries lay out their arrays: the last axis counts the units.

    The first does for tables of embeddings, and in layers with a "weight" (Equinox).

    Args:
        names: of all leaves.
    """
    split = [name.rpartition("/") for name in names]
    outputs_first = {layer for layer, _, own in split if own.startswith("weight")}

    def axis(name: str, shape: tuple[int, ...]) -> int | None:
        layer, _, own = name.rpartition("/")
        if not shape:
            return None
        return 0 if layer in outputs_first or own in _TABLES else len(shape) - 1

    return axis


def _named(pair: tuple[Any, Any]) -> list[tuple[tuple[str, ...], Any]]:
    """Return the flat pytree: ("params" or "state", and the keys on the way) -> value."""
    flat, _ = jax.tree_util.tree_flatten_with_path(pair)
    siblings = Counter(path[:-1] for path, _ in flat)
    return [(_keys(path, alone=siblings[path[:-1]] == 1), value) for path, value in flat]


def _keys(path: tuple[Any, ...], *, alone: bool) -> tuple[str, ...]:
    # The one array inside an NNX variable is the variable.
    inside = alone and path[-1] == GetAttrKey("value")
    side = "state" if path[0] == SequenceKey(1) else "params"
    return (side, *(_key(entry) for entry in (path[1:-1] if inside else path[1:])))


def _key(entry: Any) -> str:
    """Return a key in one form, whether it came as a number, a string or an attribute."""
    match entry:
        case SequenceKey(idx=key) | FlattenedIndexKey(key=key) | DictKey(key=key):
            return str(key)
        case GetAttrKey(name=name):
            return str(name)
    return str(entry).strip(".[]'")


def _slot(keys: tuple[str, ...], value: Any, leaves: Callable[[str], bool] | None) -> Slot | None:
    """Return what an array is to be; None for what is no array."""
    if not isinstance(value, (jax.Array, *_HOST)):
        return None
    side, *inside = keys
    name = "/".join(inside) or side
    buffer = name if side == "state" else f"params:{name}"
    if jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
        impl = str(jax.random.key_impl(cast("jax.Array", value)))
        return Slot(buffer, followed=False, dtype=jnp.dtype(jnp.uint32), key=impl)
    dtype = _type(value)
    chosen = side == "params" and (leaves is None or leaves(name))
    if chosen and jnp.issubdtype(dtype, jnp.complexfloating):
        msg = (
            f"Leaf '{name}' must be of real floating type, got {dtype}. Keep its real and "
            "imaginary parts as two leaves, or leave it out with leaves=..."
        )
        raise LeafError(msg)
    if chosen and jnp.issubdtype(dtype, jnp.floating):
        return Slot(name, followed=True, dtype=dtype)
    return Slot(buffer, followed=False, dtype=dtype)


def _type(value: Any) -> Any:
    """Return the type that an array has in JAX."""
    return jax.dtypes.canonicalize_dtype(value.dtype) if isinstance(value, _HOST) else value.dtype


def _data(slot: Slot, value: Any) -> Any:
    return jax.random.key_data(value) if slot.key else value


def _restored(slot: Slot, value: Any) -> Any:
    if slot.key:
        return jax.random.wrap_key_data(value, impl=slot.key)
    return jax.lax.convert_element_type(value, slot.dtype)
