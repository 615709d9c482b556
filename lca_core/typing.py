"""The contracts between the core, the adapters and the observers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

from attrs import field, frozen

if TYPE_CHECKING:
    import numpy as np

    from lca_core.account import Account
    from lca_core.layout import Layout


class Array(Protocol):
    """A framework's own array, on the framework's own device.

    The core touches it through these operators and through `ArrayOps`, nothing else.
    """

    @property
    def shape(self) -> Any:
        """Sizes of the axes."""

    @property
    def dtype(self) -> Any:
        """The framework's own element type."""

    def __add__(self, other: Any, /) -> Any: ...
    def __sub__(self, other: Any, /) -> Any: ...
    def __mul__(self, other: Any, /) -> Any: ...
    def __rmul__(self, other: Any, /) -> Any: ...
    def __lt__(self, other: Any, /) -> Any: ...
    def __gt__(self, other: Any, /) -> Any: ...
    def __abs__(self) -> Any: ...


Params: TypeAlias = Mapping[str, Array]
"""Named leaves in a fixed order: `{"fc1.weight": array of shape (out, in), ...}`."""


class ArrayOps(Protocol):
    """The few functions on arrays that frameworks spell differently."""

    def sum(self, array: Array, keep: int | None = None) -> Array:
        """Sum over all axes, or over all but `keep`, accumulated in float64 (or as exactly).

        Boolean arrays count their true entries, in any type that holds the count. The losses
        of the conformance suite use it too: there the framework must be able to differentiate
        it. Returns shape `()` or `(array.shape[keep],)`.
        """

    def sign(self, array: Array) -> Array:
        """Return -1, 0 or 1 where an element is negative, zero or positive, in its own type.

        What is not a number has no sign: 0, so that it does not stay in running counts.
        """

    def take(self, array: Array, places: np.ndarray) -> Array:
        """Return the elements at some places, shape `(places,)`, in their own type.

        Args:
            array: of any shape.
            places: int64, counted in C order: `array.ravel()[places]` in numpy.
        """

    def histogram(self, array: Array) -> Array:
        """Count the elements by their first 11 bits as float32, shape (2048,), in their own type.

        The bits are the sign, the exponent and the first quarter of the octave: a logarithmic
        grid of both signs, four bins an octave, for a shift and a count. In numpy
        `np.bincount(array.astype("f4").view("u4").ravel() >> 21, minlength=2048)`.
        """

    def concat(self, arrays: Sequence[Array]) -> Array:
        """Join arrays of shape `()` or `(n,)` into one of shape `(sum of n,)`."""

    def to_numpy(self, array: Array) -> np.ndarray:
        """Copy to the host."""

    def from_numpy(self, array: np.ndarray, like: Array) -> Array:
        """Bring a host array to the device and element type of `like`."""


@frozen
class Snapshot:
    """One iterate, owned: later in-place updates or donated buffers never change it.

    Args:
        params: the trainable leaves θ (float32 or wider).
        buffers: whatever else the loss depends on and training moves
            (moving averages of batch norm, say); empty for most models.
    """

    params: Params
    buffers: Params = field(factory=dict)


@frozen
class Evaluation:
    """Loss and gradient at one point.

    Args:
        loss: L(θ), shape (), float64, in loss units.
        gradient: ∂L/∂θ, leaf by leaf, shaped like the parameters.
    """

    loss: Array
    gradient: Params


@runtime_checkable
class GradientOracle(Protocol):
    """Loss over a whole measure and its gradient, at any parameters.

    Evaluates functionally: the live model is never moved. Every example counts once with
    its weight; the same examples at every call.
    """

    @property
    def eps(self) -> float:
        """Machine epsilon of the arithmetic: 2**-23 for float32, 2**-52 for float64."""

    def __call__(self, params: Params, buffers: Params) -> Evaluation:
        """Return L(params; buffers) and its gradient in the params."""


