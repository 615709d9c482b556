"""Where leaves belong: groupings that agree, names that survive, shapes that are checked."""

import json
import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lca_core import ByUnit, Layout, Leaf
from lca_core.errors import LeafError


@st.composite
def leaves(draw):
    """Draw leaves of any shape, 0-d and empty ones included, in a few shared layers."""
    drawn = []
    for i in range(draw(st.integers(0, 5))):
        shape = tuple(draw(st.lists(st.integers(0, 4), max_size=3)))
        axis = draw(st.sampled_from([None, *range(len(shape))]))
        layer = draw(st.sampled_from(["a", "b", "c/d", ""]))
        aliases = tuple(draw(st.lists(st.sampled_from(["tied", "ties"]), max_size=2)))
        drawn.append(Leaf(f"leaf{i}", shape, "float64", layer, axis, aliases))
    return drawn


def summed(leaf, values):
    """Return sums over all axes of a leaf but its unit axis, by plain numpy."""
    if leaf.unit_axis is None:
        return [values.sum()]
    return [values.take(i, axis=leaf.unit_axis).sum() for i in range(leaf.shape[leaf.unit_axis])]


@given(leaves(), st.integers(0, 2**32 - 1))
def test_sums_agree_at_every_level(drawn, seed):
    """Grouping by leaf, layer or unit splits the same total, group by group."""
    layout = Layout(drawn)
    rng = np.random.default_rng(seed)
    values = [rng.integers(-50, 50, leaf.shape).astype(float) for leaf in drawn]
    by_leaf = np.array([v.sum() for v in values])
    by_unit = np.array([u for leaf, v in zip(drawn, values, strict=True) for u in summed(leaf, v)])

    layers: dict[str, float] = {}
    for leaf, total in zip(drawn, by_leaf, strict=True):
        layers[leaf.layer] = layers.get(leaf.layer, 0.0) + total
    assert layout.labels("layer") == tuple(layers)
    assert np.array_equal(layout.group(by_leaf, "layer"), list(layers.values()))
    assert np.array_equal(layout.group(by_leaf, "leaf"), by_leaf)

    units: dict[str, float] = {}
    for leaf, v in zip(drawn, values, strict=True):
        for i, total in enumerate(summed(leaf, v)):
            label = leaf.name if leaf.unit_axis is None else f"{leaf.layer}[{i}]"
            units[label] = units.get(label, 0.0) + total
    assert layout.labels("unit") == tuple(units)
    assert np.array_equal(layout.group(by_unit, "unit"), list(units.values()))
    assert layout.group(by_unit, "unit").sum() == by_leaf.sum()

    in_pairs = ByUnit(lambda leaf, i: f"{leaf.name}/{i // 2}")
    assert layout.group(by_unit, in_pairs).sum() == by_leaf.sum()
    assert layout.group_sizes(in_pairs).sum() == layout.parameters
    odd = re.compile(r"[13]$")
    assert layout.group(by_leaf, odd).sum() == by_leaf.sum()


def test_heads_are_blocks_of_units():
    """An attention layer's rows, grouped by head over all of its leaves."""
    layout = Layout([
        Leaf("attn.q.weight", (6, 5), layer="attn.q", unit_axis=0),
        Leaf("attn.q.bias", (6,), layer="attn.q", unit_axis=0),
        Leaf("norm", (4,), layer="norm", unit_axis=0),
    ])  # fmt: skip
    heads = ByUnit(lambda leaf, i: f"head{i // 3}" if "attn" in leaf.layer else leaf.layer)
    assert layout.labels(heads) == ("head0", "head1", "norm")
    assert layout.group(np.arange(16.0), heads).tolist() == [3 + 21.0, 12 + 30.0, 54.0]
    assert layout.group_sizes(heads).tolist() == [18, 18, 4]


def test_regular_expressions_name_groups():
    """What is found, or its first group; leaves without a match keep their names."""
    layout = Layout([Leaf(name, ()) for name in ("block1.a", "block1.b", "block2.a", "head")])
    assert layout.labels(re.compile(r"block\d")) == ("block1", "block2", "head")
    assert layout.labels(re.compile(r"block\d\.(.)")) == ("a", "b", "head")


@given(leaves())
def test_sizes_agree_at_every_level(drawn):
    """Parameters are counted once, however they are grouped."""
    layout = Layout(drawn)
    truth = [math.prod(leaf.shape) for leaf in drawn]
    assert layout.sizes.tolist() == truth
    assert layout.parameters == sum(truth)
    assert layout.units == sum(leaf.units for leaf in drawn)
    for by in ("leaf", "layer", "unit"):
        assert layout.group_sizes(by).shape == (len(layout.labels(by)),)
        assert layout.group_sizes(by).sum() == sum(truth)


