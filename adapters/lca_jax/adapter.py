"""What the commands and the conformance suite ask of the JAX backend."""

from __future__ import annotations

from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from attrs import define, evolve

from lca_core import Layout
from lca_jax.leaves import Leaves, find_leaves
from lca_jax.losses import Objective
from lca_jax.networks import build, spelling
from lca_jax.ops import JaxOps
from lca_jax.tracking import allocator
from lca_jax.training import Loss, arrays, train

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lca_core import Run, Snapshot
    from lca_core.adapters import ExampleLoss, Mode, OnStep, Spelling
    from lca_core.datasets import Dataset, Split
    from lca_core.networks import NetworkSpec
    from lca_core.training import TrainingSpec
    from lca_jax.oracle import JaxOracle


@define
class JaxProblem:
    """A live pytree with its loss over data; `lca_core.adapters.Problem`."""

    oracle: JaxOracle
    params: Any
    state: Any

    @property
    def layout(self) -> Layout:
        """The leaves."""
        return self._leaves.layout

    def capture(self) -> Snapshot:
        """Return an owned copy of where the pytree stands."""
        return self._leaves.capture(self.params, self.state)

    def assign(self, params: Mapping[str, np.ndarray]) -> None:
        """Move parameters; the old ones are donated to the new."""
        live, structure = jax.tree.flatten(self.params)
        for i, slot in enumerate(self._leaves.slots[: len(live)]):
            if slot and slot.name in params:
                new = np.asarray(params[slot.name]).astype(live[i].dtype)
                live[i] = _replaced(live[i], new, True)
        self.params = jax.tree.unflatten(structure, live)

    def traces(self) -> Mapping[str, bytes]:
        """Return the live arrays and JAX's global settings; it has no global random stream."""
        pairs = jax.tree_util.tree_flatten_with_path((self.params, self.state))[0]
        arrays = {jax.tree_util.keystr(path): np.asarray(value).tobytes() for path, value in pairs}
        return {**arrays, "settings": repr(sorted(jax.config.values.items())).encode()}

    @property
    def _leaves(self) -> Leaves:
        return self.oracle.evaluator.objective.leaves


class JaxAdapter:
    """`lca_core.adapters.Adapter` for JAX."""

    name = "jax"
    ops = JaxOps()

    def array(self, values: np.ndarray) -> jax.Array:
        """Return an array; float64 only where the user has it switched on."""
        return jnp.asarray(values)

    def problem(
        self,
        loss: ExampleLoss,
        params: Mapping[str, np.ndarray],
        data: Mapping[str, np.ndarray],
        *,
        tied: Mapping[str, str],
        batch_size: int | None,
    ) -> JaxProblem:
        """Return a dict of parameters with this loss."""

        def loss_fn(leaves: Any, batch: Any) -> Any:
            return loss({**leaves, **{alias: leaves[name] for alias, name in tied.items()}}, batch)

        live = OrderedDict((name, jnp.asarray(values)) for name, values in params.items())
        found = _with_aliases(find_leaves(live), tied)
        # The suite's losses add up in float64: they are traced where there is such a thing.
        objective = Objective(loss_fn, found, stateful=False, x64=True)
        return _problem(objective, dict(data), params=live, state=None, batch_size=batch_size)

    def network(
        self,
        spec: NetworkSpec,
        weights: Mapping[str, np.ndarray],
        split: Split,
        *,
        mode: Mode,
        batch_size: int | None,
    ) -> JaxProblem:
        """Return the spec's network with its cross-entropy over a split."""
        params, state = build(spec, weights)
        loss = Loss(spec, mode)
        arguments = loss.arguments(state, batch_size)
        found = find_leaves(params, arguments["state"])
        objective = Objective(loss, found, arguments["state"] is not None)
        return _problem(objective, arrays(split), params=params, **arguments)

    def spelling(self, spec: NetworkSpec) -> Mapping[str, Spelling]:
        """Return canonical name -> JAX's."""
        return spelling(spec)

    def train(
        self,
        spec: TrainingSpec,
        dataset: Dataset,
        *,
        on_step: OnStep,
        tracking: Mapping[str, Any],
        by_class: bool = False,
    ) -> Run:
        """Train the spec's network, tracking "train" and "val"."""
        return train(spec, dataset, on_step=on_step, tracking=tracking, by_class=by_class)


def _problem(
    objective: Objective, data: Any, *, params: Any, state: Any, batch_size: int | None
) -> JaxProblem:
    point = objective.leaves.capture(params, state)
    oracles: Any = allocator(objective, point, {"train": data}, batch_size=batch_size).oracles
    return JaxProblem(oracles["train"], params, state)


def _with_aliases(found: Leaves, tied: Mapping[str, str]) -> Leaves:
    """Say in the layout what a pytree cannot: that one leaf has several names."""
    leaves = (
        evolve(leaf, aliases=tuple(alias for alias, name in tied.items() if name == leaf.name))
        for leaf in found.layout.leaves
    )
    return evolve(found, layout=Layout(leaves))


@partial(jax.jit, donate_argnums=0)
def _replaced(old: jax.Array, new: jax.Array, now: jax.Array) -> jax.Array:
    return jnp.where(now, new, old)


ADAPTER = JaxAdapter()
