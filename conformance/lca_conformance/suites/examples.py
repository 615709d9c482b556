"""Exact data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from lca_conformance.cases import (
    EXAMPLES,
    Squares,
    assert_close,
    end_of,
    hosted,
    made,
    native,
    squares,
    start_of,
)
from lca_conformance.suites.suite import Suite
from lca_core.errors import DataError

if TYPE_CHECKING:
    from lca_core.adapters import Adapter


class Examples(Suite):
    """Every example counts once, whatever the chunks; the same examples at every call."""

    @pytest.mark.parametrize("batch_size", [1, 2, 7, 50, 100, EXAMPLES, 1000, None])
    def test_every_example_counts_once(self, adapter: Adapter, batch_size: int | None) -> None:
        """Loss and gradient are means over all examples, for any number of them at once."""
        case = squares()
        problem = made(adapter, case, start_of(), batch_size=batch_size)
        found = problem.oracle(native(adapter, problem, end_of()), {})

        loss = float(adapter.ops.to_numpy(found.loss))
        assert loss == pytest.approx(case.value(end_of()), rel=2e-6)
        assert_close(hosted(adapter, found.gradient), case.gradient(end_of()), 2e-6)

    def test_no_example_is_worth_more_than_another(self, adapter: Adapter) -> None:
        """One outlier among the examples weighs 1/n, in the last ragged chunk as elsewhere."""
        for place in (0, EXAMPLES // 2, EXAMPLES - 1):
            case = squares()
            case.targets[place] = 100.0
            problem = made(adapter, case, start_of(), batch_size=10)
            found = problem.oracle(native(adapter, problem, start_of()), {})
            loss = float(adapter.ops.to_numpy(found.loss))
            assert loss == pytest.approx(case.value(start_of()), rel=2e-6)

    def test_every_call_sees_the_same_examples(self, adapter: Adapter) -> None:
        """The same point gives the same loss and gradient, bit for bit, after other points."""
        problem = made(adapter, squares(), start_of(), batch_size=10)
        here, there = (native(adapter, problem, point) for point in (start_of(), end_of()))
        first = problem.oracle(here, {})
        problem.oracle(there, {})
        again = problem.oracle(here, {})

        assert adapter.ops.to_numpy(first.loss) == adapter.ops.to_numpy(again.loss)
        before, after = hosted(adapter, first.gradient), hosted(adapter, again.gradient)
        for name, leaf in before.items():
            np.testing.assert_array_equal(after[name], leaf)

    def test_no_examples_are_refused(self, adapter: Adapter) -> None:
        """Empty data are an error, not a division by zero."""
        case = Squares({"a": np.zeros((0, 3), np.float32)}, np.zeros(0, np.float32))
        with pytest.raises(DataError):
            made(adapter, case, {"a": np.ones(3, np.float32)})

    def test_uneven_data_are_refused(self, adapter: Adapter) -> None:
        """Arrays with different numbers of examples are an error."""
        case = Squares({"a": np.zeros((5, 3), np.float32)}, np.zeros(4, np.float32))
        with pytest.raises(DataError):
            made(adapter, case, {"a": np.ones(3, np.float32)})
