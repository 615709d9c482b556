"""Allocations of single steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lca_conformance.cases import (
    Leaves,
    Polynomial,
    assert_close,
    drawn,
    end_of,
    hosted,
    made,
    native,
    polynomial,
    squares,
    start_of,
)
from lca_conformance.suites.suite import Suite
from lca_core import (
    BOOLE,
    GAUSS_2,
    LOBATTO_4,
    MIDPOINT,
    RULES,
    SIMPSON,
    TRAPEZOID,
    Adaptive,
    Allocator,
    Fixed,
    Snapshot,
    Totals,
    composite,
)

if TYPE_CHECKING:
    from lca_core import Integrator, Rule
    from lca_core.adapters import Adapter, Problem


def allocated(
    adapter: Adapter, problem: Problem, integrator: Integrator, path: list[Leaves]
) -> tuple[Leaves, list[Any]]:
    """Walk a path; return the totals of single parameters and the records of the steps."""
    allocator = Allocator(
        adapter.ops, {"train": problem.oracle}, problem.layout, integrator, (Totals(),)
    )
    snapshots = [Snapshot(native(adapter, problem, point)) for point in path]
    state, records = allocator.init(snapshots[0]), []
    for snapshot in snapshots[1:]:
        record, state = allocator.update(state, snapshot)
        records.append(record["train"])
    running = state.running["train"][0]
    totals = (hosted(adapter, running[name]) for name in ("total", "total_rounding"))
    first, second = totals
    return {k: first[k].astype(np.float64) + second[k] for k in first}, records


def between(start: Leaves, end: Leaves, s: float) -> Leaves:
    """Return a point of the segment."""
    return {k: (start[k] + s * (end[k] - start[k])).astype(start[k].dtype) for k in start}


class Integration(Suite):
    """Integration is exact on polynomials, of the rule's order elsewhere, and additive."""

    @pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.name)
    def test_rules_are_exact_on_polynomials_of_their_degree(
        self, adapter: Adapter, rule: Rule
    ) -> None:
        """A rule of degree d allocates a polynomial of power d + 1 exactly, leaf by leaf."""
        power = min(rule.degree, 5) + 1
        case, start, end = polynomial(power), start_of(), end_of()
        found, _ = allocated(adapter, made(adapter, case, start), Fixed(rule), [start, end])

        assert_close(found, case.allocation(start, end), 5e-6)

    def test_coupled_losses_are_allocated_exactly(self, adapter: Adapter) -> None:
        """The trapezoid rule is exact where the gradient is linear, and its books close."""
        case, start, end = squares(), start_of(), end_of()
        found, (record,) = allocated(adapter, made(adapter, case, start), Adaptive(), [start, end])
        change = case.value(end) - case.value(start)

        assert_close(found, case.allocation(start, end), 5e-6)
        assert record["status"] == 0
        assert abs(record["gap"]) <= max(record["noise"], 1e-6 * abs(change))

    @pytest.mark.parametrize(
        ("rule", "order"), [(MIDPOINT, 2), (TRAPEZOID, 2), (GAUSS_2, 4), (SIMPSON, 4)],
        ids=lambda value: getattr(value, "name", value),
    )  # fmt: skip
    def test_errors_fall_with_the_order_of_the_rule(
        self, adapter: Adapter, rule: Rule, order: int
    ) -> None:
        """Halving the panels divides the error by about 2**order on a smooth loss."""
        case = Polynomial({"a": np.ones((3, 2), np.float32)}, 9)
        start, end = {"a": np.zeros(2, np.float32)}, {"a": np.full(2, 2.0, np.float32)}
        problem, truth = made(adapter, case, start), case.allocation(start, end)["a"]
        errors = [
            np.abs(
                allocated(adapter, problem, Fixed(composite(rule, n)), [start, end])[0]["a"] - truth
            ).max()
            for n in (4, 8)
        ]

        assert order - 0.4 < np.log2(errors[0] / errors[1]) < order + 0.4

    def test_allocations_add_up_along_a_line(self, adapter: Adapter) -> None:
        """Three pieces of a straight step have together the allocation of the whole step."""
        case, start, end = polynomial(4), start_of(), end_of()
        problem = made(adapter, case, start)
        cuts = [between(start, end, s) for s in (0.0, 0.2, 0.7, 1.0)]
        pieces, _ = allocated(adapter, problem, Fixed(SIMPSON), cuts)
        whole, _ = allocated(adapter, problem, Fixed(SIMPSON), [cuts[0], cuts[-1]])

        assert_close(pieces, whole, 1e-5)

    @pytest.mark.parametrize(
        "integrator", [Fixed(LOBATTO_4), Fixed(BOOLE), Adaptive(rtol=1e-4)],
        ids=["Lobatto-4", "Boole", "adaptive"],
    )  # fmt: skip
    def test_books_close_along_a_path(self, adapter: Adapter, integrator: Integrator) -> None:
        """Over a crooked path the allocations sum to the true change of the loss."""
        case, points = polynomial(4), [start_of(), end_of()]
        points += [
            {k: drawn(400 + i, v.shape, 0.0, 2.0) for k, v in points[0].items()} for i in range(3)
        ]
        found, records = allocated(adapter, made(adapter, case, points[0]), integrator, points)
        change = case.value(points[-1]) - case.value(points[0])
        total = sum(float(leaf.sum()) for leaf in found.values())

        assert all(record["status"] == 0 for record in records)
        assert total == pytest.approx(change, rel=1e-3)

    def test_a_step_without_motion_costs_nothing(self, adapter: Adapter) -> None:
        """Where nothing moved the allocation is exactly zero and no gradient is spent."""
        start = start_of()
        problem = made(adapter, polynomial(3), start)
        found, (record,) = allocated(adapter, problem, Adaptive(), [start, start])

        assert all((leaf == 0.0).all() for leaf in found.values())
        assert record["evaluations"] == 0
