"""Leaves of every kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lca_conformance.cases import (
    EXAMPLES,
    Polynomial,
    assert_close,
    drawn,
    end_of,
    hosted,
    made,
    native,
    squares,
    start_of,
)
from lca_conformance.suites.integration import allocated
from lca_conformance.suites.suite import Suite
from lca_core import SIMPSON, Adaptive, Allocator, Fixed, Snapshot, default_observers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lca_core.adapters import Adapter

ODD: dict[str, tuple[int, ...]] = {
    "scalar": (),
    "single": (1,),
    "empty": (0,),
    "hollow": (2, 0),
    "deep": (2, 1, 3),
}


def odd(power: int) -> Polynomial:
    """Return a polynomial of leaves of every shape."""
    return Polynomial(
        {
            k: drawn(500 + i, (EXAMPLES, *shape), 0.5, 2.0)
            for i, (k, shape) in enumerate(ODD.items())
        },
        power,
    )


class Leaves(Suite):
    """Leaves of any shape, tied ones and unused ones are followed, each exactly once."""

    def test_leaves_of_any_shape_are_followed(self, adapter: Adapter) -> None:
        """0-d, single, empty and deep leaves have their exact gradients and allocations."""
        case, start, end = odd(3), start_of(ODD), end_of(ODD)
        problem = made(adapter, case, start)
        found, _ = allocated(adapter, problem, Fixed(SIMPSON), [start, end])

        assert problem.layout.names == tuple(ODD)
        assert {leaf.name: leaf.shape for leaf in problem.layout.leaves} == ODD
        assert_close(found, case.allocation(start, end), 5e-6)

    def test_observers_take_leaves_of_any_shape(self, adapter: Adapter) -> None:
        """Counts, totals and unit sums of such leaves add up."""
        case, start, end = odd(2), start_of(ODD), end_of(ODD)
        problem = made(adapter, case, start)
        observers = default_observers(problem.layout)
        allocator = Allocator(
            adapter.ops, {"train": problem.oracle}, problem.layout, Adaptive(), observers
        )
        state = allocator.init(Snapshot(native(adapter, problem, start)))
        record, _ = allocator.update(state, Snapshot(native(adapter, problem, end)))
        row: dict[str, Any] = {
            k: v if isinstance(v, float | int | np.ndarray) else adapter.ops.to_numpy(v)
            for k, v in record["train"].items()
        }
        truth = case.allocation(start, end)

        assert row["unit_allocation"].shape == (problem.layout.units,)
        assert row["unit_allocation"].sum() == pytest.approx(row["allocation"].sum(), rel=1e-5)
        wanted = [int((truth[name] < 0).sum()) for name in problem.layout.names]
        np.testing.assert_array_equal(row["helped"], wanted)

    def test_unused_leaves_have_no_part(self, adapter: Adapter) -> None:
        """A leaf that the loss does not use has gradient zero and allocation zero."""
        case = squares()
        start = {**start_of(), "idle": drawn(600, (2, 2))}
        end = {**end_of(), "idle": drawn(601, (2, 2))}
        problem = made(adapter, case, start)
        gradient = hosted(adapter, problem.oracle(problem.capture().params, {}).gradient)
        found, (record,) = allocated(adapter, problem, Adaptive(), [start, end])

        assert "idle" in problem.layout.names
        assert (gradient["idle"] == 0.0).all()
        assert (found["idle"] == 0.0).all()
        assert record["status"] == 0

    def test_tied_leaves_count_once(self, adapter: Adapter) -> None:
        """Two names of one leaf are one leaf, whose gradient is that of both uses."""
        shapes: dict[str, tuple[int, ...]] = {"own": (2, 2), "other": (2, 2)}
        both = squares(shapes)
        start = {"own": start_of(shapes)["own"]}

        def by_both_names(leaf: np.ndarray) -> Mapping[str, np.ndarray]:
            return {"own": leaf, "other": leaf}

        problem = made(adapter, both, start, tied={"other": "own"})
        gradient = both.gradient(by_both_names(start["own"]))
        found = problem.oracle(native(adapter, problem, start), {})

        assert problem.layout.names == ("own",)
        assert problem.layout.leaves[0].aliases == ("other",)
        assert problem.layout.parameters == 4
        loss = float(adapter.ops.to_numpy(found.loss))
        assert loss == pytest.approx(both.value(by_both_names(start["own"])), rel=2e-6)
        assert_close(hosted(adapter, found.gradient), {"own": sum(gradient.values())}, 2e-6)
