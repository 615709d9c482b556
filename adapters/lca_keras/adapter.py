"""What the commands and the conformance suite ask of the Keras backend, on whichever is active."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
from attrs import frozen

from lca_core import Layout, Leaf
from lca_keras.backends import BACKEND
from lca_keras.batches import Batch
from lca_keras.data import resident
from lca_keras.leaves import Leaves
from lca_keras.measures import Loss, oracles
from lca_keras.networks import build, spelling
from lca_keras.oracle import KerasOracle
from lca_keras.training import cross_entropy, train

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

    from lca_core import Run, Snapshot
    from lca_core.adapters import ExampleLoss, Mode, OnStep, Spelling
    from lca_core.datasets import Dataset, Split
    from lca_core.networks import NetworkSpec
    from lca_core.training import TrainingSpec


@frozen
class KerasProblem:
    """Live variables with their loss over data; `lca_core.adapters.Problem`.

    Args:
        oracle: the loss.
        layers: of the model; none for bare variables.
    """

    oracle: KerasOracle
    layers: Sequence[keras.Layer] = ()

    @property
    def layout(self) -> Layout:
        """The leaves."""
        return self._leaves.layout

    def capture(self) -> Snapshot:
        """Return an owned copy of where the variables stand."""
        return self._leaves.capture()

    def assign(self, params: Mapping[str, np.ndarray]) -> None:
        """Move variables: in place, and on JAX the old arrays are gone."""
        for name, values in params.items():
            BACKEND.move(self._leaves.trained[name], values)

    def traces(self) -> Mapping[str, bytes]:
        """Return variables, the layers' own attributes, and the global random streams."""
        found = self._leaves
        pinned = {f"pinned {i}": v for i, v in enumerate(found.pinned)}
        live = {**found.trained, **found.buffers, **pinned}
        values = {k: BACKEND.ops.to_numpy(BACKEND.owned(v)).tobytes() for k, v in live.items()}
        flags = {
            f"{i} {layer.name}": repr((layer.trainable, sorted(vars(layer)))).encode()
            for i, layer in enumerate(self.layers)
        }
        return {**values, **flags, **BACKEND.streams()}

    @property
    def _leaves(self) -> Leaves:
        return self.oracle.leaves


class KerasAdapter:
    """`lca_core.adapters.Adapter` for Keras."""

    name = "keras"
    ops = BACKEND.ops

    def array(self, values: np.ndarray) -> Any:
        """Return a tensor of the same type."""
        return BACKEND.put(values)

    def problem(
        self,
        loss: ExampleLoss,
        params: Mapping[str, np.ndarray],
        data: Mapping[str, np.ndarray],
        *,
        tied: Mapping[str, str],
        batch_size: int | None,
    ) -> KerasProblem:
        """Return bare variables with this loss."""
        variables = {name: keras.Variable(v, dtype=str(v.dtype)) for name, v in params.items()}
        layout = Layout(
            Leaf(
                name,
                values.shape,
                str(values.dtype),
                layer=name,
                unit_axis=0 if values.ndim else None,
                aliases=tuple(alias for alias, leaf in tied.items() if leaf == name),
            )
            for name, values in params.items()
        )

        def objective(batch: Batch) -> Any:
            leaves = {name: keras.ops.convert_to_tensor(v) for name, v in variables.items()}
            aliases = {alias: leaves[name] for alias, name in tied.items()}
            return loss({**leaves, **aliases}, batch.x)

        source = resident(Batch(dict(data)))
        eps = max(2.0 ** -(52 if v.dtype == "float64" else 23) for v in variables.values())
        found = Leaves(layout, variables, {})
        size = batch_size or source.examples
        return KerasProblem(KerasOracle(found, objective, source, batch_size=size, eps=eps))

    def network(
        self,
        spec: NetworkSpec,
        weights: Mapping[str, np.ndarray],
        split: Split,
        *,
        mode: Mode,
        batch_size: int | None,
    ) -> KerasProblem:
        """Return the spec's network with its cross-entropy over a split."""
        model = build(spec, weights)
        how = Loss(model, cross_entropy(), mode=mode)
        data = {"train": (split.inputs, split.labels)}
        made = oracles(how, data, {}, batch_size=batch_size)
        return KerasProblem(made["train"], model._flatten_layers())

    def spelling(self, spec: NetworkSpec) -> Mapping[str, Spelling]:
        """Return canonical name -> Keras'."""
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


ADAPTER = KerasAdapter()
