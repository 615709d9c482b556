"""Losses in closed form, written once with operators, for every backend to differentiate."""

from __future__ import annotations

from functools import reduce
from operator import add, mul
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import field, frozen

from lca_core.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lca_core.adapters import Adapter, ExampleLoss, Problem

Leaves = dict[str, np.ndarray]


def drawn(seed: int, shape: tuple[int, ...], low: float = -1.0, high: float = 1.0) -> np.ndarray:
    """Return uniform float32 numbers."""
    return np.random.default_rng(seed).uniform(low, high, shape).astype(np.float32)


def wide(leaves: Mapping[str, Any]) -> Leaves:
    """Return arrays in float64."""
    return {name: np.asarray(leaf, np.float64) for name, leaf in leaves.items()}


@frozen
class Polynomial:
    r"""Separable: every parameter's allocation is known, whatever the path.

    .. math:: \ell_n(\theta) = \sum_i c_{ni}\, \theta_i^p

    Args:
        coefficients: leaf name -> c, shape (n, *leaf.shape).
        power: p, from 1 up.
    """

    coefficients: Leaves
    power: int

    @property
    def data(self) -> Leaves:
        """What `Adapter.problem` is given as data."""
        return self.coefficients

    def loss(self, ops: Any) -> ExampleLoss:
        """Return the loss of every example, in native operators."""

        def of(params: Mapping[str, Any], batch: Mapping[str, Any]) -> Any:
            terms = []
            for name in self.coefficients:
                powers = reduce(mul, [params[name]] * self.power)
                terms.append(ops.sum(batch[name] * powers, keep=0))
            return reduce(add, terms)

        return of

    def value(self, params: Mapping[str, Any]) -> float:
        """Return L."""
        mean = {name: c.astype(np.float64).mean(0) for name, c in self.coefficients.items()}
        return float(sum((mean[k] * wide(params)[k] ** self.power).sum() for k in mean))

    def gradient(self, params: Mapping[str, Any]) -> Leaves:
        """Return ∂L/∂θ."""
        theta, p = wide(params), self.power
        return {
            k: c.astype(np.float64).mean(0) * p * theta[k] ** (p - 1)
            for k, c in self.coefficients.items()
        }

    def allocation(self, start: Mapping[str, Any], end: Mapping[str, Any]) -> Leaves:
        """Return the exact allocation of a step."""
        a, b = wide(start), wide(end)
        return {
            k: c.astype(np.float64).mean(0) * (b[k] ** self.power - a[k] ** self.power)
            for k, c in self.coefficients.items()
        }


@frozen
class Squares:
    r"""Coupled: least squares, whose gradient is linear along any step.

    .. math:: \ell_n(\theta) = \left(\sum_i x_{ni}\, \theta_i - y_n\right)^2

    Args:
        inputs: leaf name -> x, shape (n, *leaf.shape).
        targets: y, shape (n,).
    """

    inputs: Leaves
    targets: np.ndarray
    data: Leaves = field(init=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "data", {**self.inputs, "y": self.targets})

    def loss(self, ops: Any) -> ExampleLoss:
        """Return the loss of every example, in native operators."""

        def of(params: Mapping[str, Any], batch: Mapping[str, Any]) -> Any:
            terms = [ops.sum(batch[k] * params[k], keep=0) for k in self.inputs]
            residual = reduce(add, terms) - ops.sum(batch["y"], keep=0)
            return residual * residual

        return of

    def value(self, params: Mapping[str, Any]) -> float:
        """Return L."""
        return float((self._residual(params) ** 2).mean())

    def gradient(self, params: Mapping[str, Any]) -> Leaves:
        """Return ∂L/∂θ."""
        residual = self._residual(params)
        n = len(residual)
        return {
            k: 2.0 / n * np.tensordot(residual, x.astype(np.float64), 1)
            for k, x in self.inputs.items()
        }

    def allocation(self, start: Mapping[str, Any], end: Mapping[str, Any]) -> Leaves:
        """Return the exact allocation of a step: the gradient is linear along it."""
        a, b = wide(start), wide(end)
        middle = self.gradient({k: (a[k] + b[k]) / 2 for k in a})
        return {k: middle[k] * (b[k] - a[k]) for k in a}

    def _residual(self, params: Mapping[str, Any]) -> np.ndarray:
        theta, n = wide(params), len(self.targets)
        parts = (
            x.reshape(n, -1).astype(np.float64) @ theta[k].ravel() for k, x in self.inputs.items()
        )
        return np.asarray(sum(parts) - self.targets.astype(np.float64))


