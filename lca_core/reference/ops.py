"""The numpy adapter: array functions, snapshots, `track`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lca_core.allocate import Allocator
from lca_core.integrate import Adaptive
from lca_core.observers import default_observers
from lca_core.tracker import Tracker, start
from lca_core.typing import Array, GradientOracle, Observer, Snapshot

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lca_core.layout import Layout
    from lca_core.segment import Integrator


class NumpyOps:
    """`ArrayOps` for numpy."""

    def sum(self, array: Any, keep: int | None = None) -> Any:
        """Sum in float64 over all axes, or over all but one."""
        axes = tuple(axis for axis in range(np.ndim(array)) if axis != keep)
        return np.sum(array, axis=axes, dtype=np.float64)

    def concat(self, arrays: Sequence[Array]) -> Any:
        """Join numbers and vectors."""
        return np.concatenate([np.atleast_1d(np.asarray(a)) for a in arrays] or [np.zeros(0)])

    def to_numpy(self, array: Any) -> np.ndarray:
        """Return the array itself."""
        return np.asarray(array)

    def from_numpy(self, array: np.ndarray, like: Any) -> Any:
        """Return a copy in the element type of `like`."""
        return np.array(array, dtype=like.dtype)


def snapshot(params: Mapping[str, Any]) -> Snapshot:
    """Return an owned copy of the parameters."""
    return Snapshot({name: np.array(leaf) for name, leaf in params.items()})


def track(
    oracles: Mapping[str, GradientOracle],
    params: Mapping[str, Any],
    layout: Layout,
    *,
    integrator: Integrator | None = None,
    observers: Sequence[Observer] | None = None,
    **options: Any,
) -> Tracker:
    """Track a numpy training loop; call `tracker.step(params)` after every update.

    Args:
        oracles: measure name -> oracle.
        params: θ_0, leaf name -> array.
        layout: the leaves.
        integrator: `Adaptive()` by default.
        observers: `default_observers(layout)` by default.
        options: `path`, `resume`, `every`, `chunk` of `lca_core.tracker.start`.

    Example:
        >>> import numpy as np
        >>> from lca_core.reference import Polynomial, track
        >>> problem = Polynomial({"x": np.array([1.0, 2.0])}, power=3)
        >>> x = {"x": np.array([2.0, 1.0])}
        >>> tracker = track({"train": problem}, x, problem.layout)
        >>> tracker.step({"x": 0.5 * x["x"]})
        >>> tracker.finish().total("train")["x"]
        array([-7.  , -1.75])
    """
    allocator = Allocator(
        NumpyOps(),
        oracles,
        layout,
        integrator or Adaptive(),
        default_observers(layout) if observers is None else tuple(observers),
    )
    versions = {"versions": {"numpy": np.__version__}}
    return start(
        allocator, snapshot(params), snapshot, config={"adapter": "numpy", **versions}, **options
    )
