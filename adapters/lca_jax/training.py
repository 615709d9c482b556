"""A `TrainingSpec` as a native optax loop, tracked."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from attrs import frozen

from lca_core.optimizers import SGD, Adam, AdamW, Optimizer, RMSprop
from lca_core.resuming import reached
from lca_core.sampling import yardsticks
from lca_jax.networks import Behaviour, apply, build, nested
from lca_jax.tracking import track

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lca_core import Run
    from lca_core.adapters import Mode, OnStep
    from lca_core.datasets import Dataset, Split
    from lca_core.networks import NetworkSpec
    from lca_core.training import TrainingSpec

PAPERS_CHUNK = 2_500
"""Examples whose statistics batch norm uses in "batch-stats" mode, by default."""


def train(
    spec: TrainingSpec,
    dataset: Dataset,
    *,
    on_step: OnStep,
    tracking: Mapping[str, Any],
    by_class: bool = False,
) -> Run:
    """Train the spec's network on JAX's default device, tracking "train" and "val"."""
    arguments = {**tracking}
    params, state = build(spec.network, spec.initial())
    loss = Loss(spec.network, arguments.pop("mode", "eval"))
    splits = {"train": arrays(dataset.train), "val": arrays(dataset.val)}
    sampling = arguments.pop("sampling", None)
    data = yardsticks(splits, dataset, spec, by_class=by_class, sampling=sampling)
    moves = iterates(spec, params, state, dataset.train)
    params, state = reached(moves, **tracking)
    with track(
        loss, params, data, **(loss.arguments(state, arguments.pop("batch_size", None)) | arguments)
    ) as tracker:
        for params, state in moves:
            tracker.step(params, *loss.seen(state))
            on_step(tracker)
    return tracker.run


def iterates(
    spec: TrainingSpec, params: Any, state: Any, split: Split
) -> Iterator[tuple[Any, Any]]:
    """Yield parameters and state as they are, then after every step, which donates the last.

    Args:
        spec: the set-up.
        params: built from its network.
        state: built from its network.
        split: all examples.
    """
    yield params, state
    groups = Groups(spec)
    updates, key = groups.init(params), jax.random.key(spec.seed)
    x, y = map(jnp.asarray, arrays(split))
    step = jax.jit(partial(_step, spec.network, groups), donate_argnums=0)
    batches, factors = spec.batches(len(y)), spec.factors(len(y))
    for i, (indices, factor) in enumerate(zip(batches, factors, strict=True)):
        batch = indices, groups.rates(i, factor), jax.random.fold_in(key, i)
        params, state, updates = step((params, state, updates), (x, y), batch)
        yield params, state


def arrays(split: Split) -> tuple[np.ndarray, np.ndarray]:
    """Return a split's inputs and labels."""
    return split.inputs, split.labels


@frozen
class Loss:
    """A network's cross-entropy by example, as it is measured.

    Args:
        network: the network.
        mode: "eval" for batch norm with moving averages, which are then the state of the loss;
            "batch-stats" for each chunk's own.
    """

    network: NetworkSpec
    mode: Mode

    def __call__(self, params: Any, batch: Any, state: Any = None) -> jax.Array:
        """Return the losses of a batch, shape (n,)."""
        x, y = batch
        behaviour: Behaviour = self.mode
        logits, _ = apply(self.network, params, state or {}, x, behaviour=behaviour)
        return cross_entropy(logits, y)

    @property
    def stateful(self) -> bool:
        """Whether it depends on the network's state."""
        return self.mode == "eval" and bool(self.network.buffers)

    def seen(self, state: Any) -> tuple[Any, ...]:
        """Return what `tracker.step` is to be given behind the parameters."""
        return (state,) if self.stateful else ()

    def arguments(self, state: Any, batch_size: int | None) -> dict[str, Any]:
        """Return the arguments of `track` that go with this loss."""
        if self.mode == "batch-stats":
            batch_size = batch_size or PAPERS_CHUNK
        return {"state": state if self.stateful else None, "batch_size": batch_size}


def cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Return the losses of examples, shape (n,)."""
    losses: jax.Array = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    return losses


@frozen(eq=False)
class Groups:
    """The optimizers of a spec, each for its group of leaves.

    Args:
        spec: the set-up.
    """

    spec: TrainingSpec

    def init(self, params: Any) -> Any:
        """Return the optimizers' state before the first step."""
        return self._transformation.init(params)

    def rates(self, step: int, factor: float) -> np.ndarray:
        """Return every group's learning rate, shape (groups,); 0 where it is frozen.

        Args:
            step: from 0.
            factor: what the schedule multiplies learning rates by.
        """
        return np.array(
            [g.optimizer.learning_rate * factor * g.moves(step) for g in self.spec.groups],
            np.float32,
        )

    def update(self, params: Any, gradient: Any, state: Any, rates: jax.Array) -> tuple[Any, Any]:
        """Return the parameters and the optimizers' state after a step; traceable."""
        directions, state = self._transformation.update(gradient, state, params)

        def moved(param: jax.Array, direction: jax.Array, group: str) -> jax.Array:
            rate = rates[int(group)]
            # A frozen leaf stays even where its direction is infinite.
            return jnp.where(rate == 0.0, param, param - rate * direction)

        return jax.tree.map(moved, params, directions, self._labels), state

    @property
    def _labels(self) -> Any:
        groups = enumerate(self.spec.groups)
        group_of = {leaf: str(i) for i, group in groups for leaf in group.leaves}
        return nested({name: group_of[name] for name in self.spec.network.layout.names})

    @property
    def _transformation(self) -> optax.GradientTransformationExtraArgs:
        each = {str(i): direction(group.optimizer) for i, group in enumerate(self.spec.groups)}
        return optax.partition(each, self._labels)


def direction(optimizer: Optimizer) -> optax.GradientTransformation:
    """Return optax's transformation of a gradient into what the learning rate multiplies."""
    match optimizer:
        case SGD(momentum=momentum):
            return optax.trace(momentum)
        case RMSprop(momentum=momentum, decay=decay, epsilon=epsilon):
            scaled = optax.scale_by_rms(decay, epsilon, eps_in_sqrt=False)
            return optax.chain(scaled, optax.trace(momentum))
        case Adam(beta1=beta1, beta2=beta2, epsilon=epsilon):
            return optax.scale_by_adam(beta1, beta2, epsilon)
        case AdamW(weight_decay=decay, beta1=beta1, beta2=beta2, epsilon=epsilon):
            adam = optax.scale_by_adam(beta1, beta2, epsilon)
            return optax.chain(adam, optax.add_decayed_weights(decay))


def _step(
    network: NetworkSpec,
    groups: Groups,
    standing: tuple[Any, Any, Any],
    data: tuple[jax.Array, jax.Array],
    batch: tuple[jax.Array, jax.Array, jax.Array],
) -> tuple[Any, Any, Any]:
    """Return parameters, state and optimizer state after one batch.

    Args:
        network: the network.
        groups: its optimizers.
        standing: parameters, state and optimizer state before it.
        data: inputs and labels of all examples.
        batch: the indices of its examples, the groups' learning rates, the key of its dropout.
    """
    (params, state, updates), (x, y), (indices, rates, key) = standing, data, batch

    def loss(params: Any) -> tuple[jax.Array, Any]:
        logits, after = apply(network, params, state, x[indices], behaviour="train", key=key)
        return cross_entropy(logits, y[indices]).mean(), after

    gradient, after = jax.grad(loss, has_aux=True)(params)
    params, updates = groups.update(params, gradient, updates, rates)
    return params, after, updates