class Sample(Protocol):
    """Losses over equal subsamples of some examples; the expectation of each is L."""

    def __call__(self, params: Params, buffers: Params) -> Sequence[Evaluation]:
        """Return loss and gradient over every subsample."""


@frozen
class Declared:
    """An array that an observer adds to the run file.

    Args:
        name: its name in the file.
        dims: name of its axis behind ("step", "measure"); `("leaf",)`, `("unit",)`, `()`, or an
            axis of its own.
        dtype: numpy type name of the stored values.
        labels: names along an axis of its own.
        sizes: shape of one step's values where all axes are its own and have no names; such an
            array is read from the file only when asked for.
        leaf: the leaf that it is of, if it is of one.
        sums: whether values add up over steps, as allocations and counts do. Where a step was not
            looked at (`Redrawn(..., every=k)`), they are then 0, and otherwise NaN, not known;
            False needs a floating `dtype`.
    """

    name: str
    dims: tuple[str, ...]
    dtype: str
    labels: tuple[str, ...] = ()
    sizes: tuple[int, ...] = ()
    leaf: str = ""
    sums: bool = True

    def shape(self, layout: Layout) -> tuple[int, ...]:
        """Return the shape of one step's values."""
        if self.leaf:
            return self.sizes
        known = {"leaf": len(layout.leaves), "unit": layout.units}
        return tuple(known.get(dim, len(self.labels)) for dim in self.dims)


@frozen
class StepView:
    """What an observer may look at: one closed step of one measure.

    Args:
        allocation: A = (mean gradient) x (displacement), shaped like the parameters;
            negative helped, positive hurt.
        mean_gradient: the average of ∂L/∂θ along the step.
        displacement: Δ = θ_{t+1} - θ_t.
        gradient: ∂L/∂θ at the step's end, θ_{t+1}.
        params: θ_{t+1}.
    """

    allocation: Params
    mean_gradient: Params
    displacement: Params
    gradient: Params
    params: Params


ObserverState: TypeAlias = Mapping[str, Params]
"""Running arrays of one observer: name -> leaf -> array."""


class Observer(Protocol):
    """Something kept of every step; it declares what it adds to the run file."""

    def declare(self, layout: Layout) -> tuple[Declared, ...]:
        """Return the arrays that every step adds."""

    def init(self, ops: ArrayOps, params: Params) -> ObserverState:
        """Return the running arrays before the first step; `{}` if there are none."""

    def update(
        self, ops: ArrayOps, layout: Layout, view: StepView, state: ObserverState
    ) -> tuple[Mapping[str, Array], ObserverState]:
        """Return this step's declared arrays and the new running arrays."""


class Sink(Protocol):
    """Where closed steps go: memory, or a file that survives a crash."""

    @property
    def durable(self) -> bool:
        """Whether what it holds outlives the process, so that checkpoints are worth their time."""

    def append(self, rows: Mapping[str, np.ndarray]) -> None:
        """Add closed steps: each array has shape (steps, measures, ...)."""

    def checkpoint(self, point: Checkpoint) -> None:
        """Keep what a later process needs to go on from here."""

    def so_far(self) -> Any:
        """Return the `Run` recorded so far, and take more."""

    def run(self) -> Any:
        """Return the `Run`, and let others go on with it."""


@frozen
class Checkpoint:
    """All that is needed to go on: where we are, and the running arrays, on the host.

    Args:
        rows: closed segments so far.
        iteration: calls of `step` so far.
        params: the last iterate, for recognising the model on resume.
        totals: measure -> running array -> leaf -> values.
        keep: asked for by the user, hence kept until two newer ones exist.
        accounts: what the steps so far have left open, by measure.
    """

    rows: int
    iteration: int
    params: Mapping[str, np.ndarray]
    totals: Mapping[str, Mapping[str, Mapping[str, np.ndarray]]]
    keep: bool = False
    accounts: Mapping[str, Account] = field(factory=dict)
