"""Looks at a loss on a few examples: whether it is a plain mean, and how finely it computes."""

from __future__ import annotations

import math
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from attrs import evolve, field, frozen

from lca_core.errors import LossError
from lca_core.mixing import mixed, spread
from lca_core.unusable import explained, shaped
from lca_jax.data import form
from lca_jax.losses import count

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager

    from lca_core import Params, Snapshot
    from lca_jax.data import Examples
    from lca_jax.losses import Objective

_EPS = {"f16": 2.0**-10, "bf16": 2.0**-7}
_SEEN, _SEEN_ALONE, _FORMS = 256, 64, 4


class _Form(NamedTuple):
    """What a loss gives of batches of one form.

    Args:
        scalar: one number.
        square: losses for every pair of examples, it seems: their other axes grow with the batch.
        weighs: weights come with them.
        eps: epsilon of the least precise half type that it computes in, or 0.
    """

    scalar: bool
    square: bool
    weighs: bool
    eps: float


@frozen(eq=False)
class Checks:
    """A loss at hand for comparisons, one place and one beside for all its measures.

    Args:
        objective: the loss.
        point: where the parameters stand.
    """

    objective: Objective
    point: Snapshot
    _known: dict[Any, _Form] = field(factory=dict, init=False)

    @cached_property
    def aside(self) -> dict[str, Any]:
        """Where to look as well: losses that are all equal show nothing."""
        return beside(self.point.params)

    def epsilon(self, measure: str, batch: Any) -> float:
        """Return the epsilon of the least precise half type that the loss computes in, or 0.

        Args:
            measure: its name.
            batch: some examples.

        Raises:
            LossError: the loss cannot be evaluated on the batch, or its loss is not the mean of the
                losses of its parts, or its weights are not theirs.
        """
        with self._explained(measure, batch):
            found = self._looked(batch)
        if found.square:
            raise _not_a_mean()
        # Losses of single examples add up by themselves.
        if found.scalar and not self._is_mean(batch, max(1e-3, 4.0 * found.eps)):
            raise _not_a_mean()
        if found.weighs:
            self._refuse_weights(batch)
        return found.eps

    def _refuse_weights(self, batch: Any) -> None:
        """Raise a `LossError` if weights move with the parameters, or with the other examples."""
        with jax.enable_x64(self.objective.x64):
            slope = self._slope(self.aside, self.point.buffers, batch)
        if any(np.any(leaf) for leaf in map(np.asarray, slope.values())):
            msg = (
                "The weights that loss_fn returns depend on the parameters, but L = Σ w·l / Σ w is "
                "differentiated with a Σ w that does not move. Return w * l as the losses, without "
                "weights, or weights that the data alone tell."
            )
            raise LossError(msg)
        if not self._weighs_alike(batch):
            msg = (
                "The weights that loss_fn returns of a batch are not those of its parts: they are "
                "divided by their sum or mean there, or compare examples with each other. Return "
                "them as they are: LCA divides by their sum over all data."
            )
            raise LossError(msg)

    def _weighs_alike(self, batch: Any) -> bool:
        """Compare the weights in a batch with those in its parts."""
        n = count(batch)
        at, cuts = (dict(self.point.params), self.point.buffers), ((0, n), (0, n // 3), (n // 3, n))
        if n < 3:
            return True
        with jax.enable_x64(self.objective.x64):
            found = [np.asarray(self._weights(*at, _cut(batch, *cut)), float) for cut in cuts]
        whole, *parts = found
        return np.allclose(whole, np.concatenate(parts) if whole.ndim else sum(parts), rtol=1e-3)

    def _explained(self, measure: str, batch: Any) -> AbstractContextManager[None]:
        """Say what was passed where the loss cannot be evaluated."""
        more = ", state" if self.objective.stateful else ""
        remedy = (
            "The batch comes as it was passed, in one piece; a loss_fn(params, x, y) goes as "
            "lambda params, batch: loss_fn(params, *batch). A dict of dicts names measures: pass a "
            "batch of that form as data={'train': {...}}."
        )
        return explained(
            f"'{measure}'",
            f"loss_fn(params, batch{more})",
            lambda: ({"batch": shaped(batch)}, remedy),
        )

    def _looked(self, batch: Any) -> _Form:
        """Look at a batch, once for every form."""
        key = form(batch)
        if key not in self._known:
            at, objective = (self.point.params, self.point.buffers), self.objective
            with jax.enable_x64(objective.x64):
                # With its gradient, or what cannot be differentiated would be found out later.
                (losses, _), _ = jax.eval_shape(objective.with_gradient, *at, batch)
                fewer = losses
                if losses.shape and count(batch) > 1:
                    fewer, _ = jax.eval_shape(objective, *at, _cut(batch, 1, None))
            halves = [_EPS[one] for one in objective.half_types(*at, batch)]
            self._known[key] = _Form(
                scalar=not losses.shape,
                square=losses.shape[1:] != fewer.shape[1:],
                weighs=objective.weighs(*at, batch),
                eps=max(halves, default=0.0),
            )
        return self._known[key]

    @cached_property
    def _slope(self) -> Any:
        """(params, buffers, batch) -> the gradient of a mix of the weights."""

        def mix(params: Any, buffers: Any, batch: Any) -> jax.Array:
            _, weights = self.objective(params, buffers, batch)
            drawn = np.random.default_rng(0).uniform(1.0, 2.0, weights.shape)
            return jnp.sum(weights.astype(jnp.float32) * drawn.astype(np.float32))

        return jax.jit(jax.grad(mix))

    @cached_property
    def _weights(self) -> Any:
        """(params, buffers, batch) -> the weights."""
        return jax.jit(lambda *at: self.objective(*at)[1])

    def _is_mean(self, batch: Any, rtol: float) -> bool:
        n, few = count(batch), _some(batch, _SEEN_ALONE)
        uneven = [0, max(1, min(n // 3, _SEEN_ALONE)), n]  # a sum or a weighted mean cannot hide
        pairs = [*range(0, count(few) - 1, 2), count(few)]
        cuts = ((batch, uneven, False), (batch, uneven, True), (few, pairs, True))
        return n < 2 or all(
            self._adds_up(self.aside if aside else self.point.params, part, edges, rtol)
            for part, edges, aside in cuts
        )

    def _adds_up(self, params: Params, batch: Any, edges: Sequence[int], rtol: float) -> bool:
        """Compare a batch with its parts between these edges."""

        def loss(begin: int, end: int) -> float:
            part = _cut(batch, begin, end)
            return float(self.objective.summed(dict(params), self.point.buffers, part))

        n = count(batch)
        with jax.enable_x64(self.objective.x64):
            whole, parts = loss(0, n), [loss(*ends) for ends in pairwise(edges)]
        apart = abs(whole - sum(parts)) / n
        return not apart > 1e-6 + rtol * sum(map(abs, parts)) / n


def _not_a_mean() -> LossError:
    return LossError(
        "The loss of a batch is not the mean of the losses of its parts: loss_fn sums over "
        "examples, weighs them, or compares them with each other, as where outputs of shape (n, 1) "
        "meet targets of shape (n,). Return per-example losses (with weights, as a pair; a pair "
        "never is a loss with has_aux) or a plain mean."
    )


def mixtures(parts: Sequence[Examples]) -> list[Any]:
    """Return some examples of a measure in every form that its batches have, or in some of many.

    A loss may be a plain mean of batches of one length, and not of those that are filled up to it.

    Args:
        parts: see `mixture`; those of a partition have one form.
    """
    if len(parts) > 1:
        return [mixture(parts)]
    (only,) = parts
    forms = list({form(part, joined=True): part for part in only.parts}.values())
    places = np.linspace(0, len(forms) - 1, min(len(forms), _FORMS)).astype(int)
    return [mixture([evolve(only, parts=(forms[place],))]) for place in places]


def mixture(parts: Sequence[Examples]) -> Any:
    """Return some examples of a measure: of all parts of a partition, one after the other.

    Inside a class, a mean with class weights is a plain mean: only across classes is it seen.

    Args:
        parts: arrays of one form; of very many, some all over them are looked at.
    """
    chosen, each = mixed([part.examples for part in parts], _SEEN)
    found = [parts[place].spread(each) for place in chosen]
    return jax.tree.map(lambda *arrays: np.concatenate(arrays), *found)


def _cut(batch: Any, begin: int, end: int | None) -> Any:
    """Return neighbouring examples."""
    return jax.tree.map(lambda x: x[begin:end], batch)


def _some(batch: Any, size: int) -> Any:
    """Return up to `size` examples, spread over all."""
    n = count(batch)
    places = spread(n, min(n, size))
    return jax.tree.map(lambda x: x[places], batch)


def beside(params: Params) -> dict[str, Any]:
    """Return parameters moved at random, as far as they are large, or as an initial layer is."""
    rng = np.random.default_rng(0)

    def drawn(leaf: Any) -> Any:
        noise = rng.standard_normal(leaf.shape, np.float32).astype(leaf.dtype)
        # What is put somewhere stays there, and programs for it are others.
        return jax.device_put(noise, leaf.sharding) if leaf.committed else noise

    with jax.enable_x64(True):
        noise = {name: drawn(leaf) for name, leaf in params.items()}
        moved: dict[str, Any] = _moved(dict(params), noise)
    return moved


@jax.jit
def _moved(params: Mapping[str, Any], noise: Mapping[str, Any]) -> dict[str, Any]:
    def far(leaf: Any) -> Any:
        rms = jnp.sqrt(jnp.mean(jnp.square(leaf))) if leaf.size else 0.0
        return 0.3 * jnp.maximum(rms, 1.0 / math.sqrt(leaf.shape[0] if leaf.ndim else 1))

    return {
        name: leaf + far(leaf).astype(leaf.dtype) * noise[name] for name, leaf in params.items()
    }
