"""Small leaves lie together in one tensor, and nobody can tell."""

import math
import operator

import numpy as np
import pytest
import torch
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lca_core import Layout, Leaf, Snapshot
from lca_core.leafwise import add_exactly, difference, each, each_pair, product
from lca_core.observers import (
    AxisSums,
    Counts,
    Dense,
    Distribution,
    Oscillation,
    Sizes,
    Tallies,
    Totals,
    UnitSums,
    Watch,
)
from lca_core.packed import Packed
from lca_core.typing import StepView
from lca_torch.ops import TorchOps
from lca_torch.packing import ALIGNMENT, TorchPacking
from lca_torch.tracking import allocator

OPS = TorchOps()

SHAPES = st.lists(
    st.tuples(
        st.lists(st.integers(0, 5), max_size=3).map(tuple),
        st.sampled_from(["float32", "float64", "bfloat16"]),
    ),
    min_size=1,
    max_size=6,
)


LONG_UNITS = st.lists(
    st.tuples(
        st.tuples(st.integers(0, 3), st.integers(0, 99)), st.sampled_from(["float32", "float64"])
    ),
    min_size=1,
    max_size=6,
)


def made(shapes, seed=0):
    """Return leaves of some shapes and types, and where they belong."""
    torch.manual_seed(seed)
    leaves = {
        f"leaf{i}": torch.randn(shape, dtype=getattr(torch, dtype))
        for i, (shape, dtype) in enumerate(shapes)
    }
    layout = [Leaf(f"leaf{i}", shape, dtype) for i, (shape, dtype) in enumerate(shapes)]
    return leaves, layout


def same(one, other, rtol=0.0):
    """Assert that two sets of leaves have the same names in order, types and values."""
    assert list(one) == list(other)
    for name in one:
        assert one[name].dtype == other[name].dtype
        assert one[name].shape == other[name].shape
        torch.testing.assert_close(one[name], other[name], rtol=rtol, atol=0, equal_nan=True)


@settings(deadline=None)  # the first example also loads code
@given(SHAPES)
def test_packing_keeps_every_leaf(shapes):
    """Packed leaves read back as they were, half precision as float32, in their order."""
    leaves, layout = made(shapes)
    packed = Packed.of(leaves, TorchPacking.of(layout))
    halves = (torch.float16, torch.bfloat16)
    same(packed, {k: v.float() if v.dtype in halves else v for k, v in leaves.items()})


@settings(deadline=None)  # the first example also loads code
@given(SHAPES)
def test_packed_leaves_are_owned(shapes):
    """An in-place update of a leaf does not reach its packed copy."""
    leaves, layout = made(shapes)
    packed = Packed.of(leaves, TorchPacking.of(layout))
    before = {name: leaf.clone() for name, leaf in packed.items()}
    for leaf in leaves.values():
        leaf.add_(1.0)
    same(packed, before)


@settings(deadline=None)  # the first example also loads code
@given(SHAPES)
def test_arithmetic_is_that_of_the_leaves(shapes):
    """Elementwise work on packed leaves gives what it gives leaf by leaf, mixed too."""
    _, layout = made(shapes)
    packing = TorchPacking.of(layout)
    packed = [Packed.of(made(shapes, seed)[0], packing) for seed in range(3)]
    single = [dict(leaves) for leaves in packed]
    same(each(operator.mul, *packed[:2]), each(operator.mul, *single[:2]))
    same(difference(packed[0], single[1]), difference(single[0], single[1]))
    same(product(single[0], packed[1]), product(single[0], single[1]))
    for one, other in zip(
        each_pair(add_exactly, *packed), each_pair(add_exactly, *single), strict=True
    ):
        same(one, other)


@settings(deadline=None)
@given(
    shapes=st.one_of(SHAPES, LONG_UNITS),
    longest=st.sampled_from([ALIGNMENT, 1 << 20]),
    seed=st.integers(0, 9),
    axis=st.integers(0, 1),
)
def test_sums_are_those_of_the_leaves(shapes, longest, seed, axis):
    """Sums of leaves, empty ones too, are exact to float64 rounding, and signs are counted.

    So are the sums of their units, whichever axis they are along, few long ones or many short.
    """
    leaves, layout = made(shapes, seed)
    layout = [evolve(one, unit_axis=axis if one.shape[axis:] else None) for one in layout]
    packing = TorchPacking.of(layout, longest)
    packed = Packed.of(leaves, packing)
    values = [leaf.double().flatten().tolist() for leaf in leaves.values()]
    below, above = packing.signs(packed.arrays)

    sizes = np.array([math.fsum(map(abs, one)) for one in values])
    truth = np.array([math.fsum(one) for one in values])
    apart = np.abs(packing.sums(packed).numpy() - truth)
    assert (apart <= 2.0**-52 * sizes).all()
    units = [leaves[one.name].double().numpy() for one in layout]
    rows = [
        x.sum(tuple(k for k in range(x.ndim) if k != axis)) if one.unit_axis == axis else x.sum()
        for one, x in zip(layout, units, strict=True)
    ]
    np.testing.assert_allclose(
        packing.unit_sums(packed.arrays), np.hstack(rows), rtol=0, atol=1e-12
    )
    assert below.tolist() == [sum(x < 0 for x in one) for one in values]
    assert above.tolist() == [sum(x > 0 for x in one) for one in values]