@given(leaves())
def test_own_groups_are_any_partition_of_the_leaves(drawn):
    """A function of a leaf groups leaves by what it says; nothing is lost or counted twice."""
    layout = Layout(drawn)

    def by(leaf):
        return f"{len(leaf.shape)}-d"

    values = np.arange(1.0, 1 + len(drawn))
    truth: dict[str, float] = {}
    for leaf, value in zip(drawn, values, strict=True):
        truth[by(leaf)] = truth.get(by(leaf), 0.0) + value
    assert layout.labels(by) == tuple(truth)
    assert layout.group(values, by).tolist() == list(truth.values())
    assert layout.group_sizes(by).sum() == layout.parameters


@given(leaves())
def test_leading_axes_pass_through(drawn):
    """Grouping works on the last axis; steps stay steps, and integers stay integers."""
    layout = Layout(drawn)
    values = np.arange(6 * len(drawn)).reshape(2, 3, len(drawn))
    grouped = layout.group(values, "layer")
    assert grouped.dtype == values.dtype
    assert grouped.shape == (2, 3, len(layout.labels("layer")))
    assert np.array_equal(grouped.sum(axis=-1), values.sum(axis=-1))
    assert np.array_equal(grouped[1, 2], layout.group(values[1, 2], "layer"))


@given(leaves())
def test_json_round_trip(drawn):
    """A layout read back from its JSON text is the same layout, aliases kept."""
    layout = Layout(drawn)
    back = Layout.from_json(json.loads(json.dumps(layout.to_json())))
    assert back == layout
    assert [leaf.aliases for leaf in back.leaves] == [leaf.aliases for leaf in drawn]


def test_shapes_are_python_integers():
    """Shapes given as numpy integers are written as JSON all the same."""
    leaf = Leaf("w", np.array([2, 3]), unit_axis=1)
    assert json.loads(json.dumps(Layout([leaf]).to_json()))[0]["shape"] == [2, 3]
    assert (leaf.size, leaf.units) == (6, 3)


@pytest.mark.parametrize("axis", [-1, 2, 5])
def test_unit_axis_must_exist(axis):
    """A unit axis that the leaf does not have is refused with name, shape and axis."""
    with pytest.raises(LeafError, match=rf"'w' of shape \(2, 3\) has no axis {axis}"):
        Leaf("w", (2, 3), unit_axis=axis)


def test_zero_dimensional_leaves_have_no_axis():
    """A 0-d leaf is one parameter and one unit, and refuses a unit axis."""
    assert (Leaf("b", ()).size, Leaf("b", ()).units) == (1, 1)
    with pytest.raises(LeafError, match="has no axis 0"):
        Leaf("b", (), unit_axis=0)


def test_names_must_differ():
    """Two leaves of one name are refused, naming them."""
    with pytest.raises(LeafError, match=r"\['w'\] more than once"):
        Layout([Leaf("w", (1,)), Leaf("w", (2,)), Leaf("b", (2,))])


@pytest.mark.parametrize("call", ["labels", "group_sizes"])
def test_unknown_grouping(call):
    """A grouping that does not exist is refused with those that do."""
    with pytest.raises(LeafError, match="a regular expression or ByUnit, got 'neuron'"):
        getattr(Layout([Leaf("w", (1,))]), call)("neuron")


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"w": np.zeros((2, 3))}, r"missing \['b'\], new \[\]"),
        ({"w": np.zeros((2, 3)), "b": np.zeros(2), "c": np.zeros(1)}, r"missing \[\], new \['c'\]"),
        ({"w": np.zeros((2, 3)), "B": np.zeros(2)}, r"missing \['b'\], new \['B'\]"),
        (
            {"w": np.zeros((3, 2)), "b": np.zeros(2)},
            r"'w' must keep its shape \(2, 3\), got \(3, 2",
        ),
        ({"w": np.zeros((2, 3)), "b": np.zeros(())}, r"'b' must keep its shape \(2,\), got \(\)"),
    ],
)
def test_check_names_what_changed(params, message):
    """Parameters that are not the layout's are refused, saying which and how."""
    layout = Layout([Leaf("w", (2, 3)), Leaf("b", (2,))])
    layout.check({"b": np.zeros(2), "w": np.zeros((2, 3))})
    with pytest.raises(LeafError, match=message):
        layout.check(params)
