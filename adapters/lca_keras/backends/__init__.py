"""What Keras leaves to the framework below it, chosen once for the process."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import keras

from lca_core.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    import numpy as np

    from lca_core import ArrayOps

Leaves: TypeAlias = dict[str, Any]
"""Leaf name -> tensor."""

Point: TypeAlias = tuple[Any, Leaves]
"""Loss, shape () and float64, and gradient."""


class Backend(Protocol):
    """A handful of functions that TensorFlow, PyTorch and JAX spell differently."""

    @property
    def ops(self) -> ArrayOps:
        """The core's array functions."""

    def compile(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a faster function of tensors in nested containers."""

    def native(self) -> AbstractContextManager[None]:
        """Enter the settings in which the user's own code runs."""

    def differentiate(self, function: Callable[[Leaves], Any], leaves: Leaves) -> Point:
        """Return the function's value at these leaves, and its gradient.

        Args:
            function: to a float64 scalar; it may leave leaves unused.
            leaves: where to look.
        """

    def total(self, function: Callable[[Any], Point], starts: Sequence[int], zero: Point) -> Point:
        """Return the sum of `function(start)`, one after the other, in memory for one of them.

        Args:
            function: called with a number, or a tensor of shape () that stands for it.
            starts: the numbers.
            zero: what the sum begins with.
        """

    def cut(self, tensor: Any, start: Any, size: int) -> Any:
        """Return rows start to start + size; the start may be a tensor of shape ()."""

    def owned(self, variable: keras.Variable) -> Any:
        """Return a copy of a variable's value that no later update or donation changes."""

    def move(self, variable: keras.Variable, values: np.ndarray) -> None:
        """Give a variable new values the way an optimizer does: in place, or losing the old."""

    def put(self, array: np.ndarray) -> Any:
        """Bring an array of the host to the default device, in its own type."""

    def untouched(self, seed: int = 0) -> AbstractContextManager[None]:
        """Run with fixed global random streams, and restore the caller's afterwards."""

    def same_draws(self) -> AbstractContextManager[None]:
        """Do so around the model's call, which is one of many: every look draws alike."""

    def streams(self) -> dict[str, bytes]:
        """Return the state of the framework's global random streams, by name."""

    def kept_bytes(self, function: Callable[[Leaves], Any], leaves: Leaves) -> int:
        """Return about how many bytes of intermediate values a function's backward pass needs."""


def _active() -> Backend:
    name = keras.backend.backend()
    if name not in ("tensorflow", "jax", "torch"):
        msg = (
            f"The Keras backend is '{name}'; LCA needs gradients: set KERAS_BACKEND to "
            "tensorflow, jax or torch before Keras is imported."
        )
        raise UnsupportedError(msg)
    backend: Backend = importlib.import_module(f"lca_keras.backends.{name}").BACKEND
    return backend


BACKEND = _active()
