"""Examples with their targets and weights, in whatever nesting the model takes."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from attrs import evolve, frozen

from lca_core.errors import DataError
from lca_keras.backends import BACKEND

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


@frozen
class Batch:
    """Examples along the first axis of every array.

    Args:
        x: an array, or arrays in nested lists and dicts.
        y: targets, in the same way; None for models that need none.
        weight: of every example; None for equal ones.
    """

    x: Any
    y: Any = None
    weight: Any = None

    def map(self, function: Callable[[Any], Any]) -> Batch:
        """Apply a function to every array."""
        return self.filled(function(array) for array in self.arrays)

    def filled(self, arrays: Iterable[Any]) -> Batch:
        """Return a batch of the same form with other arrays."""
        form, others = (self.x, self.y, self.weight), iter(arrays)
        # Keras' map_structure goes through dicts in another order on PyTorch.
        flat = [None if part is None else next(others) for part in keras.tree.flatten(form)]
        return Batch(*keras.tree.pack_sequence_as(form, flat))

    @property
    def arrays(self) -> list[Any]:
        """All arrays, in order."""
        flat = keras.tree.flatten((self.x, self.y, self.weight))
        return [part for part in flat if part is not None]

    @property
    def examples(self) -> int:
        """How many there are.

        Raises:
            DataError: the arrays do not agree on it.
        """
        lengths = {int(part.shape[0]) for part in self.arrays}
        if len(lengths) != 1:
            msg = f"All parts of the data need the same number of examples, got {sorted(lengths)}."
            raise DataError(msg)
        return lengths.pop()


def checksum(batch: Batch, crc: int = 0) -> int:
    """Return the CRC-32 of all values of a batch of the host, continuing `crc`."""
    for array in batch.arrays:
        values = np.ascontiguousarray(array)
        plain = values.dtype.kind in "biufc"
        crc = zlib.crc32(values.tobytes() if plain else repr(values.tolist()).encode(), crc)
    return crc


def hosted(batch: Any) -> Batch:
    """Return what a data set gives, as arrays of the host.

    Raises:
        DataError: it has more than three parts, or something in them is no array.
    """
    parts = batch if isinstance(batch, (tuple, list)) else (batch,)
    if not 1 <= len(parts) <= 3:
        msg = f"A batch is (x,), (x, y) or (x, y, sample_weight), got {len(parts)} parts."
        raise DataError(msg)
    return Batch(*parts).map(_host)


def _host(part: Any) -> np.ndarray:
    """Return an array of the host; floating ones in Keras' own width, as `fit` makes them.

    Raises:
        DataError: it has no axis of examples, or is sparse or ragged.
    """
    try:
        is_tensor = keras.ops.is_tensor(part)
        array = BACKEND.ops.to_numpy(part) if is_tensor else np.asarray(part)
    except (TypeError, ValueError) as error:
        raise _no_array(part) from error
    if array.ndim == 0 or hasattr(part, "todense"):  # the sparse arrays of JAX
        raise _no_array(part)
    return array.astype(keras.config.floatx()) if array.dtype.kind == "f" else array


def _no_array(part: Any) -> DataError:
    return DataError(
        "Data must be arrays with examples along their first axis, in nested lists and dicts, "
        f"got {type(part).__name__} among them. Pass np.asarray(...) of a list of numbers, "
        "a dense array for a sparse one, a padded one for a ragged one, and a data set in batches."
    )


def put(batch: Batch) -> Batch:
    """Bring a batch to the device."""
    return batch.map(BACKEND.put)


def rows(batch: Batch, begin: int, end: int) -> Batch:
    """Return some of a batch of the host."""
    return batch.map(lambda array: array[begin:end])


def weighed(batch: Batch, class_weight: Mapping[int, float] | None) -> Batch:
    """Turn class weights into weights of examples; a class that is not named has weight 1.

    Raises:
        DataError: there are sample weights too, or no single array of targets.
    """
    if class_weight is None:
        return batch
    if batch.weight is not None or keras.tree.is_nested(batch.y) or batch.y is None:
        msg = (
            "class_weight needs one array of targets and no sample weights beside it; pass "
            "data=(x, y, sample_weight) instead."
        )
        raise DataError(msg)
    y = batch.y
    one_hot = y.ndim == 2 and y.shape[1] > 1
    classes = y.argmax(axis=1) if one_hot else np.round(y.reshape(len(y))).astype(np.int64)
    weights = [class_weight.get(int(one), 1.0) for one in classes]
    return evolve(batch, weight=np.array(weights, keras.config.floatx()))


def form(batch: Batch) -> str:
    """Return what batches that can be joined have in common."""
    return repr(batch.map(lambda array: f"{array.shape[1:]} {array.dtype}"))


def by_arrays(function: Callable[..., Any], like: Batch) -> Callable[..., Any]:
    """Return a function of a batch as one of its arrays, in order.

    A program on JAX would get the dicts of a batch as `OrderedDict`s, whose arrays Keras gives to
    its inputs in another order than those of a dict.

    Args:
        function: its last argument is a batch.
        like: a batch of the same form; its arrays are not kept.
    """
    empty = like.map(lambda _: 0)

    def call(*args: Any) -> Any:
        *others, arrays = args
        return function(*others, empty.filled(arrays))

    return call


def joined(batches: list[Batch]) -> Batch:
    """Return batches of one form as one."""
    parts = zip(*(batch.arrays for batch in batches), strict=True)
    return batches[0].filled(np.concatenate(part) for part in parts)


def size_of(batch: Batch) -> int:
    """Return its bytes."""
    return sum(array.nbytes for array in batch.arrays)
