"""Names, layers and units."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from lca_conformance.cases import hosted, supported
from lca_conformance.suites.suite import Suite
from lca_core.adapters import as_spelled
from lca_core.datasets import Split
from lca_core.networks import NetworkSpec, fc, lenet, resnet

if TYPE_CHECKING:
    from lca_core.adapters import Adapter, Problem

IMAGE = (8, 8, 1)
NETWORKS = {
    "fc": fc(IMAGE, hidden=(7, 5)),
    "lenet": lenet(IMAGE),
    "resnet": resnet(IMAGE, widths=(4, 8), blocks=1),
}


def built(adapter: Adapter, spec: NetworkSpec) -> Problem:
    """Return the network on two examples, or skip."""
    split = Split(np.zeros((2, *IMAGE), np.float32), np.zeros(2, np.int64))
    problem: Problem = supported(
        lambda: adapter.network(spec, spec.initial(1), split, mode="eval", batch_size=None)
    )
    return problem


@pytest.mark.parametrize("spec", NETWORKS.values(), ids=NETWORKS)
class Layouts(Suite):
    """Every leaf of a network has its name, its layer, its units and its weights."""

    def test_leaves_are_all_there_once(self, adapter: Adapter, spec: NetworkSpec) -> None:
        """The layout has every trained array of the spec, under the spelled name, and no more."""
        layout, spelled = built(adapter, spec).layout, adapter.spelling(spec)

        assert sorted(layout.names) == sorted(spelled[name].name for name in spec.layout.names)
        assert layout.parameters == spec.parameters

    def test_weights_are_where_they_belong(self, adapter: Adapter, spec: NetworkSpec) -> None:
        """The snapshot holds the given weights, each under its name, its axes as spelled."""
        params = hosted(adapter, built(adapter, spec).capture().params)
        wanted = as_spelled(adapter.spelling(spec), spec.initial(1))
        for name, values in params.items():
            np.testing.assert_array_equal(values, wanted[name].astype(values.dtype))

    def test_shapes_are_those_of_the_layout(self, adapter: Adapter, spec: NetworkSpec) -> None:
        """The layout's shapes are those of the arrays."""
        problem = built(adapter, spec)
        params = problem.capture().params

        assert {leaf.name: leaf.shape for leaf in problem.layout.leaves} == {
            name: tuple(array.shape) for name, array in params.items()
        }

    def test_units_lie_along_the_right_axis(self, adapter: Adapter, spec: NetworkSpec) -> None:
        """The unit axis counts neurons and channels, in the backend's own order of axes."""
        leaves = {leaf.name: leaf for leaf in built(adapter, spec).layout.leaves}
        spelled = adapter.spelling(spec)
        for leaf in spec.layout.leaves:
            own = spelled[leaf.name]
            assert leaf.unit_axis is not None
            assert leaves[own.name].unit_axis == own.axes.index(leaf.unit_axis), own.name

    def test_layers_group_what_belongs_together(self, adapter: Adapter, spec: NetworkSpec) -> None:
        """Two leaves share a layer exactly where they do in the spec."""
        layer_of = {leaf.name: leaf.layer for leaf in built(adapter, spec).layout.leaves}
        spelled = adapter.spelling(spec)
        pairs = {(leaf.layer, layer_of[spelled[leaf.name].name]) for leaf in spec.layout.leaves}
        layers = spec.layout.labels("layer")

        assert len(pairs) == len(layers)
        assert len({own for _, own in pairs}) == len(layers)
