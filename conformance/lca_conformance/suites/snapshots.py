"""Owned iterates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lca_conformance.cases import end_of, hosted, made, polynomial, start_of
from lca_conformance.suites.suite import Suite

if TYPE_CHECKING:
    from lca_core.adapters import Adapter


class Snapshots(Suite):
    """A snapshot is owned: in-place updates and donated buffers never change it."""

    def test_a_snapshot_is_where_the_model_stands(self, adapter: Adapter) -> None:
        """Leaves come under their names, in the layout's order, with the live values."""
        start = start_of()
        problem = made(adapter, polynomial(2), start)
        found = hosted(adapter, problem.capture().params)

        assert tuple(found) == problem.layout.names
        for name, values in start.items():
            np.testing.assert_array_equal(found[name], values)

    def test_updates_do_not_reach_it(self, adapter: Adapter) -> None:
        """After every later update each snapshot still has the values of its own time."""
        problem = made(adapter, polynomial(2), start_of())
        taken, truth = [problem.capture()], [start_of()]
        for k in range(3):
            moved = {name: leaf + np.float32(k) for name, leaf in end_of().items()}
            problem.assign(moved)
            taken.append(problem.capture())
            truth.append(moved)

        for snapshot, wanted in zip(taken, truth, strict=True):
            found = hosted(adapter, snapshot.params)
            for name, values in wanted.items():
                np.testing.assert_allclose(found[name], values, rtol=1e-7)

    def test_what_was_brought_to_the_host_is_owned_too(self, adapter: Adapter) -> None:
        """`to_numpy` of a snapshot does not follow the live model."""
        problem = made(adapter, polynomial(2), start_of())
        found = hosted(adapter, problem.capture().params)
        problem.assign(end_of())

        np.testing.assert_array_equal(found["b"], start_of()["b"])

    def test_looking_from_a_snapshot_uses_the_snapshot(self, adapter: Adapter) -> None:
        """The oracle at an old snapshot gives the old loss, wherever the model went since."""
        case = polynomial(3)
        problem = made(adapter, case, start_of())
        old = problem.capture()
        problem.assign(end_of())
        found = problem.oracle(old.params, old.buffers)

        loss = float(adapter.ops.to_numpy(found.loss))
        np.testing.assert_allclose(loss, case.value(start_of()), rtol=1e-5)
