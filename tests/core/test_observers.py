"""What is kept of every step, against a dense recomputation in plain numpy."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lca_core import (
    SIMPSON,
    Counts,
    Fixed,
    Layout,
    Leaf,
    StepView,
    Totals,
    UnitSums,
    default_observers,
)
from lca_core.observers import MOST_UNITS_BY_DEFAULT
from lca_core.reference import NumpyOps, track

OPS = NumpyOps()


@pytest.fixture(scope="module")
def dense(perceptron, descent):
    """Return a tracked run, and all its allocations (steps, leaf) recomputed densely."""
    path = descent(perceptron, 20)
    layout = perceptron.layout
    tracker = track({"train": perceptron}, path[0], layout, integrator=Fixed(SIMPSON), chunk=3)
    steps = []
    for before, after in pairwise(path):
        tracker.step(after)
        nodes = [{k: before[k] + s * (after[k] - before[k]) for k in before} for s in (0, 0.5, 1)]
        g0, g1, g2 = (perceptron(point, {}).gradient for point in nodes)
        steps.append({k: (g0[k] + 4 * g1[k] + g2[k]) / 6 * (after[k] - before[k]) for k in before})
    return tracker.finish(), steps


def test_totals_are_the_sums_of_all_steps(dense):
    """Every single parameter's total is the sum of its allocations."""
    run, steps = dense
    totals = run.total("train")
    assert list(totals) == list(run.layout.names)
    for name, total in totals.items():
        assert total.dtype == np.float64
        truth = np.sum([step[name] for step in steps], axis=0)
        assert np.allclose(total, truth, rtol=1e-12, atol=1e-15)


def test_counts_are_the_signs_of_all_allocations(dense):
    """Helped, hurt and unmoved parameters are those with A < 0, A > 0 and A = 0."""
    run, steps = dense
    helping = run.helping("train", by="leaf")
    for i, name in enumerate(helping.labels):
        allocation = np.array([step[name].ravel() for step in steps])
        assert np.array_equal(helping.helped[:, i], (allocation < 0).sum(axis=1))
        assert np.array_equal(helping.hurt[:, i], (allocation > 0).sum(axis=1))
        assert np.array_equal(helping.unmoved[:, i], (allocation == 0).sum(axis=1))


def test_unit_sums_are_the_rows_of_all_allocations(dense):
    """Each neuron's allocation is that of its incoming weights plus its bias."""
    run, steps = dense
    labels, values = run.allocation("train", by="unit")
    column = 0
    for layer, units in (("fc1", 6), ("fc2", 3)):
        for unit in range(units):
            truth = [s[f"{layer}.weight"][unit].sum() + s[f"{layer}.bias"][unit] for s in steps]
            assert labels[column] == f"{layer}[{unit}]"
            assert np.allclose(values[:, column], truth, rtol=1e-11, atol=1e-14)
            column += 1
    assert column == len(labels)


def test_leaf_sums_are_the_sums_of_all_allocations(dense):
    """The ledger's allocation of a leaf is the sum over its parameters."""
    run, steps = dense
    labels, values = run.allocation("train", by="leaf")
    for i, name in enumerate(labels):
        truth = [math.fsum(step[name].ravel()) for step in steps]
        assert np.allclose(values[:, i], truth, rtol=1e-11, atol=1e-14)


@st.composite
def stepped(draw):
    """Draw leaves of any shape and unit axis with their allocations at three steps."""
    leaves, steps = [], [{}, {}, {}]
    for i in range(draw(st.integers(0, 4))):
        shape = draw(hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
        axis = draw(st.sampled_from([None, *range(len(shape))]))
        dtype = draw(st.sampled_from(["float32", "float64"]))
        leaves.append(Leaf(f"leaf{i}", shape, dtype, "layer", axis))
        for step in steps:
            numbers = st.floats(-100, 100, width=32)
            step[f"leaf{i}"] = draw(hnp.arrays(dtype, shape, elements=numbers))
    return Layout(leaves), [StepView(*[step] * 5) for step in steps]


@given(stepped())
def test_observers_take_any_shape(drawn):
    """Totals, counts and unit sums hold for 0-d, empty and one-element leaves of either type."""
    layout, views = drawn
    states = {kind: kind().init(OPS, views[0].allocation) for kind in (Totals, Counts, UnitSums)}
    assert states[Counts] == states[UnitSums] == {}
    for view in views:
        counts, _ = Counts().update(OPS, layout, view, {})
        leaves = list(view.allocation.values())
        assert counts["helped"].tolist() == [int((leaf < 0).sum()) for leaf in leaves]
        assert counts["hurt"].tolist() == [int((leaf > 0).sum()) for leaf in leaves]

        units, _ = UnitSums().update(OPS, layout, view, {})
        truth = []
        for leaf in layout.leaves:
            values = view.allocation[leaf.name].astype(float)
            if leaf.unit_axis is None:
                truth.append(values.sum())
            else:
                truth.extend(
                    np.moveaxis(values, leaf.unit_axis, 0).reshape(leaf.units, -1).sum(1)
                    if values.size
                    else np.zeros(leaf.units)
                )
        assert units["unit_allocation"].shape == (layout.units,)
        assert np.allclose(units["unit_allocation"], truth, rtol=1e-12, atol=1e-9)

        none, states[Totals] = Totals().update(OPS, layout, view, states[Totals])
        assert none == {}

    for leaf in layout.leaves:
        total = states[Totals]["total"][leaf.name]
        rounding = states[Totals]["total_rounding"][leaf.name]
        truth = np.sum([view.allocation[leaf.name].astype(float) for view in views], axis=0)
        assert total.shape == leaf.shape
        assert total.dtype == rounding.dtype == leaf.dtype
        assert np.allclose(total.astype(float) + rounding, truth, rtol=1e-12, atol=1e-10)


@given(stepped())
def test_observers_declare_what_they_deliver(drawn):
    """The arrays of an update have the declared names, and lengths that fit their dimensions."""
    layout, views = drawn
    sizes = {"leaf": len(layout.leaves), "unit": layout.units}
    for observer in (Totals(), Counts(), UnitSums()):
        state = observer.init(OPS, views[0].allocation)
        arrays, _ = observer.update(OPS, layout, views[0], state)
        declared = {a.name: tuple(sizes[dim] for dim in a.dims) for a in observer.declare(layout)}
        assert {name: values.shape for name, values in arrays.items()} == declared


def test_totals_keep_small_steps_in_single_precision():
    """Allocations far below the rounding of a float32 total are not lost."""
    layout = Layout([Leaf("x", (1,), "float32")])
    state = Totals().init(OPS, {"x": np.zeros(1, np.float32)})
    for value in [1.0] + [1e-9] * 2000:
        step = {"x": np.full(1, value, np.float32)}
        _, state = Totals().update(OPS, layout, StepView(*[step] * 5), state)
    total = float(state["total"]["x"][0]) + float(state["total_rounding"]["x"][0])
    assert total == pytest.approx(1 + 2000 * float(np.float32(1e-9)), abs=1e-11)


def test_unit_sums_are_kept_by_default_only_where_they_are_few():
    """Up to 10,000 units are recorded unasked, more are not."""
    few = Layout([Leaf("w", (MOST_UNITS_BY_DEFAULT,), unit_axis=0)])
    many = Layout([Leaf("w", (MOST_UNITS_BY_DEFAULT + 1,), unit_axis=0)])
    assert [type(o) for o in default_observers(few)] == [Totals, Counts, UnitSums]
    assert [type(o) for o in default_observers(many)] == [Totals, Counts]
