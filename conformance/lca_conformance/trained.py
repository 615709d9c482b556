"""Trainings that several tests look at, each made once."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from attrs import evolve

from lca_conformance.cases import supported
from lca_core import SIMPSON, Fixed, Totals
from lca_core.datasets import Dataset, digits
from lca_core.leafwise import add

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from lca_core import ArrayOps, Declared, Layout, Params, Run, StepView
    from lca_core.adapters import Adapter, Mode
    from lca_core.tracker import Tracker
    from lca_core.training import TrainingSpec
    from lca_core.typing import Array, ObserverState

EXAMPLES = 120
"""Of every split of the trainings that are compared with the float64 reference."""


class Motion:
    """θ_T - θ_0 of every parameter: where a training went."""

    def declare(self, layout: Layout) -> tuple[Declared, ...]:
        """Add nothing per step."""
        return ()

    def init(self, ops: ArrayOps, params: Params) -> ObserverState:
        """Return zeros."""
        return {"motion": {name: leaf - leaf for name, leaf in params.items()}}

    def update(
        self, ops: ArrayOps, layout: Layout, view: StepView, state: ObserverState
    ) -> tuple[Mapping[str, Array], ObserverState]:
        """Add the step's displacement."""
        return {}, {"motion": add(state["motion"], view.displacement)}


def quietly(tracker: Tracker) -> None:
    """Show no progress."""


def few_digits(examples: int) -> Dataset:
    """Return the first digits of each split."""
    whole = digits()
    return evolve(whole, train=whole.train.first(examples), val=whole.val.first(examples))


@cache
def _trained(adapter: Adapter, spec: _Described, mode: Mode, examples: int) -> Run:
    tracking = {
        "integrator": Fixed(SIMPSON),
        "observers": (Totals(), Motion()),
        "mode": mode,
        "batch_size": examples,
    }
    dataset = few_digits(examples)
    return adapter.train(spec.value, dataset, on_step=quietly, tracking=tracking)


def trained(
    adapter: Adapter, spec: TrainingSpec, *, mode: Mode = "eval", examples: int = EXAMPLES
) -> Run:
    """Return a short training on a few digits by Simpson's rule, or skip what is not built."""
    run: Run = supported(lambda: _trained(adapter, _Described(spec), mode, examples))
    return run


class _Described:
    """A specification as a key: equal where its description is."""

    def __init__(self, value: TrainingSpec) -> None:
        self.value = value
        self._key = repr(value.describe())

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Described) and self._key == other._key


def canonical(
    adapter: Adapter, spec: TrainingSpec, leaves: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Return native leaves under the spec's names, in its order of axes."""
    spelled = adapter.spelling(spec.network)
    return {
        name: spelled[name].canonical(leaves[spelled[name].name])
        for name in spec.network.layout.names
    }


def motion(adapter: Adapter, spec: TrainingSpec, run: Run) -> dict[str, np.ndarray]:
    """Return how far every parameter went, in the spec's layout."""
    totals: Any = run.totals["train"]["motion"]
    return canonical(adapter, spec, totals)


def allocations(
    adapter: Adapter, spec: TrainingSpec, run: Run, measure: str
) -> dict[str, np.ndarray]:
    """Return every parameter's total allocation, in the spec's layout."""
    return canonical(adapter, spec, run.total(measure))
