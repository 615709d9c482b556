"""Colours say sign and size, and the scale is the percentile that it claims to be."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lca_core.film import named_colours
from lca_core.film.colours import LEVELS, LOST, inked, levels, palette
from lca_core.film.record import Record
from lca_core.film.scale import colour_scale


@pytest.mark.parametrize("name", ["authors", "colour-blind"])
@pytest.mark.parametrize("dark", [False, True])
@given(value=st.floats(-3, 3))
def test_a_colour_is_a_blend(name, dark, value):
    """Between zero's colour and the sign's, in proportion to the size, clipped at the scale."""
    chosen = named_colours(name, dark=dark)
    found = palette(chosen)[levels(np.array([2.0 * value]), 2.0)[0]]
    share = round(min(abs(value), 1) * LEVELS) / LEVELS
    end = np.array(chosen.help if value < 0 else chosen.hurt)
    expected = 255 * ((1 - share) * np.array(chosen.zero) + share * end)
    np.testing.assert_allclose(found, expected, atol=0.51)


@given(
    hnp.arrays(np.float32, 20, elements=st.floats(-(2.0**99), 2.0**99, width=32)),
    st.floats(1e-30, 1e30),
)
def test_help_and_hurt_mirror_each_other(values, scale):
    """The opposite value lies as far on the other side of nothing."""
    there, back = levels(values, scale).astype(int), levels(-values, scale).astype(int)
    np.testing.assert_array_equal(there - LEVELS, LEVELS - back)


@given(hnp.arrays(float, 20, elements=st.floats(-2, 2)))
def test_fewer_shades_are_the_nearest(values):
    """With ten shades a sign each is within half a shade of all of them."""
    few, all_ = levels(values, 1.0, 10).astype(int), levels(values, 1.0).astype(int)
    assert (np.abs(few - all_) <= LEVELS // 20).all()
    assert set(few % (LEVELS // 10)) <= {0}


def test_helping_is_green_and_hurting_red():
    """The authors' colours, white between them; black on black."""
    ends = levels(np.array([-1.0, 0.0, 1.0]), 1.0)
    authors = 255 * np.array([[0.3, 0.75, 0.3], [1, 1, 1], [0.9, 0.25, 0.25]])
    np.testing.assert_allclose(palette(named_colours())[ends], authors, atol=0.6)
    assert palette(named_colours(dark=True))[ends[1]].tolist() == [0, 0, 0]


def test_numbers_that_are_none():
    """NaN has a colour of its own, infinities are strongest, the smallest scale is no trouble."""
    values = np.array([np.nan, np.inf, -np.inf, 0.0], np.float32)
    for scale in (1.0, 1e-300):
        assert levels(values, scale).tolist() == [LOST, 2 * LEVELS, 0, LEVELS]


def test_ink_grows_with_the_mask():
    """Shades of ink are in order, from the page to full ink, behind what is allocated."""
    colours = palette(named_colours())
    shades = inked(np.arange(256, dtype=np.uint8))
    assert (np.diff(shades.astype(int)) >= 0).all()
    assert shades.min() > LOST
    np.testing.assert_allclose(colours[shades[0]], [240, 240, 242], atol=1)
    np.testing.assert_allclose(colours[shades[-1]], 25.5, atol=0.6)
    assert inked(np.array([255], np.uint8), 0.5)[0] < shades[-1]


def scale_of(run, pool=1):
    """Return the scale, and of how many steps it was told."""
    told = []
    scale = colour_scale(Record.of(run), pool, lambda done, of: told.append((done, of)))
    return scale, told


def test_the_scale_is_the_percentile(run_of):
    """To 0.8 % numpy's 99th percentile of all that is not zero, of all finite steps."""
    rng = np.random.default_rng(0)
    values = {
        "a.weight": rng.standard_cauchy((150, 20, 30)) * 1e-6,
        "a.bias": rng.standard_cauchy((150, 20)) * 1e-3,
    }
    values["a.weight"][:, :15] = 0.0
    values["a.bias"][7] = 1e9
    values["a.weight"][8] = np.nan
    scale, told = scale_of(run_of(values, lost=[7, 8]))
    kept = np.delete(np.concatenate([of.reshape(150, -1) for of in values.values()], axis=1),
                     [7, 8], axis=0)  # fmt: skip
    truth = np.percentile(np.abs(kept[kept != 0]), 99)
    assert scale == pytest.approx(truth, rel=0.008)
    assert told == [(64, 150), (128, 150), (150, 150)]


def test_the_scale_of_sums(run_of):
    """Where squares are sums, so is what the scale is measured of."""
    values = {"w": np.ones((3, 4, 6)) * [[[1.0], [2.0], [3.0], [4.0]]]}
    scale, _ = scale_of(run_of(values, units={"w": 1}), pool=2)
    assert scale == pytest.approx(14, rel=0.008)  # (3 + 4) x 2, and above it (1 + 2) x 2


def test_the_scale_is_that_of_what_is_shown(run_of):
    """Leaves that were not recorded densely do not count."""
    values = {"a": np.full((3, 5), 2.0), "b": np.full((3, 5), 9.0)}
    assert scale_of(run_of(values, kept=["a"]))[0] == pytest.approx(2.0, rel=0.008)


def test_nothing_at_all(run_of):
    """Zeros alone have no scale."""
    assert scale_of(run_of({"w": np.zeros((5, 3, 3))}))[0] == 0.0
