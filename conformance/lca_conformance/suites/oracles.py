"""Loss and gradient at a point."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lca_conformance.cases import (
    Polynomial,
    Squares,
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

if TYPE_CHECKING:
    from lca_core.adapters import Adapter

CASES = {"linear": polynomial(1), "cubic": polynomial(3), "squares": squares()}


class Oracles(Suite):
    """The oracle's loss and gradient are those of the loss, at whatever point it is asked."""

    @pytest.mark.parametrize("case", CASES.values(), ids=CASES)
    def test_losses_and_gradients_are_right(
        self, adapter: Adapter, case: Polynomial | Squares
    ) -> None:
        """Value and gradient match the closed form, at the live point and away from it."""
        problem = made(adapter, case, start_of())
        for point in (start_of(), end_of(), start_of()):
            found = problem.oracle(native(adapter, problem, point), {})
            loss = float(adapter.ops.to_numpy(found.loss))
            assert loss == pytest.approx(case.value(point), rel=2e-6)
            assert_close(hosted(adapter, found.gradient), case.gradient(point), 2e-6)

    def test_an_answer_is_of_the_point_that_is_asked(self, adapter: Adapter) -> None:
        """Points of the same numbers elsewhere, in one dict that is changed, are told apart."""
        case, start, asked = squares(), start_of(), dict[str, Any]()
        problem = made(adapter, case, start)
        turned = {k: leaf.ravel()[::-1].reshape(leaf.shape) for k, leaf in start.items()}
        for point in (start, turned, {**start, "a": start["c"], "c": start["a"]}, start):
            asked.update(native(adapter, problem, point))
            found = problem.oracle(asked, {})
            loss = float(adapter.ops.to_numpy(found.loss))
            assert loss == pytest.approx(case.value(point), rel=2e-6)
            assert_close(hosted(adapter, found.gradient), case.gradient(point), 2e-6)

    def test_losses_are_averaged_in_float64(self, adapter: Adapter) -> None:
        """Losses that are float32 numbers are averaged without losing a digit of float64."""
        case = Polynomial({"a": drawn(20, (5000, 1), 0.5, 1.5)}, 1)
        one = {"a": np.ones(1, np.float32)}
        problem = made(adapter, case, one, batch_size=512)
        found = problem.oracle(native(adapter, problem, one), {})

        loss = float(adapter.ops.to_numpy(found.loss))
        assert loss == pytest.approx(case.value(one), rel=1e-12)

    def test_the_gradient_is_that_of_the_loss(self, adapter: Adapter) -> None:
        """The central difference of the oracle's own losses, exact on a quadratic, agrees."""
        problem, rng = made(adapter, squares(), start_of()), np.random.default_rng(0)
        at = start_of()
        direction = {k: rng.choice([-0.5, 0.5], leaf.shape) for k, leaf in at.items()}
        ends = [
            problem.oracle(
                native(adapter, problem, {k: at[k] + sign * direction[k] for k in at}), {}
            )
            for sign in (1.0, -1.0)
        ]
        forward, backward = (float(adapter.ops.to_numpy(end.loss)) for end in ends)
        gradient = hosted(adapter, problem.oracle(native(adapter, problem, at), {}).gradient)
        slope = sum(float((gradient[k] * direction[k]).sum()) for k in at)

        assert (forward - backward) / 2 == pytest.approx(slope, rel=1e-5)

    def test_gradients_are_shaped_and_named_like_the_leaves(self, adapter: Adapter) -> None:
        """Names, order, shapes and element types of the gradient are those of the snapshot."""
        problem = made(adapter, squares(), start_of())
        params = problem.capture().params
        gradient = problem.oracle(params, {}).gradient

        assert list(gradient) == list(params)
        for name, leaf in params.items():
            assert tuple(gradient[name].shape) == tuple(leaf.shape)
            assert gradient[name].dtype == leaf.dtype

    def test_the_loss_is_a_single_float64(self, adapter: Adapter) -> None:
        """The loss is a 0-d array that comes to the host as float64."""
        problem = made(adapter, squares(), start_of())
        loss = adapter.ops.to_numpy(problem.oracle(problem.capture().params, {}).loss)

        assert loss.shape == ()
        assert loss.dtype == np.float64

    def test_epsilon_is_that_of_the_arithmetic(self, adapter: Adapter) -> None:
        """`eps` is that of the leaves' type, or as large as losses are wrong: gaps are no noise."""
        case = squares()
        problem = made(adapter, case, start_of())
        leaf = np.finfo(adapter.ops.to_numpy(problem.capture().params["a"]).dtype).eps
        apart = [
            float(adapter.ops.to_numpy(problem.oracle(native(adapter, problem, at), {}).loss))
            / case.value(at)
            - 1.0
            for at in (start_of(), end_of())
        ]

        assert leaf <= problem.oracle.eps < 0.1
        assert problem.oracle.eps <= 1000 * max(leaf, *map(abs, apart))

    def test_evaluations_are_owned(self, adapter: Adapter) -> None:
        """A later evaluation does not change the gradient of an earlier one."""
        problem = made(adapter, squares(), start_of())
        first = problem.oracle(native(adapter, problem, start_of()), {})
        before = hosted(adapter, first.gradient)
        before = {k: leaf.copy() for k, leaf in before.items()}
        problem.oracle(native(adapter, problem, end_of()), {})

        after = hosted(adapter, first.gradient)
        for name, leaf in before.items():
            np.testing.assert_array_equal(after[name], leaf)
