"""Native training loops."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from attrs import evolve

from lca_conformance.cases import hosted, made, squares, start_of, supported
from lca_conformance.suites.suite import Suite
from lca_conformance.trained import EXAMPLES, allocations, few_digits, quietly, trained
from lca_core import Status, load
from lca_core.adapters import find_adapter
from lca_core.datasets import digits
from lca_core.networks import BatchNorm, Dense, Flatten, NetworkSpec, fc
from lca_core.optimizers import SGD, Adam, AdamW, Cosine, Drops, Override, RMSprop
from lca_core.segment import noise_floor
from lca_core.training import TrainingSpec

if TYPE_CHECKING:
    from pathlib import Path

    from lca_core import Run, Snapshot, Tracker
    from lca_core.adapters import Adapter, OnStep

NETWORK = fc((8, 8, 1), hidden=(16, 12))
PLAIN = TrainingSpec(network=NETWORK, optimizer=SGD(0.05), batch_size=250, epochs=3)
SHORT = TrainingSpec(network=NETWORK, optimizer=SGD(0.05), batch_size=50, epochs=3)
NORMED = TrainingSpec(
    network=NetworkSpec("normed", (8, 8, 1), [Flatten(), Dense(6), BatchNorm(), Dense(10)]),
    optimizer=SGD(0.01),
    batch_size=EXAMPLES // 3,
    epochs=1,
)
OVERRIDES = {
    "fc1": Override(frozen_from=4),
    "fc2": Override(learning_rate=0.01),
    "fc3": Override(momentum=0.0),
}
SET_UPS = {
    "SGD": SHORT,
    "SGD without momentum": evolve(SHORT, optimizer=SGD(0.1, 0.0)),
    "RMSprop": evolve(SHORT, optimizer=RMSprop(1e-3, 0.5)),
    "Adam": evolve(SHORT, optimizer=Adam(1e-3)),
    "AdamW": evolve(SHORT, optimizer=AdamW(1e-3, weight_decay=0.5)),
    "drops": evolve(SHORT, schedule=Drops((1, 2))),
    "cosine": evolve(SHORT, schedule=Cosine(warmup=1.0)),
    "overrides": evolve(SHORT, overrides=OVERRIDES),
}


@cache
def _run(adapter: Adapter) -> Run:
    return adapter.train(PLAIN, digits(), on_step=quietly, tracking={})


@cache
def _by_class(adapter: Adapter) -> Run:
    return adapter.train(PLAIN, digits(), on_step=quietly, tracking={}, by_class=True)


def recorded(adapter: Adapter) -> Run:
    """Return a training on all digits with everything at its default, or skip."""
    run: Run = supported(lambda: _run(adapter))
    return run


class Training(Suite):
    """A native training is the one that was specified, and its books close."""

    def test_books_close(self, adapter: Adapter) -> None:
        """Every step of both measures is ok, and the gaps sum to next to nothing."""
        run = recorded(adapter)
        for measure in ("train", "val"):
            loss = run.loss(measure)
            assert (run.status(measure) == Status.OK).all()
            assert abs(run.gap(measure).sum()) <= 5e-3 * abs(loss[-1] - loss[0])
            assert len(loss) == run.steps + 1 == 19

    def test_the_network_learns(self, adapter: Adapter) -> None:
        """The loss falls, in training and in validation."""
        run = recorded(adapter)
        for measure in ("train", "val"):
            assert run.loss(measure)[-1] < 0.8 * run.loss(measure)[0]

    def test_it_goes_on_where_it_broke_off(self, adapter: Adapter, tmp_path: Path) -> None:
        """A training that broke off goes on from its run file, and ends as if it never had."""
        whole = recorded(adapter)
        tracking = {"path": tmp_path / "run.zarr", "resume": True, "chunk": 4}

        def broken_off(tracker: Tracker) -> None:
            if tracker.iteration == 7:
                raise InterruptedError

        def train(on_step: OnStep) -> Run:
            return adapter.train(PLAIN, digits(), on_step=on_step, tracking=tracking)

        with pytest.raises(InterruptedError):
            supported(lambda: train(broken_off))
        seen: list[int] = []
        train(lambda tracker: seen.append(tracker.iteration))
        run = load(tmp_path / "run.zarr")

        assert seen == list(range(8, 19))
        for measure in ("train", "val"):
            np.testing.assert_array_equal(run.loss(measure), whole.loss(measure))
            found, expected = (one.allocation(measure, by="leaf") for one in (run, whole))
            np.testing.assert_array_equal(found.values, expected.values)

    def test_segments_of_several_steps(self, adapter: Adapter) -> None:
        """Closed at every fourth step, and at the end, the books are those of the same losses."""
        whole = recorded(adapter)
        run = adapter.train(PLAIN, digits(), on_step=quietly, tracking={"every": 4})

        assert run.iteration.tolist() == [0, 4, 8, 12, 16, 18]
        for measure in ("train", "val"):
            loss = run.loss(measure)
            np.testing.assert_allclose(loss, whole.loss(measure)[run.iteration], rtol=1e-6)
            booked = run.allocation(measure).values.sum(axis=1) + run.gap(measure)
            np.testing.assert_allclose(booked, np.diff(loss), rtol=1e-5, atol=1e-7)

    def test_rounding_is_that_of_the_arithmetic(self, adapter: Adapter) -> None:
        """What counts as rounding in a training is what it is in the adapter's own problems."""
        run, problem = recorded(adapter), made(adapter, squares(), start_of())
        for measure in ("train", "val"):
            size = np.abs(run.loss(measure))
            floor = noise_floor(problem.oracle.eps, [1.0]) * np.maximum(size[:-1], size[1:])
            assert (run.noise(measure) >= floor / 8).all()
            assert (run.noise(measure) <= floor * 8).all()

    def test_moving_averages_are_captured(self, adapter: Adapter) -> None:
        """What batch norm has at a step is in its iterate, and stays as it was then."""
        taken: list[Snapshot] = []
        at_its_time: list[dict[str, np.ndarray]] = []

        def take(tracker: Tracker) -> None:
            taken.append(tracker.iterate)
            copies = hosted(adapter, tracker.iterate.buffers).items()
            at_its_time.append({name: values.copy() for name, values in copies})

        run: Run = supported(
            lambda: adapter.train(NORMED, few_digits(EXAMPLES), on_step=take, tracking={})
        )
        assert len(taken) == run.steps == 3
        for snapshot, then in zip(taken, at_its_time, strict=True):
            now = hosted(adapter, snapshot.buffers)
            assert now.keys() == then.keys()
            assert all(np.array_equal(now[name], then[name]) for name in then)
        for before, behind in pairwise(at_its_time):
            assert any((before[name] != behind[name]).any() for name in before)
        assert (run.buffers("train") != 0.0).all()
        assert (run.status("train") == Status.OK).all()

    def test_sums_agree_at_every_level(self, adapter: Adapter) -> None:
        """Totals of parameters, units, leaves and layers are sums of one another."""
        run = recorded(adapter)
        leaves = run.allocation("train", by="leaf").values
        total = sum(float(values.sum()) for values in run.total("train").values())

        for by in ("layer", "unit"):
            values = run.allocation("train", by=by).values
            np.testing.assert_allclose(values.sum(1), leaves.sum(1), rtol=1e-4, atol=1e-7)
        assert total == pytest.approx(leaves.sum(), rel=1e-5)

    @pytest.mark.parametrize("spec", SET_UPS.values(), ids=SET_UPS)
    def test_the_formula_is_the_specs(self, adapter: Adapter, spec: TrainingSpec) -> None:
        """Every optimizer, schedule and override makes the losses of the float64 reference."""
        truth = trained(find_adapter("numpy"), spec)
        run = trained(adapter, spec)
        for measure in ("train", "val"):
            np.testing.assert_allclose(run.loss(measure), truth.loss(measure), rtol=1e-4)

    def test_classes_add_up(self, adapter: Adapter) -> None:
        """Measured by class too, the training is the same, and classes average to the whole."""
        plain = recorded(adapter)
        run: Run = supported(lambda: _by_class(adapter))
        parts = run.parts("train")

        assert len(parts) == 10
        assert run.measures == ("train", *parts, "val")
        np.testing.assert_allclose(run.loss("train"), plain.loss("train"), rtol=1e-5)
        for read in (run.loss, run.gap, lambda measure: run.allocation(measure).values):
            mean = sum(share * read(part) for part, share in parts.items())
            np.testing.assert_allclose(read("train"), mean, rtol=1e-6, atol=1e-9)
        assert (run.status("train") == Status.OK).all()

    def test_frozen_layers_stand_still(self, adapter: Adapter) -> None:
        """From its step on a frozen layer's allocation is exactly zero, and not before."""
        labels, values = trained(adapter, SET_UPS["overrides"]).allocation("train", by="layer")
        first = values[:, [label.endswith("fc1") for label in labels]]

        assert (first[4:] == 0.0).all()
        assert (first[:4] != 0.0).all()

    def test_totals_are_those_of_the_float64_reference(self, adapter: Adapter) -> None:
        """Every single parameter's total is the reference's."""
        spec = SET_UPS["SGD"]
        reference = find_adapter("numpy")
        truth = allocations(reference, spec, trained(reference, spec), "train")
        found = allocations(adapter, spec, trained(adapter, spec), "train")
        for name, values in truth.items():
            np.testing.assert_allclose(found[name], values, atol=1e-3 * np.abs(values).max())
