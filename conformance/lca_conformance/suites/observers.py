"""What observers keep."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lca_conformance.cases import drawn, supported
from lca_conformance.suites.leaves import ODD
from lca_conformance.suites.suite import Suite
from lca_core import (
    AxisSums,
    Counts,
    Declared,
    Dense,
    Distribution,
    Layout,
    Leaf,
    Oscillation,
    Sizes,
    StepView,
    Tallies,
    Totals,
    UnitSums,
    Watch,
    WatchSample,
    load,
)
from lca_core.datasets import digits
from lca_core.errors import ObserverError
from lca_core.networks import fc
from lca_core.optimizers import SGD
from lca_core.reference import NumpyOps
from lca_core.training import TrainingSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from lca_core.adapters import Adapter
    from lca_core.typing import ArrayOps, Observer, ObserverState, Params

ANYWHERE: tuple[Observer, ...] = (
    *(Totals(), Counts(), UnitSums()),
    *(Tallies(), Oscillation(), Sizes(), Distribution()),
)
PLACES = [("scalar", ()), ("deep", (1, 0, 2)), ("matrix", (3, 1)), ("matrix", (0, 2))]
CHOOSING: tuple[Observer, ...] = (
    *(Watch(PLACES), AxisSums({"deep": 1, "matrix": 0})),
    Dense(of=["allocation", "weight", "gradient"]),
)
STEPS = 6
SHAPES = {**ODD, "matrix": (4, 3)}
LAYOUT = Layout(Leaf(k, shape, unit_axis=0 if shape else None) for k, shape in SHAPES.items())


class Longer:
    """An observer of somebody else, whose array is twice as long as it says."""

    def declare(self, layout: Layout) -> tuple[Declared, ...]:
        """Add one number a leaf."""
        return (Declared("longer", ("leaf",), "float64"),)

    def init(self, ops: ArrayOps, params: Params) -> ObserverState:
        """Keep nothing running."""
        return {}

    def update(
        self, ops: ArrayOps, layout: Layout, view: StepView, state: ObserverState
    ) -> tuple[Mapping[str, Any], ObserverState]:
        """Return two numbers a leaf."""
        sums = [ops.sum(leaf) for leaf in view.allocation.values()]
        return {"longer": ops.concat([*sums, *sums])}, {}


def steps(bring: Callable[[np.ndarray], Any]) -> list[StepView]:
    """Return some steps whose signs turn; about a third of all values are zero."""

    def leaves(seed: int) -> dict[str, Any]:
        rough = {k: drawn(seed + i, shape) for i, (k, shape) in enumerate(SHAPES.items())}
        return {k: bring(np.asarray(r * (abs(r) > 0.3), np.float32)) for k, r in rough.items()}

    return [
        StepView(*(leaves(1000 * step + 100 * part) for part in range(5)))
        for step in range(1, STEPS + 1)
    ]


def watched(observer: Observer, ops: ArrayOps, views: list[StepView]) -> dict[str, np.ndarray]:
    """Show all steps to an observer; return all that it kept, on the host."""
    kept: dict[str, np.ndarray] = {}
    state = observer.init(ops, views[0].allocation)
    for i, view in enumerate(views):
        arrays, state = observer.update(ops, LAYOUT, view, state)
        kept |= {f"{name} of step {i}": ops.to_numpy(array) for name, array in arrays.items()}
    for name, running in state.items():
        kept |= {f"{name} of {leaf}": ops.to_numpy(array) for leaf, array in running.items()}
    return kept


class Observers(Suite):
    """What is kept of every step is what numpy would keep."""

    @pytest.mark.parametrize(
        "observer", [*ANYWHERE, *CHOOSING], ids=lambda observer: type(observer).__name__
    )
    def test_an_observer_keeps_what_it_keeps_in_numpy(
        self, adapter: Adapter, observer: Observer
    ) -> None:
        """Arrays of steps and running arrays are numpy's, for leaves of any shape."""
        found = watched(observer, adapter.ops, steps(adapter.array))
        truth = watched(observer, NumpyOps(), steps(np.asarray))

        assert list(found) == list(truth)
        for name, wanted in truth.items():
            assert found[name].shape == wanted.shape, name
            np.testing.assert_allclose(found[name], wanted, rtol=1e-6, atol=1e-7, err_msg=name)

    def test_two_observers_of_one_array_are_refused_before_training(
        self, adapter: Adapter, tmp_path: Path
    ) -> None:
        """The message names both; no step was made, and there is no file."""
        spec = TrainingSpec(fc((8, 8, 1), hidden=(16, 12)), SGD(0.05), batch_size=250, epochs=1)
        steps: list[Any] = []
        clashing = {"observers": (WatchSample(1), WatchSample(2)), "path": tmp_path / "run.zarr"}
        with pytest.raises(ObserverError, match=r"'watched_weight'.*\[0\].*\[1\]"):
            supported(
                lambda: adapter.train(spec, digits(), on_step=steps.append, tracking=clashing)
            )
        assert steps == list(tmp_path.iterdir()) == []

    def test_an_array_that_was_not_declared_is_refused_at_the_first_step(
        self, adapter: Adapter, tmp_path: Path
    ) -> None:
        """The message names the observer and both shapes; the file has what was recorded."""
        spec = TrainingSpec(fc((8, 8, 1), hidden=(16, 12)), SGD(0.05), batch_size=250, epochs=1)
        steps: list[Any] = []
        tracking = {"observers": (Totals(), Longer()), "path": tmp_path / "run.zarr"}
        says = r"Longer \(observers\[1\]\).*'longer' of shape \(12,\), expected \(6,\)"
        with pytest.raises(ObserverError, match=says):
            supported(
                lambda: adapter.train(spec, digits(), on_step=steps.append, tracking=tracking)
            )
        run = load(tmp_path / "run.zarr")
        assert len(run.loss("train")) == 1
        assert np.isfinite(run.loss("train")).all()

    def test_what_is_kept_of_a_training_fits_together(self, adapter: Adapter) -> None:
        """Counts by step and counts by parameter of a real training are the same in sum."""
        spec = TrainingSpec(fc((8, 8, 1), hidden=(16, 12)), SGD(0.05), batch_size=250, epochs=1)
        run = supported(
            lambda: adapter.train(
                spec, digits(), on_step=lambda _: None, tracking={"observers": ANYWHERE}
            )
        )
        helping, tallies = run.helping("train", by="leaf"), run.tallies("train").values()

        assert sum(one.helped.sum() for one in tallies) == helping.helped.sum() > 0
        assert sum(one.hurt.sum() for one in tallies) == helping.hurt.sum() > 0
        assert run.distribution("train").counts.sum() == run.layout.parameters * run.steps
        for of in ("motion", "gradient", "allocation"):
            turns = sum(one.count.sum() for one in run.turns("train", of).values())
            assert turns == run.turned("train", of).values.sum() > 0
        assert (run.size("train", "motion").values > 0).all()
        assert (run.size("train", "gradient").values > 0).all()
