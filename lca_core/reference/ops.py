"""The numpy adapter: array functions, snapshots, `track`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lca_core.allocate import Allocator
from lca_core.choices import chosen
from lca_core.starting import start
from lca_core.typing import Array, GradientOracle, Observer, Snapshot

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lca_core.layout import Layout
    from lca_core.redraws import Redraws
    from lca_core.segment import Integrator
    from lca_core.tracker import Tracker


class NumpyOps:
    """`ArrayOps` for numpy."""

    def sum(self, array: Any, keep: int | None = None) -> Any:
        """Sum in float64 over all axes, or over all but one; complex numbers in complex128."""
        axes = tuple(axis for axis in range(np.ndim(array)) if axis != keep)
        wide = np.complex128 if np.iscomplexobj(array) else np.float64
        return np.sum(array, axis=axes, dtype=wide)

    def sign(self, array: Any) -> Any:
        """Return -1, 0 or 1; 0 for what is not a number."""
        return np.nan_to_num(np.sign(array))

    def take(self, array: Any, places: np.ndarray) -> Any:
        """Return the elements at some places."""
        return np.ravel(array)[places]

    def histogram(self, array: Any) -> Any:
        """Count the elements by their first 11 bits."""
        with np.errstate(over="ignore"):  # what float32 takes for infinite has bins of its own
            bits = np.ravel(array).astype(np.float32).view(np.uint32)
        return np.bincount(bits >> 21, minlength=2048).astype(array.dtype)

    def concat(self, arrays: Sequence[Array]) -> Any:
        """Join numbers and vectors."""
        return np.concatenate([np.atleast_1d(np.asarray(a)) for a in arrays] or [np.zeros(0)])

    def to_numpy(self, array: Any) -> np.ndarray:
        """Return the array itself."""
        return np.asarray(array)

    def from_numpy(self, array: np.ndarray, like: Any) -> Any:
        """Return a copy in the element type of `like`."""
        return np.array(array, dtype=like.dtype)


def snapshot(params: Mapping[str, Any], buffers: Mapping[str, Any] | None = None) -> Snapshot:
    """Return an owned copy of the parameters, and of the buffers if there are some."""
    return Snapshot(_copied(params), _copied(buffers or {}))


def _copied(arrays: Mapping[str, Any]) -> dict[str, np.ndarray]:
    return {name: np.array(array) for name, array in arrays.items()}


def track(
    oracles: Mapping[str, GradientOracle | Redraws],
    params: Mapping[str, Any],
    layout: Layout,
    *,
    buffers: Mapping[str, Any] | None = None,
    config: Mapping[str, Any] | None = None,
    integrator: Integrator | None = None,
    observers: Sequence[Observer] | None = None,
    wholes: Mapping[str, Mapping[str, float]] | None = None,
    **options: Any,
) -> Tracker:
    """Track a numpy training loop; call `tracker.step(params)` after every update.

    Where the loss depends on buffers, call `tracker.step(params, buffers)`.

    Args:
        oracles: measure name -> oracle.
        params: θ_0, leaf name -> array.
        layout: the leaves.
        buffers: what the oracles are given besides θ_0, if anything.
        config: what else the run file is told, JSON values.
        integrator: `Adaptive()` by default.
        observers: `default_observers(layout)` by default.
        wholes: measures that others partition; see `Allocator`.
        options: `path`, `resume`, `every`, `chunk` of `lca_core.starting.start`.

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
    core = allocator(oracles, layout, integrator=integrator, observers=observers, wholes=wholes)
    return begun(core, snapshot(params, buffers), config=config, **options)


def allocator(
    oracles: Mapping[str, GradientOracle | Redraws],
    layout: Layout,
    *,
    integrator: Integrator | None = None,
    observers: Sequence[Observer] | None = None,
    wholes: Mapping[str, Mapping[str, float]] | None = None,
) -> Allocator:
    """Return the functional core, without a tracker; arguments as for `track`."""
    return Allocator(
        NumpyOps(),
        oracles,
        layout,
        *chosen(layout, integrator, observers),
        wholes=wholes or {},
    )


def begun(
    core: Allocator, point: Snapshot, *, config: Mapping[str, Any] | None = None, **options: Any
) -> Tracker:
    """Return the tracker of a core; arguments as for `track`.

    Args:
        core: from `allocator`.
        point: θ_0.
        config: what else the run file is told, JSON values.
        options: of `lca_core.starting.start`.
    """
    told = {"adapter": "numpy", **(config or {}), "versions": {"numpy": np.__version__}}
    return start(core, point, snapshot, config=told, **options)
