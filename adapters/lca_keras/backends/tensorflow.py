"""Keras on TensorFlow."""

from __future__ import annotations

import functools
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import tensorflow as tf
from tensorflow.python.eager import context

from lca_core.streams import untouched_host

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    import keras
    import numpy as np

    from lca_keras.backends import Leaves, Point


class TensorflowOps:
    """`lca_core.ArrayOps` for tensors; everything stays on their device."""

    def sum(self, array: Any, keep: int | None = None) -> Any:
        """Sum in float64 over all axes, or over all but `keep`; count booleans."""
        tensor = tf.convert_to_tensor(array)
        wide = tf.int64 if tensor.dtype == tf.bool else tf.float64
        axes = [axis for axis in range(tensor.shape.rank) if axis != keep]
        return tf.reduce_sum(tf.cast(tensor, wide), axes)

    def sign(self, array: Any) -> Any:
        """Return -1, 0 or 1; 0 for what is not a number."""
        sign = tf.sign(array)
        return tf.where(tf.math.is_nan(sign), tf.zeros_like(sign), sign)

    def take(self, array: Any, places: np.ndarray) -> Any:
        """Return the elements at some places."""
        return tf.gather(tf.reshape(array, [-1]), places)

    def histogram(self, array: Any) -> Any:
        """Count the elements by their first 11 bits."""
        bits = tf.bitcast(tf.reshape(tf.cast(array, tf.float32), [-1]), tf.uint32)
        bins = tf.cast(tf.bitwise.right_shift(bits, tf.constant(21, tf.uint32)), tf.int32)
        return tf.math.bincount(bins, minlength=2048, maxlength=2048, dtype=array.dtype)

    def concat(self, arrays: Sequence[Any]) -> Any:
        """Join numbers and vectors."""
        flat = [tf.reshape(array, [-1]) for array in arrays]
        return tf.concat(flat, axis=0) if flat else tf.zeros(0)

    def to_numpy(self, array: Any) -> np.ndarray:
        """Copy to the host."""
        values: np.ndarray = tf.convert_to_tensor(array).numpy()
        return values.copy()

    def from_numpy(self, array: np.ndarray, like: Any) -> Any:
        """Bring a host array to the type of `like`."""
        return tf.convert_to_tensor(array, dtype=like.dtype)


class Tensorflow:
    """`lca_keras.backends.Backend` for TensorFlow."""

    ops = TensorflowOps()

    def compile(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a graph function."""
        # TensorFlow counts the traces of one Python function, whoever compiles it, and warns.
        own = functools.partial(function)
        compiled: Callable[..., Any] = tf.function(own, autograph=False)
        return compiled

    def native(self) -> AbstractContextManager[None]:
        """Change nothing."""
        return nullcontext()

    def differentiate(self, function: Callable[[Leaves], Any], leaves: Leaves) -> Point:
        """Return value and gradient, by a tape."""
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(leaves)
            value = function(leaves)
        zero = tf.UnconnectedGradients.ZERO
        gradient = tape.gradient(value, leaves, unconnected_gradients=zero)
        # An embedding's gradient comes as rows and indices.
        return value, {name: tf.convert_to_tensor(g) for name, g in gradient.items()}

    def total(self, function: Callable[[Any], Point], starts: Sequence[int], zero: Point) -> Point:
        """Add up in one loop of the graph, never two passes at a time."""
        places = tf.constant(starts)

        def more(i: Any, so_far: Point) -> tuple[Any, Point]:
            return i + 1, tf.nest.map_structure(tf.add, so_far, function(places[i]))

        _, summed = tf.while_loop(
            lambda i, _: i < len(starts), more, (0, zero), parallel_iterations=1
        )
        point: Point = summed
        return point

    def cut(self, tensor: Any, start: Any, size: int) -> Any:
        """Return a slice; along the first axis it shares the tensor's memory."""
        rest = tensor.shape[1:]
        return tf.slice(tensor, [start, *[0] * len(rest)], [size, *rest])

    def owned(self, variable: keras.Variable) -> Any:
        """Return the value as it is read: a later update writes elsewhere."""
        return tf.identity(variable.value)

    def move(self, variable: keras.Variable, values: np.ndarray) -> None:
        """Assign."""
        variable.assign(values)

    def put(self, array: np.ndarray) -> Any:
        """Return a constant tensor."""
        return tf.convert_to_tensor(array)

    def untouched(self, seed: int = 0) -> AbstractContextManager[None]:
        """Guard Python's and NumPy's streams; TensorFlow's are drawn from by nobody here."""
        return untouched_host(seed)

    def same_draws(self) -> AbstractContextManager[None]:
        """Guard them while a program is traced; afterwards it draws no more."""
        return untouched_host()

    def streams(self) -> dict[str, bytes]:
        """Return what seeds operations, and the generator of `tf.random.Generator`'s users."""
        # It exists once tf.random.set_seed() was called.
        seeds = getattr(context.context(), "_rng", None)
        drawn = repr(seeds.getstate() if seeds else None).encode()
        generator = tf.random.get_global_generator().state.numpy().tobytes()
        return {"operation seeds": drawn, "global generator": generator}

    def kept_bytes(self, function: Callable[[Leaves], Any], leaves: Leaves) -> int:
        """Trace, and add up what the operations give."""
        graph = tf.function(function, autograph=False).get_concrete_function(leaves).graph
        tensors = [t for one in graph.get_operations() if one.inputs for t in one.outputs]
        known = [t for t in tensors if t.shape.is_fully_defined() and t.dtype.size]
        return sum(int(t.shape.num_elements() * t.dtype.size) for t in known)


BACKEND = Tensorflow()
