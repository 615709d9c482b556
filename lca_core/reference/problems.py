"""Losses whose allocation is known in closed form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import field, frozen

from lca_core.layout import Layout, Leaf
from lca_core.typing import Evaluation, Params

if TYPE_CHECKING:
    from collections.abc import Mapping


def _arrays(leaves: Mapping[str, Any]) -> dict[str, np.ndarray]:
    return {name: np.asarray(leaf, np.float64) for name, leaf in leaves.items()}


@frozen
class Polynomial:
    r"""A separable loss, exact for every rule of degree `power` - 1 and up.

    .. math:: L(\theta) = \sum_i c_i \theta_i^p, \qquad
        A_i = c_i \left((\theta_i + \Delta_i)^p - \theta_i^p\right)

    Args:
        coefficients: c, leaf name -> array of any shape.
        power: p, from 1 up.
    """

    coefficients: Mapping[str, np.ndarray] = field(converter=_arrays)
    power: int
    eps: float = float(np.finfo(np.float64).eps)

    @property
    def layout(self) -> Layout:
        """Every leaf a layer of its own, units along the first axis."""
        return Layout(
            Leaf(name, c.shape, "float64", layer=name, unit_axis=0 if c.ndim else None)
            for name, c in self.coefficients.items()
        )

    def __call__(self, params: Params, buffers: Params) -> Evaluation:
        """Return loss and gradient."""
        p, loss, gradient = self.power, np.float64(0.0), {}
        for name, c in self.coefficients.items():
            theta = np.asarray(params[name])
            loss = loss + np.sum(c * theta**p)
            gradient[name] = c * p * theta ** (p - 1)
        return Evaluation(np.asarray(loss), gradient)

    def allocation(self, start: Params, end: Params) -> dict[str, np.ndarray]:
        """Return the exact allocation of a step."""
        return {
            name: c * (np.asarray(end[name]) ** self.power - np.asarray(start[name]) ** self.power)
            for name, c in self.coefficients.items()
        }


@frozen
class Quadratic:
    r"""A coupled quadratic bowl, exact for every rule of degree 1 and up.

    .. math:: L(x) = \tfrac12 x^\top H x + b^\top x, \qquad
        A = \left(H \tfrac{x_0 + x_1}{2} + b\right) \odot \Delta

    Args:
        hessian: H, shape (n, n), symmetric.
        linear: b, shape (n,).
    """

    hessian: np.ndarray
    linear: np.ndarray
    eps: float = float(np.finfo(np.float64).eps)

    @property
    def layout(self) -> Layout:
        """One leaf, "x"; every coordinate a unit."""
        return Layout([Leaf("x", self.linear.shape, "float64", layer="x", unit_axis=0)])

    def __call__(self, params: Params, buffers: Params) -> Evaluation:
        """Return loss and gradient."""
        x = np.asarray(params["x"])
        loss = 0.5 * x @ self.hessian @ x + self.linear @ x
        return Evaluation(np.asarray(loss), {"x": self.hessian @ x + self.linear})

    def allocation(self, start: Params, end: Params) -> dict[str, np.ndarray]:
        """Return the exact allocation of a step."""
        x0, x1 = np.asarray(start["x"]), np.asarray(end["x"])
        return {"x": (self.hessian @ ((x0 + x1) / 2) + self.linear) * (x1 - x0)}
