"""Loss and gradient over a whole data set, evaluated functionally."""

from __future__ import annotations

import copy
import math
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

import keras
from attrs import frozen

from lca_core import Evaluation, Params
from lca_core.chunks import even_cuts
from lca_keras.backends import BACKEND
from lca_keras.batches import by_arrays, form
from lca_keras.data import Resident
from lca_keras.scaling import scaled

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lca_keras.backends import Point
    from lca_keras.batches import Batch
    from lca_keras.data import Source
    from lca_keras.leaves import Leaves
    from lca_keras.losses import Objective


class KerasOracle:
    r"""L(θ) over all examples and its gradient.

    .. math:: L(\theta) = \frac1N \sum_c n_c\, \ell_c(\theta)

    where the chunk c of n_c examples has the mean loss ℓ_c; summed in float64. The live model
    is not moved: its variables are read and written in a `keras.StatelessScope`.

    Its programs are made once for it and for all that `over` makes of it.

    Args:
        leaves: the variables and their names.
        objective: the losses of a batch.
        source: the examples.
        batch_size: examples evaluated at once.
        eps: machine epsilon of the least precise arithmetic in use.
        behaviour: makes the context in which the objective is called.
        half: whether gradients pass through float16, whose range is small.
        version: returns a number; programs are made anew where it is another one.
    """

    def __init__(
        self,
        leaves: Leaves,
        objective: Objective,
        source: Source,
        *,
        batch_size: int,
        eps: float,
        behaviour: Callable[[], AbstractContextManager[None]] = nullcontext,
        half: bool = False,
        version: Callable[[], int] = int,
    ) -> None:
        self.leaves = leaves
        self.objective = objective
        self.source = source
        self.batch_size = batch_size
        self.eps = eps
        self.behaviour = behaviour
        self.half = half
        self.version = version
        self._kin = object()
        self._programs: dict[tuple[str, int], Callable[..., Any]] = {}

    @property
    def kin(self) -> tuple[object, int]:
        """The same of all that share their programs."""
        return self._kin, self.version()

    def __call__(self, params: Params, buffers: Params) -> Evaluation:
        """Return loss and gradient at these parameters."""
        if isinstance(self.source, Resident):
            summed = self._program("all", self._summed)
            return Evaluation(*summed(self.source.arrays, params, buffers))
        losses = []
        gradient = {name: keras.ops.zeros_like(leaf) for name, leaf in params.items()}
        for batch in self.source.batches(self.batch_size):
            part = self._program(form(batch), by_arrays(self._share, batch))
            loss, more = part(params, buffers, batch.arrays)
            losses.append(loss)
            gradient = {name: g + more[name] for name, g in gradient.items()}
        return Evaluation(BACKEND.ops.sum(BACKEND.ops.concat(losses)), gradient)

    def over(self, source: Source) -> KerasOracle:
        """Return the same loss over other data of the same form, by the same programs."""
        other = copy.copy(self)
        other.source = source
        return other

    def of_form(self, source: Source) -> KerasOracle:
        """Return the same loss over data of another form, as a program of its own."""
        return KerasOracle(
            self.leaves,
            self.objective,
            source,
            batch_size=self.batch_size,
            eps=self.eps,
            behaviour=self.behaviour,
            half=self.half,
            version=self.version,
        )

    def losses(self, params: Params, buffers: Params, batch: Batch) -> Any:
        """Return losses of any shape, whose mean is the loss of the batch."""
        with self.leaves.standing_at(params, buffers), self.behaviour():
            return self.objective(batch)

    def _program(self, of: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function of data compiled, once for all kin and as long as the version stays."""
        key = of, self.version()
        if key not in self._programs:
            self._programs[key] = BACKEND.compile(function)
        return self._programs[key]

    def _summed(self, arrays: Sequence[Any], params: Params, buffers: Params) -> Point:
        """Sum over the chunks; those of one size share one piece of graph, and sizes are two."""
        source = cast("Resident", self.source).filled(arrays)
        if self.batch_size >= source.examples:
            return self._share(params, buffers, source.whole)
        zeros = {name: keras.ops.zeros_like(leaf) for name, leaf in params.items()}
        total = (keras.ops.zeros((), "float64"), zeros)
        for size, starts in _by_size(source.examples, self.batch_size).items():

            def part(start: Any, size: int = size) -> Point:
                return self._share(params, buffers, source.cut(start, size))

            total = BACKEND.total(part, starts, total)
        return total

    def _share(self, params: Params, buffers: Params, batch: Batch) -> Point:
        """Return what a batch adds to L and to its gradient."""
        share = batch.examples / self.source.examples

        def loss(leaves: Params, share: float = share) -> Any:
            losses = self.losses(leaves, buffers, batch)
            return BACKEND.ops.sum(losses) * (share / math.prod(losses.shape))

        if not self.half:
            return BACKEND.differentiate(loss, dict(params))
        mean, gradient = scaled(partial(loss, share=1.0), params)
        return mean * share, {name: g * share for name, g in gradient.items()}


@frozen(eq=False)
class Parts:
    """Losses over equal parts of a sample: `lca_core.typing.Sample`.

    Args:
        oracle: the loss over one of them; its own data only say what form they have.
        data: those of every part.
    """

    oracle: KerasOracle
    data: tuple[Resident, ...]

    def __call__(self, params: Params, buffers: Params) -> list[Evaluation]:
        """Return loss and gradient over every part."""
        return [self.oracle.over(one)(params, buffers) for one in self.data]


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function compiled by the backend; `lca_core.Allocator`'s `compile`.

    An oracle, or parts, as its first argument brings its data along as arguments of the program,
    which would otherwise hold them as constants. Oracles that differ in data of one form share it.
    One that reads its data as it goes runs as it is.
    """
    programs: dict[object, Callable[..., Any]] = {}
    of_tensors = BACKEND.compile(function)

    def call(first: Any, *rest: Any) -> Any:
        if isinstance(first, Parts):
            oracle, arrays = first.oracle, [one.arrays for one in first.data]
            if oracle.kin not in programs:
                programs[oracle.kin] = BACKEND.compile(partial(_with_parts, function, oracle))
            return programs[oracle.kin](arrays, *rest)
        if not isinstance(first, KerasOracle):
            return of_tensors(first, *rest)
        if not isinstance(first.source, Resident):
            return function(first, *rest)
        if first.kin not in programs:
            programs[first.kin] = BACKEND.compile(partial(_with_data, function, first))
        return programs[first.kin](first.source.arrays, *rest)

    return call


def _with_data(
    function: Callable[..., Any], oracle: KerasOracle, arrays: Sequence[Any], *rest: Any
) -> Any:
    return function(oracle.over(cast("Resident", oracle.source).filled(arrays)), *rest)


def _with_parts(
    function: Callable[..., Any], oracle: KerasOracle, arrays: Sequence[Any], *rest: Any
) -> Any:
    form = cast("Resident", oracle.source)
    return function(Parts(oracle, tuple(form.filled(one) for one in arrays)), *rest)


def _by_size(examples: int, size: int) -> dict[int, list[int]]:
    """Return length of a chunk -> where chunks of that length begin."""
    starts: dict[int, list[int]] = {}
    for begin, end in pairwise(even_cuts(examples, size)):
        starts.setdefault(end - begin, []).append(begin)
    return starts