@pytest.mark.parametrize("size", [3, 1 << 21])
def test_histograms_lie_together_and_count_every_leaf_by_itself(size):
    """What fills leaves up is not counted; those of long leaves are the same as NumPy's."""
    torch.manual_seed(0)
    leaves = {"a": torch.randn(size), "b": torch.tensor([-0.0, 2.0, -math.inf, math.nan])}
    packing = TorchPacking.of(Leaf(name, leaf.shape, "float32") for name, leaf in leaves.items())
    found = packing.histograms(Packed.of(leaves, packing).arrays)

    for name, leaf in leaves.items():
        truth = np.bincount(leaf.numpy().view(np.uint32) >> 21, minlength=2048)
        assert found[name].tolist() == truth.tolist()
    assert len(found.arrays) == 1


@pytest.mark.parametrize("size", [3, 1 << 21])
@pytest.mark.parametrize("worst", [math.nan, math.inf])
def test_what_is_not_finite_stays_in_its_leaf(size, worst):
    """A sum that is not a number spoils no neighbour, nor does it warn; long leaves likewise."""
    leaves = {"a": torch.ones(size), "b": torch.ones(2), "c": torch.ones(())}
    leaves["b"][0], leaves["b"][1] = worst, -worst
    packing = TorchPacking.of(Leaf(name, leaf.shape, "float32") for name, leaf in leaves.items())
    packed = Packed.of(leaves, packing)
    sums = packing.sums(packed).tolist()

    assert sums[0] == size
    assert math.isnan(sums[1])
    assert sums[2] == 1.0
    assert packing.sums(each(torch.isnan, packed)).dtype == torch.int64


def test_neighbours_of_one_type_share_a_tensor():
    """A leaf of another type, or one that would make the tensor too long, begins a new one."""
    shapes = [((3,), "float32"), ((4,), "float32"), ((), "float64"), ((30,), "float64")]
    _, layout = made(shapes)
    together = TorchPacking.of(layout)
    assert [len(bucket) for bucket in together.buckets] == [2, 2]
    short = TorchPacking.of(layout, longest=ALIGNMENT)
    assert [len(bucket) for bucket in short.buckets] == [1, 1, 1, 1]


def test_every_leaf_is_aligned():
    """Leaves begin where fast kernels like them to."""
    leaves, layout = made([((3, 5), "float32"), ((7,), "float32"), ((), "float32")])
    packed = Packed.of(leaves, TorchPacking.of(layout))
    assert [leaf.storage_offset() % ALIGNMENT for leaf in packed.values()] == [0, 0, 0]
    assert len({leaf.untyped_storage().data_ptr() for leaf in packed.values()}) == 1


OBSERVERS = [
    Totals(),
    Counts(),
    UnitSums(),
    Tallies(),
    Oscillation(),
    Sizes(),
    Distribution(),
    AxisSums({"leaf0": 1}),
    Watch([("leaf0", (1, 2)), ("leaf2", ()), ("leaf3", (0,))]),
    Dense(),
]


@pytest.mark.parametrize("observer", OBSERVERS, ids=lambda one: type(one).__name__)
def test_no_observer_can_tell(observer):
    """Every observer keeps of packed leaves what it keeps leaf by leaf, bit for bit.

    What it records is as it is leaf by leaf but for the order of a sum in float64.
    """
    shapes = [((5, 4), "float32"), ((5,), "float32"), ((), "float32"), ((3,), "float64")]
    layout = Layout(made(shapes)[1])
    packing = TorchPacking.of(layout.leaves)
    views = [
        [Packed.of(made(shapes, seed)[0], packing) for seed in range(5 * step, 5 * step + 5)]
        for step in range(4)
    ]
    states = [observer.init(OPS, kind(views[0][0])) for kind in (as_it_is, dict)]
    for view in views:
        (packed, states[0]), (single, states[1]) = (
            observer.update(OPS, layout, StepView(*map(kind, view)), state)
            for kind, state in zip((as_it_is, dict), states, strict=True)
        )
        same(packed, single, rtol=1e-15)
    for name in states[0]:
        same(states[0][name], states[1][name])


def test_a_step_can_hardly_tell():
    """Evaluated from packed leaves a step is the same to rounding: kernels see other addresses."""
    torch.manual_seed(0)
    x, y = torch.randn(30, 4), torch.randint(3, (30,))
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))
    core = allocator(model, nn.CrossEntropyLoss(), (x, y))
    leaves = core.oracles["train"].leaves
    start, step = leaves.capture(), torch.optim.SGD(model.parameters(), lr=0.3)
    nn.functional.cross_entropy(model(x), y).backward()
    step.step()
    end = leaves.capture()
    assert isinstance(start.params, Packed)
    packed, single = (
        core.update(core.init(one), other)[0]["train"]["allocation"]
        for one, other in ((start, end), (alone(start), alone(end)))
    )
    np.testing.assert_allclose(packed, single, rtol=1e-5)


def alone(snapshot):
    """Return a snapshot with every leaf by itself."""
    return Snapshot({name: leaf.clone() for name, leaf in snapshot.params.items()})


def as_it_is(leaves):
    """Return packed leaves as they are."""
    return leaves
