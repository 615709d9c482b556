"""The gradient of any polynomial loss, without a formula for it."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import field, frozen

from lca_core.chunks import even_cuts
from lca_core.errors import DataError, LossError
from lca_core.typing import Evaluation, Params

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lca_core.adapters import ExampleLoss

_STEP = 2.0**-100


@frozen
class ComplexStep:
    r"""L(θ) as the mean of a loss over examples, its gradient by complex steps.

    .. math:: \partial_i L(\theta) = \operatorname{Im} L(\theta + i h e_i) / h, \qquad h = 2^{-100}

    Nothing is subtracted, so the gradient is exact to rounding, for losses written with
    `+ - *` and sums alone: `abs` and comparisons have no complex derivative. One evaluation a
    parameter: for small problems.

    Args:
        loss: (leaves, batch) -> a loss per example, shape (n,).
        data: arrays with examples along the first axis.
        tied: alias -> the leaf that it is another name of.
        batch_size: examples evaluated at once; None for all.
        eps: machine epsilon.

    Raises:
        DataError: there are no examples, or their numbers differ between arrays.

    Example:
        >>> import numpy as np
        >>> from lca_core.reference.complex_step import ComplexStep
        >>> cube = ComplexStep(lambda leaves, batch: batch["c"] * leaves["x"] * leaves["x"],
        ...     {"c": np.array([1.0, 2.0])})
        >>> float(cube({"x": np.array(3.0)}, {}).gradient["x"])
        9.0

    Source: W. Squire and G. Trapp (1998), Using complex variables to estimate derivatives.
    """

    loss: ExampleLoss
    data: Mapping[str, np.ndarray]
    tied: Mapping[str, str] = field(factory=dict)
    batch_size: int | None = None
    eps: float = float(np.finfo(np.float64).eps)

    def __attrs_post_init__(self) -> None:
        lengths = {len(values) for values in self.data.values()}
        if len(lengths) != 1 or lengths == {0}:
            msg = f"All data need the same number of examples, from 1 up; got {sorted(lengths)}."
            raise DataError(msg)

    def __call__(self, params: Params, buffers: Params) -> Evaluation:
        """Return loss and gradient."""
        leaves = {name: np.asarray(leaf, np.float64) for name, leaf in params.items()}
        gradient = {name: self._slopes(leaves, name) for name in leaves}
        return Evaluation(np.asarray(np.real(self._mean(leaves)), np.float64), gradient)

    def _slopes(self, leaves: Mapping[str, np.ndarray], name: str) -> np.ndarray:
        slopes = np.zeros(leaves[name].shape)
        for place in np.ndindex(slopes.shape):
            shifted = leaves[name].astype(np.complex128)
            shifted[place] += 1j * _STEP
            slopes[place] = np.imag(self._mean({**leaves, name: shifted})) / _STEP
        return slopes

    def _mean(self, leaves: Mapping[str, np.ndarray]) -> Any:
        named: Params = {**leaves, **{alias: leaves[own] for alias, own in self.tied.items()}}
        n = len(next(iter(self.data.values())))
        edges = itertools.pairwise(even_cuts(n, self.batch_size or n))
        return sum(self._total(named, begin, end) for begin, end in edges) / n

    def _total(self, leaves: Params, begin: int, end: int) -> Any:
        batch: Params = {name: values[begin:end] for name, values in self.data.items()}
        losses: Any = self.loss(leaves, batch)
        if np.shape(losses) != (end - begin,):
            msg = (
                f"The loss must return one number per example, shape ({end - begin},), "
                f"got shape {np.shape(losses)}."
            )
            raise LossError(msg)
        return np.sum(losses)
