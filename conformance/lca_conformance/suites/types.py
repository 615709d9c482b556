"""Element types and devices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lca_conformance.cases import end_of, made, native, polynomial, start_of
from lca_conformance.suites.suite import Suite
from lca_core import SIMPSON, Adaptive, Allocator, Fixed, Snapshot, Totals

if TYPE_CHECKING:
    from lca_core import Integrator, State
    from lca_core.adapters import Adapter


def after_a_step(adapter: Adapter, integrator: Integrator) -> tuple[State, State]:
    """Return the states before and after one step."""
    problem = made(adapter, polynomial(3), start_of())
    allocator = Allocator(
        adapter.ops, {"train": problem.oracle}, problem.layout, integrator, (Totals(),)
    )
    before = allocator.init(problem.capture())
    _, after = allocator.update(before, Snapshot(native(adapter, problem, end_of())))
    return before, after


def place(array: Any) -> str:
    """Return the device of an array, where its framework has such a thing."""
    return str(getattr(array, "device", "host"))


class Types(Suite):
    """Leaves keep their element type and their device through everything."""

    def test_snapshots_have_the_type_of_the_layout(self, adapter: Adapter) -> None:
        """The layout names the element type that the snapshot's arrays have."""
        problem = made(adapter, polynomial(3), start_of())
        params = problem.capture().params
        for leaf in problem.layout.leaves:
            assert str(adapter.ops.to_numpy(params[leaf.name]).dtype) == leaf.dtype

    def test_nothing_is_promoted(self, adapter: Adapter) -> None:
        """Gradients and running totals have the type of the leaves, whatever the rule."""
        for integrator in (Fixed(SIMPSON), Adaptive(rtol=1e-9, atol=0.0, max_panels=4)):
            before, after = after_a_step(adapter, integrator)
            params, running = before.snapshot.params, after.running["train"][0]
            for name, leaf in params.items():
                assert after.evaluations["train"].gradient[name].dtype == leaf.dtype
                assert running["total"][name].dtype == leaf.dtype
                assert running["total_rounding"][name].dtype == leaf.dtype

    def test_python_floats_do_not_promote(self, adapter: Adapter) -> None:
        """A leaf times a Python float, as rules weigh gradients, is of the leaf's type."""
        leaf: Any = made(adapter, polynomial(2), start_of()).capture().params["a"]

        assert (0.5 * leaf).dtype == leaf.dtype
        assert (leaf + 0.5 * leaf).dtype == leaf.dtype

    def test_nothing_leaves_its_device(self, adapter: Adapter) -> None:
        """Gradients and totals are where the leaves are."""
        before, after = after_a_step(adapter, Fixed(SIMPSON))
        for name, leaf in before.snapshot.params.items():
            assert place(after.evaluations["train"].gradient[name]) == place(leaf)
            assert place(after.running["train"][0]["total"][name]) == place(leaf)
