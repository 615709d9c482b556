"""What a backend offers to the commands and to the conformance suite, and how it is found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

import numpy as np
from attrs import frozen

from lca_core.errors import MissingExtraError, UnknownNameError
from lca_core.imported import imported

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lca_core.datasets import Dataset, Split
    from lca_core.layout import Layout
    from lca_core.networks import NetworkSpec
    from lca_core.run import Run
    from lca_core.tracker import Tracker
    from lca_core.training import TrainingSpec
    from lca_core.typing import Array, ArrayOps, GradientOracle, Params, Snapshot

GROUP = "lca_core.adapters"
"""The entry-point group under which adapters are installed."""

Mode: TypeAlias = Literal["eval", "batch-stats"]
OnStep: TypeAlias = "Callable[[Tracker], None]"
"""Called after every tracked step, to show progress."""

ExampleLoss: TypeAlias = "Callable[[Params, Params], Array]"
"""(leaves, batch) -> a loss per example, shape (n,), written with operators and `ArrayOps.sum`."""


@frozen
class Spelling:
    """How a backend spells one array of a `NetworkSpec`.

    Args:
        name: the backend's own name of the leaf ("fc1.weight").
        axes: of the canonical array, in the backend's order: native = canonical.transpose(axes).
    """

    name: str
    axes: tuple[int, ...]

    def native(self, canonical: np.ndarray) -> np.ndarray:
        """Return the array as the backend holds it."""
        return np.ascontiguousarray(canonical.transpose(self.axes))

    def canonical(self, native: np.ndarray) -> np.ndarray:
        """Return the array as the spec holds it."""
        return native.transpose(np.argsort(self.axes))


def as_spelled(
    spelling: Mapping[str, Spelling], weights: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Return canonical arrays under the backend's names and in its order of axes."""
    return {spelling[name].name: spelling[name].native(w) for name, w in weights.items()}


class Problem(Protocol):
    """A live model with its loss over data: what `track` sees of a training."""

    @property
    def layout(self) -> Layout:
        """The leaves, under the backend's own names."""

    @property
    def oracle(self) -> GradientOracle:
        """Loss and gradient over the whole data."""

    def capture(self) -> Snapshot:
        """Return an owned copy of where the live model stands."""

    def assign(self, params: Mapping[str, np.ndarray]) -> None:
        """Move the live parameters the way an optimizer does: in place, or donating the old ones.

        Args:
            params: native leaf name -> values; leaves that are not named stay.
        """

    def traces(self) -> Mapping[str, bytes]:
        """Return all that looking must leave alone, as bytes under telling names.

        The live parameters and buffers, gradients and flags that hang on them, and the
        framework's global random streams.
        """


class Adapter(Protocol):
    """A backend, under the entry point `lca_core.adapters` or as `package.module:NAME`."""

    def __hash__(self) -> int: ...

    @property
    def name(self) -> str:
        """What `--backend` calls it."""

    @property
    def ops(self) -> ArrayOps:
        """The array functions."""

    def array(self, values: np.ndarray) -> Array:
        """Return a native array of the same shape and element type, on the default device."""

    def problem(
        self,
        loss: ExampleLoss,
        params: Mapping[str, np.ndarray],
        data: Mapping[str, np.ndarray],
        *,
        tied: Mapping[str, str],
        batch_size: int | None,
    ) -> Problem:
        """Return a live model whose loss is the mean of `loss` over the examples of `data`.

        Args:
            loss: called with every leaf by name, aliases included, and a batch of `data`.
            params: leaf name -> initial values; any shape, also () and with empty axes. The
                loss may leave some of them unused.
            data: arrays with examples along the first axis.
            tied: alias -> the leaf that it is another name of.
            batch_size: examples evaluated at once; None for the adapter's own choice.
        """

    def network(
        self,
        spec: NetworkSpec,
        weights: Mapping[str, np.ndarray],
        split: Split,
        *,
        mode: Mode,
        batch_size: int | None,
    ) -> Problem:
        """Return the spec's network as a live model, its loss the mean cross-entropy over `split`.

        The live model is in training mode: dropout is on in it, and off in the oracle.

        Args:
            spec: the network.
            weights: canonical name -> values, buffers included.
            split: examples.
            mode: "eval" for batch norm with moving averages, "batch-stats" for each chunk's own.
            batch_size: examples evaluated at once; None for the adapter's own choice.

        Raises:
            UnsupportedError: the adapter does not build such a layer.
        """

    def spelling(self, spec: NetworkSpec) -> Mapping[str, Spelling]:
        """Return canonical name -> the backend's own, buffers included."""

    def train(
        self,
        spec: TrainingSpec,
        dataset: Dataset,
        *,
        on_step: OnStep,
        tracking: Mapping[str, Any],
        by_class: bool = False,
    ) -> Run:
        """Train natively, tracking the measures "train" and "val"; return the run.

        Args:
            spec: network and optimizer.
            dataset: examples.
            on_step: called after every tracked step.
            tracking: arguments of the adapter's `track`: `integrator`, `observers`, `every`,
                `path`, `resume`, `chunk`, `batch_size`, and `mode` ("eval" or "batch-stats"); and
                `sampling`, where not all examples are to be measured: see `lca_core.sampling`.
                A training that resumes repeats its steps untracked to where the run file stands;
                see `lca_core.resuming`.
            by_class: whether to make a measure of every class of the training data too.

        Raises:
            UnsupportedError: the adapter does not build such a layer or optimizer, does not
                measure by class, or does not resume.
        """


def find_adapter(name: str) -> Adapter:
    """Return an installed adapter.

    Args:
        name: an entry point of the group "lca_core.adapters", a third party's included, or
            `package.module:NAME`.

    Raises:
        UnknownNameError: there is none.
        MissingExtraError: the adapter is there, its framework is not.
    """
    if ":" in name:
        named: Adapter = imported(name, "adapter")
        return named
    # importlib.metadata costs 0.1 s to import: paid only here.
    from importlib.metadata import entry_points

    points = {point.name: point for point in entry_points(group=GROUP)}
    if name not in points:
        msg = (
            f"No backend is called '{name}'; installed are {sorted(points)}. "
            "One that is not installed as an entry point is named package.module:NAME."
        )
        raise UnknownNameError(msg)
    try:
        adapter: Adapter = points[name].load()
    except ModuleNotFoundError as error:
        own = points[name].module.partition(".")[0]
        if (error.name or "").partition(".")[0] == own:
            raise
        raise MissingExtraError(f"The backend '{name}'", name) from error
    return adapter