SHAPES: dict[str, tuple[int, ...]] = {"a": (3,), "b": (2, 3), "c": (3,), "d": (2, 2)}
"""Leaves of the usual problem; "a" and "c" could be swapped, "d" could be transposed."""

EXAMPLES = 101
"""A prime, so that every cut is ragged."""


def start_of(shapes: Mapping[str, tuple[int, ...]] = SHAPES) -> Leaves:
    """Return parameters to start from, none near zero."""
    return {k: drawn(i, shape, 0.5, 1.5) for i, (k, shape) in enumerate(shapes.items())}


def end_of(shapes: Mapping[str, tuple[int, ...]] = SHAPES) -> Leaves:
    """Return parameters to go to."""
    moved = {k: drawn(50 + i, shape, -0.6, 0.6) for i, (k, shape) in enumerate(shapes.items())}
    return {k: leaf + moved[k] for k, leaf in start_of(shapes).items()}


def polynomial(power: int, shapes: Mapping[str, tuple[int, ...]] = SHAPES) -> Polynomial:
    """Return a polynomial whose examples all differ."""
    coefficients = {
        k: drawn(100 + i, (EXAMPLES, *shape), 0.2, 2.0)
        for i, (k, shape) in enumerate(shapes.items())
    }
    return Polynomial(coefficients, power)


def squares(shapes: Mapping[str, tuple[int, ...]] = SHAPES) -> Squares:
    """Return a least-squares problem whose examples all differ."""
    inputs = {k: drawn(200 + i, (EXAMPLES, *shape)) for i, (k, shape) in enumerate(shapes.items())}
    return Squares(inputs, drawn(300, (EXAMPLES,)))


def made(
    adapter: Adapter,
    case: Polynomial | Squares,
    params: Leaves,
    *,
    tied: Mapping[str, str] | None = None,
    batch_size: int | None = None,
) -> Problem:
    """Return the case as the adapter's own problem."""
    return adapter.problem(
        case.loss(adapter.ops), params, case.data, tied=tied or {}, batch_size=batch_size
    )


def native(adapter: Adapter, problem: Problem, values: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Return values as leaves of the problem, in its own type."""
    like = problem.capture().params
    return {name: adapter.ops.from_numpy(values[name], leaf) for name, leaf in like.items()}


def hosted(adapter: Adapter, leaves: Mapping[str, Any]) -> Leaves:
    """Return native leaves on the host."""
    return {name: np.asarray(adapter.ops.to_numpy(leaf)) for name, leaf in leaves.items()}


def supported(build: Callable[[], Any]) -> Any:
    """Return what `build` does, or skip the test with the adapter's own reason."""
    import pytest

    try:
        return build()
    except UnsupportedError as error:
        pytest.skip(str(error))


def assert_close(found: Mapping[str, Any], truth: Mapping[str, Any], rtol: float) -> None:
    """Compare leaves; errors are relative to the largest entry of the leaf."""
    assert list(found) == list(truth)
    for name, wanted in truth.items():
        got = np.asarray(found[name], np.float64)
        assert got.shape == np.shape(wanted), f"leaf '{name}'"
        allowed = rtol * max(float(np.abs(wanted).max(initial=0.0)), 1e-30)
        worst = float(np.abs(got - wanted).max(initial=0.0))
        assert worst <= allowed, f"leaf '{name}' is off by {worst:.3g}, allowed {allowed:.3g}"
