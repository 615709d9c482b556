"""Leaves that are made only for who reads them."""

from __future__ import annotations

import numpy as np
import pytest

import lca_core.look
from lca_core import Adaptive, Allocator, Counts, Sizes, Snapshot, Totals
from lca_core.integrate import mean_of_ends
from lca_core.leafwise import difference, product
from lca_core.packed import Deferred
from lca_core.reference import NumpyOps, Quadratic


def test_deferred_leaves_are_made_once_and_read_like_any():
    """Nothing is made before somebody reads, and then for all readers."""
    made = []

    def make():
        made.append({"a": np.array([1.0, 2.0]), "b": np.array(3.0)})
        return made[-1]

    leaves = Deferred(make)
    assert not made
    twice = product(leaves, {"a": np.array([2.0, 2.0]), "b": np.array(2.0)})
    assert list(leaves) == ["a", "b"]
    assert len(leaves) == 2
    assert leaves["b"] == 3.0
    assert {name: leaf.tolist() for name, leaf in twice.items()} == {"a": [2.0, 4.0], "b": 6.0}
    assert len(made) == 1


@pytest.mark.parametrize(
    ("observers", "times", "motion"), [((Totals(), Counts()), 0, []), ((Sizes(),), 1, [1.25])]
)
def test_displacement_and_mean_gradient_are_for_observers_that_ask(
    monkeypatch, observers, times, motion
):
    """Those that are on by default do without them; others see them as they were."""
    made = []

    def noting(function):
        return lambda *args: made.append(function(*args)["x"].tolist()) or {"x": np.array(made[-1])}

    monkeypatch.setattr(lca_core.look, "difference", noting(difference))
    monkeypatch.setattr(lca_core.look, "mean_of_ends", noting(mean_of_ends))
    problem = Quadratic(np.diag([1.0, 4.0]), np.zeros(2))
    measures, integrator = {"train": problem}, Adaptive(audit=None)
    allocator = Allocator(NumpyOps(), measures, problem.layout, integrator, observers)
    state = allocator.init(Snapshot({"x": np.array([1.0, 1.0])}))
    record, _ = allocator.update(state, Snapshot({"x": np.array([0.0, 0.5])}))
    assert made == [[-1.0, -0.5], [0.5, 3.0]] * times
    assert list(record["train"].get("motion_square", [])) == motion
    assert list(record["train"].get("gradient_square", [])) == [9.25] * times
    assert float(record["train"]["allocation"][0]) == -2.0
