"""What users need: the array functions, the loss over all examples, `track`."""

from itertools import pairwise
from typing import Any

import autograd.numpy as anp
import numpy as np
from attrs import frozen
from autograd import value_and_grad

from lca_core import Adaptive, Allocator, Evaluation, Layout, Leaf, Snapshot, default_observers
from lca_core.chunks import even_cuts
from lca_core.errors import DataError, LossError
from lca_core.leafwise import add, scale
from lca_core.starting import start


class AutogradOps:
    """`lca_core.ArrayOps`: numpy's own; losses use `sum` too, so it is one that autograd knows."""

    def sum(self, array, keep=None):
        axes = tuple(axis for axis in range(anp.ndim(array)) if axis != keep)
        return anp.sum(array, axis=axes, dtype=np.float64)

    def histogram(self, array):
        bits = np.float32(array).ravel().view(np.uint32)
        return np.bincount(bits >> 21, minlength=2048).astype(array.dtype)

    sign = staticmethod(lambda array: np.nan_to_num(np.sign(array)))
    take = staticmethod(lambda array, places: np.ravel(array)[places])
    concat = staticmethod(np.hstack)
    to_numpy = staticmethod(np.array)
    from_numpy = staticmethod(lambda array, like: np.array(array, like.dtype))


def owned(arrays, dtype=None):
    """Return copies, so that no later update reaches them."""
    return {name: np.array(array, dtype) for name, array in arrays.items()}


def capture(params):
    """Return where the parameters stand, in float64 whatever they are trained in."""
    return Snapshot(owned(params, np.float64))


def layout_of(params, tied):
    """Describe the leaves: "fc1.kernel" is of layer "fc1", its last axis counts the units."""
    leaves = []
    for name, array in params.items():
        layer = name.rpartition(".")[0] or name
        unit_axis = np.ndim(array) - 1 if np.ndim(array) else None
        aliases = [alias for alias, leaf in tied.items() if leaf == name]
        leaves.append(Leaf(name, np.shape(array), "float64", layer, unit_axis, aliases))
    return Layout(leaves)


@frozen
class AutogradOracle:
    """L(θ), the mean of loss(θ, batch) over all examples of the data, and its gradient."""

    loss: Any
    data: Any
    batch_size: int
    eps: float = 2.0**-52

    def __attrs_post_init__(self):
        lengths = {name: len(array) for name, array in self.data.items()}
        if len(set(lengths.values())) != 1 or 0 in lengths.values():
            raise DataError(f"The data must be examples, as many in every array; got {lengths}.")

    def __call__(self, params, buffers):
        n = len(next(iter(self.data.values())))
        loss, gradient = 0.0, {name: np.zeros(leaf.shape) for name, leaf in params.items()}
        for begin, end in pairwise(even_cuts(n, self.batch_size)):
            batch = {name: array[begin:end] for name, array in self.data.items()}
            mean, slope = value_and_grad(self._mean)(dict(params), batch, end - begin)
            weight = (end - begin) / n
            loss, gradient = loss + weight * mean, add(gradient, scale(weight, slope))
        return Evaluation(np.array(loss), gradient)

    def _mean(self, params, batch, size):
        losses = self.loss(params, batch)
        if anp.shape(losses) != (size,):
            raise LossError(f"The loss must be of shape ({size},), not {anp.shape(losses)}.")
        return anp.mean(losses)


def track(loss, params, data, *, batch_size=None, integrator=None, observers=None, **options):
    """Track a loop in autograd; call `tracker.step(params)` after every update.

    Args:
        loss: (params, batch) -> a loss an example, shape (n,).
        params: θ_0, leaf name -> array.
        data: measure -> a dict of arrays, examples along the first axis.
        batch_size: examples evaluated at once; 1,000 by default.
        integrator: `Adaptive()` by default.
        observers: `default_observers(layout)` by default.
        options: `path`, `resume`, `every`, `chunk` of `lca_core.starting.start`.

    Example:
        >>> x, theta = np.arange(6.0).reshape(3, 2), {"w": np.ones(2)}
        >>> def loss(params, batch):
        ...     return anp.dot(batch["x"], params["w"]) ** 2
        >>> tracker = track(loss, theta, {"train": {"x": x}})
        >>> theta["w"] *= 0.5
        >>> tracker.step(theta)
        >>> tracker.finish().total("train")["w"]
        array([-11.5 , -15.25])
    """
    size = batch_size or 1000
    oracles = {name: AutogradOracle(loss, owned(part), size) for name, part in data.items()}
    layout = layout_of(params, tied={})
    observers = default_observers(layout) if observers is None else tuple(observers)
    allocator = Allocator(AutogradOps(), oracles, layout, integrator or Adaptive(), observers)
    config = {"adapter": "autograd", "batch_size": size}
    return start(allocator, capture(params), capture, config=config, **options)
