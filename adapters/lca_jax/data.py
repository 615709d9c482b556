"""Data sets as stacks of equal chunks on the device, ready for `jax.lax.scan`."""

from __future__ import annotations

import itertools
import math
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from attrs import frozen
from jax.sharding import NamedSharding, PartitionSpec, Sharding

from lca_core.chunks import even_cuts
from lca_core.errors import DataError
from lca_core.mixing import spread
from lca_core.partition import check_length

_ONE_BY_ONE = (
    "A partition or a probe picks examples one by one: pass arrays, not a list of batches."
)


@frozen(eq=False)
class Examples:
    """A data set on the host, and where it goes.

    Args:
        parts: batches that differ in form, each as large as the data allow; usually one.
        crc32: a fingerprint of all values, in order.
        places: for every array of a batch, where a stack of chunks of it goes; None for the
            default device.
        together: examples that the data's own sharding spreads over devices at once.
        home: where data belong that are not sharded.
    """

    parts: tuple[Any, ...]
    crc32: int
    places: tuple[Sharding | None, ...]
    together: int
    home: Sharding | None

    @property
    def examples(self) -> int:
        """How many there are."""
        return sum(map(_length, self.parts))

    def spread(self, size: int) -> Any:
        """Return examples of one form, spread over all of it; again where it holds fewer."""
        places = spread(_length(self.parts[0]), size)
        return jax.tree.map(lambda array: array[places], self.parts[0])

    def stacks(self, size: int) -> tuple[Any, ...]:
        """Return every example once, in chunks of at most `size`, put on the devices.

        Args:
            size: the most examples of a chunk.

        Returns:
            For every form of chunks (even cuts have at most two) all of them, stacked: arrays
            of shape (chunks, examples, ...).
        """
        forms: dict[Any, list[Any]] = {}
        for part in self.parts:
            for chunk in self._cut(part, size):
                forms.setdefault(form(chunk), []).append(chunk)
        return tuple(self._stacked(chunks) for chunks in forms.values())

    def pick(self, places: np.ndarray) -> Examples:
        """Return chosen examples, everywhere that the parameters are; no fingerprint is taken.

        Args:
            places: of the examples, shape (n,).
        """
        part = jax.tree.map(lambda array: array[places], self.parts[0])
        homes = (self.home,) * len(self.places)
        return Examples((part,), 0, homes, together=1, home=self.home)

    def _cut(self, part: Any, size: int) -> Iterator[Any]:
        rows = _length(part) // self.together
        edges = even_cuts(rows, max(1, size // self.together))
        for begin, end in itertools.pairwise(self.together * edge for edge in edges):
            yield jax.tree.map(lambda x: x[begin:end], part)  # noqa: B023

    def _stacked(self, chunks: list[Any]) -> Any:
        columns = zip(*map(jax.tree.leaves, chunks), strict=True)
        arrays = [
            jax.device_put(np.stack(column), place)
            for column, place in zip(columns, self.places, strict=True)
        ]
        return jax.tree.unflatten(jax.tree.structure(chunks[0]), arrays)


def read(data: Any, params: Any) -> Examples:
    """Return data as examples.

    Args:
        data: a pytree of arrays with examples along axis 0, or a list of such batches.
        params: the data go where these are, unless they are sharded themselves.

    Raises:
        DataError: no examples, lengths that differ, something that is no array.
    """
    batches = list(data) if _is_batches(data) else [data]
    for batch in batches:
        _check(batch)
    parts = [jax.tree.map(np.asarray, batch) for batch in batches]
    crc = 0
    for part in parts:
        crc = checksum(part, crc)
    if len({form(part, joined=True) for part in parts}) == 1:
        parts = [jax.tree.map(lambda *rows: np.concatenate(rows), *parts)] if parts[1:] else parts
    arrays = jax.tree.leaves(batches[0])
    together = math.lcm(*(_shards(array) for array in arrays)) if len(batches) == 1 else 1
    home = _home(params)
    places = tuple(_place(array, home) if len(batches) == 1 else home for array in arrays)
    return Examples(tuple(parts), crc, places, together, home)


def take(data: Any, places: np.ndarray, examples: int) -> Any:
    """Return some examples of data, as data; no longer sharded, if they were.

    Args:
        data: a pytree of arrays with examples along axis 0.
        places: of the examples.
        examples: how many the data should hold.

    Raises:
        DataError: they hold another number, or are a list of batches.
    """
    if _is_batches(data):
        raise DataError(_ONE_BY_ONE)
    _check(data)
    check_length(_length(data), examples)
    return jax.tree.map(lambda array: np.asarray(array)[places], data)


def examples_in(data: Any) -> int:
    """Return how many examples data hold that `take` can pick from.

    Raises:
        DataError: they cannot be picked one by one.
    """
    if _is_batches(data):
        raise DataError(_ONE_BY_ONE)
    _check(data)
    return _length(data)


def measures(data: Any) -> dict[str, Any]:
    """Tell several named data sets from one data set whose batches are dicts of arrays.

    Raises:
        DataError: a dict that names nothing, or that may be either.
    """
    if isinstance(data, Mapping):
        if not data:
            msg = "data={} names no measure; pass for example {'train': (x, y)}."
            raise DataError(msg)
        if not _is_batch(data):
            return dict(data)
    return {"train": data}


def checksum(batch: Any, crc: int = 0) -> int:
    """Return the CRC-32 of all values of a batch, continuing `crc`."""
    for array in jax.tree.leaves(batch):
        crc = zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data, crc)
    return crc


def _is_batch(data: Mapping[str, Any]) -> bool:
    """Tell one batch from measures: it has arrays beside nested arrays, and no loss takes either.

    Raises:
        DataError: arrays beside a list of what may be batches.
    """
    nested = {name: part for name, part in data.items() if not _is_array(part)}
    if len(nested) == len(data) or not all(map(_is_nest, nested.values())):
        return False
    for name, part in nested.items():
        if isinstance(part, list) and any(map(_is_nest, part)):
            array = next(name for name in data if name not in nested)
            msg = (
                f"data={{'{array}': array, '{name}': [{type(part[0]).__name__}, ...]}} may be one "
                "batch, or measures of which one is an array and one a list of batches. Pass "
                "data={'train': {...}} for one batch; give measures batches of one form."
            )
            raise DataError(msg)
    return True


def _is_nest(value: Any) -> bool:
    """Return whether this may be in a batch beside arrays; nothing may, as a mask that is None."""
    some = isinstance(value, list) and len(value) > 0
    return value is None or isinstance(value, (Mapping, tuple)) or some


def _is_array(value: Any) -> bool:
    return isinstance(value, (jax.Array, np.ndarray))


def _is_batches(data: Any) -> bool:
    """Tell a list of batches from one batch that is a list of arrays."""
    if isinstance(data, Iterator):
        msg = (
            f"Data must be readable again and again, got {type(data).__name__}. Pass arrays, "
            "or a list of batches."
        )
        raise DataError(msg)
    return isinstance(data, list) and not all(_is_array(part) for part in data)


def _check(batch: Any) -> None:
    arrays = jax.tree.leaves(batch)
    strange = [array for array in arrays if not _is_array(array) or array.ndim == 0]
    if strange:
        msg = (
            "Data must be arrays with examples along their first axis, in tuples, lists or "
            f"dicts, got {type(strange[0]).__name__} among them."
        )
        raise DataError(msg)
    if any(jnp.issubdtype(array.dtype, jax.dtypes.prng_key) for array in arrays):
        msg = "Data cannot hold random keys: pass jax.random.key_data(keys) and wrap it again."
        raise DataError(msg)
    for array in arrays:
        if np.dtype(array.dtype).kind in "OSUT" or not np.dtype(array.dtype).isnative:
            msg = (
                f"Data must be numbers that JAX knows, got an array of dtype {array.dtype!r}. "
                "Encode words as integers; array.astype('float32') turns the order of bytes."
            )
            raise DataError(msg)
    lengths = {len(array) for array in arrays}
    if not lengths:
        msg = f"The data set is empty: a {type(batch).__name__} without arrays. Pass arrays."
        raise DataError(msg)
    if lengths == {0}:
        msg = "The data set is empty; LCA needs at least one example."
        raise DataError(msg)
    if len(lengths) > 1:
        msg = f"All parts of the data need the same number of examples, got {sorted(lengths)}."
        raise DataError(msg)


def _length(part: Any) -> int:
    return len(jax.tree.leaves(part)[0])


def form(part: Any, *, joined: bool = False) -> Any:
    """Return what chunks must share to be stacked, or batches to be joined."""
    arrays, structure = jax.tree.flatten(part)
    first = 1 if joined else 0
    return structure, tuple((array.shape[first:], array.dtype) for array in arrays)


def _shards(array: Any) -> int:
    """Return over how many devices an array's examples are spread."""
    if not isinstance(array, jax.Array) or not isinstance(array.sharding, NamedSharding):
        return 1
    return len(array) // array.sharding.shard_shape(array.shape)[0]


def _place(array: Any, home: Sharding | None) -> Sharding | None:
    """Keep a sharded array's own sharding, behind the axis of chunks."""
    if not isinstance(array, jax.Array) or not isinstance(array.sharding, NamedSharding):
        return home
    spec = PartitionSpec(None, *array.sharding.spec)  # type: ignore[no-untyped-call]
    return NamedSharding(array.sharding.mesh, spec)


def _home(params: Any) -> Sharding | None:
    """Return where data belong that are not sharded: everywhere that the parameters are."""
    arrays = [leaf for leaf in jax.tree.leaves(params) if isinstance(leaf, jax.Array)]
    if not arrays or not arrays[0].committed:
        return None
    sharding = arrays[0].sharding
    if isinstance(sharding, NamedSharding):
        return NamedSharding(sharding.mesh, PartitionSpec())  # type: ignore[no-untyped-call]
    return sharding
