"""What the commands and the conformance suite ask of the numpy reference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen

from lca_core.adapters import Spelling
from lca_core.layout import Layout, Leaf
from lca_core.reference.complex_step import ComplexStep
from lca_core.reference.ops import NumpyOps, snapshot
from lca_core.reference.oracle import NetworkOracle
from lca_core.reference.training import float64_layout, leaves_and_buffers, train

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lca_core.adapters import ExampleLoss, Mode, OnStep
    from lca_core.datasets import Dataset, Split
    from lca_core.networks import NetworkSpec
    from lca_core.run import Run
    from lca_core.training import TrainingSpec
    from lca_core.typing import GradientOracle, Snapshot


@frozen
class NumpyProblem:
    """Live arrays with their loss over data; `lca_core.adapters.Problem`.

    Args:
        layout: the leaves.
        oracle: the loss.
        params: the live leaves.
        buffers: the live buffers.
        measured: names of the buffers that the loss depends on.
    """

    layout: Layout
    oracle: GradientOracle
    params: dict[str, np.ndarray]
    buffers: dict[str, np.ndarray]
    measured: tuple[str, ...] = ()

    def capture(self) -> Snapshot:
        """Return an owned copy of the live arrays."""
        return snapshot(self.params, {name: self.buffers[name] for name in self.measured})

    def assign(self, params: Mapping[str, np.ndarray]) -> None:
        """Move live leaves in place."""
        for name, values in params.items():
            self.params[name][...] = values

    def traces(self) -> Mapping[str, bytes]:
        """Return live arrays and numpy's global random stream."""
        # The global stream is what has to be left alone.
        stream = repr(np.random.get_state(legacy=False)["state"])  # noqa: NPY002
        live = {**self.params, **self.buffers}
        return {
            **{name: array.tobytes() for name, array in live.items()},
            "random stream": stream.encode(),
        }


class NumpyAdapter:
    """`lca_core.adapters.Adapter` for numpy: float64, gradients by hand, clear rather than fast."""

    name = "numpy"
    ops = NumpyOps()

    def array(self, values: np.ndarray) -> np.ndarray:
        """Return a copy."""
        return np.array(values)

    def problem(
        self,
        loss: ExampleLoss,
        params: Mapping[str, np.ndarray],
        data: Mapping[str, np.ndarray],
        *,
        tied: Mapping[str, str],
        batch_size: int | None,
    ) -> NumpyProblem:
        """Return live arrays with this loss, a polynomial of theirs (see `ComplexStep`)."""
        leaves = [
            Leaf(
                name,
                values.shape,
                "float64",
                layer=name,
                unit_axis=0 if values.ndim else None,
                aliases=tuple(alias for alias, own in tied.items() if own == name),
            )
            for name, values in params.items()
        ]
        oracle = ComplexStep(loss, _float64(data), dict(tied), batch_size)
        return NumpyProblem(Layout(leaves), oracle, _float64(params), {})

    def network(
        self,
        spec: NetworkSpec,
        weights: Mapping[str, np.ndarray],
        split: Split,
        *,
        mode: Mode,
        batch_size: int | None,
    ) -> NumpyProblem:
        """Return the spec's weights as live arrays, with the cross-entropy over a split."""
        params, buffers = leaves_and_buffers(spec, weights)
        oracle = NetworkOracle(spec, split.inputs, split.labels, mode, batch_size)
        measured = spec.buffers if mode == "eval" else ()
        return NumpyProblem(float64_layout(spec), oracle, params, buffers, measured)

    def spelling(self, spec: NetworkSpec) -> Mapping[str, Spelling]:
        """Return the canonical names and axes: they are this adapter's own."""
        return {
            name: Spelling(name, tuple(range(len(weight.shape))))
            for name, weight in spec.weights.items()
        }

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
        return train(spec, dataset, on_step=on_step, by_class=by_class, **tracking)


def _float64(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: np.array(values, np.float64) for name, values in arrays.items()}


ADAPTER = NumpyAdapter()
