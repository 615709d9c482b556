"""Charts of characters can be read back: what is drawn is what was given, within a dot."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lca_core.cli.charts import Frame, bar, binned, columns, curve, marked, signed_spark, spark

ANY = st.one_of(
    st.floats(-1e3, 1e3), st.sampled_from([0.0, np.nan, np.inf, -np.inf, 1e300, -1e300, 5e-324])
)
MODES = st.booleans()


def dots(lines, *, ascii_only):
    """Return the dots of a drawn curve, True where there is one."""
    if ascii_only:
        return np.array([[piece == "*" for piece in line] for line in lines])
    bits = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]]  # Unicode, Braille patterns
    rows = []
    for line in lines:
        codes = [ord(piece) - 0x2800 if piece != " " else 0 for piece in line]
        rows += [[bool(code & bit) for code in codes for bit in row] for row in bits]
    return np.array(rows)


@given(st.lists(ANY, max_size=200), st.integers(1, 30), st.integers(1, 6), MODES)
@example([np.nan, 5.0, np.nan], 12, 3, False)
@example([np.inf, -np.inf], 2, 1, True)
@example([0.0] * 7 + [1.0] + [0.0] * 7, 15, 1, False)  # a place in the middle of two columns
def test_a_curve_holds_every_value(values, width, height, ascii_only):
    """Every finite value has its dot where it belongs; no dot lies beyond its neighbours."""
    values = np.array(values, float)
    frame = Frame.around(values, height)
    lines = curve(values, width, frame, ascii_only=ascii_only)
    assert [len(line) for line in lines] == [width] * height
    drawn = dots(lines, ascii_only=ascii_only)
    known = np.isfinite(values)
    assert drawn.any() == known.any()
    if not known.any():
        return
    rows, across = drawn.shape
    half, low, high = 0.5 / max(rows - 1, 1), values[known].min(), values[known].max()
    size = high / 2 - low / 2
    for i in np.flatnonzero(known):
        place = i * (across - 1) / max(len(values) - 1, 1)
        nearest = sorted({round(place - 1e-9), round(place + 1e-9)})
        share = (high / 2 - values[i] / 2) / size if size else 0.5
        hit = np.flatnonzero(drawn[:, nearest].any(axis=1)) / max(rows - 1, 1)
        assert rows == 1 or np.abs(hit - share).min() <= half + 1e-9


@pytest.mark.parametrize("ascii_only", [False, True])
def test_a_curve_keeps_one_spike_among_thousands(ascii_only):
    """The extreme of ten thousand steps is drawn, at its place, to the edge."""
    values = np.zeros(10_000)
    values[7_000] = 5.0
    drawn = dots(curve(values, 40, Frame.around(values, 4), ascii_only=ascii_only),
                 ascii_only=ascii_only)  # fmt: skip
    (spike,) = np.flatnonzero(drawn[0])
    assert spike == round(7_000 * (drawn.shape[1] - 1) / 9_999)
    assert drawn[-1].sum() >= drawn.shape[1] - 1


@given(st.integers(2, 90), st.integers(0, 90), MODES)
def test_a_jump_is_one_line(count, at, ascii_only):
    """However steep, the dots of a column touch those of the next."""
    values = 1.0 * (np.arange(count) < at)
    lines = curve(values, 20, Frame.around(values, 6), ascii_only=ascii_only)
    ranges = [np.flatnonzero(column) for column in dots(lines, ascii_only=ascii_only).T]
    for left, right in pairwise(ranges):
        assert left.min() <= right.max() + 1
        assert right.min() <= left.max() + 1


def test_a_curve_has_gaps_and_no_others():
    """Between finite values the line is unbroken; at lost ones it is broken."""
    values = np.linspace(0.0, 1.0, 30)
    drawn = dots(curve(values, 20, Frame.around(values, 5)), ascii_only=False)
    assert drawn.any(axis=0).all()
    assert np.abs(np.diff([np.flatnonzero(column).mean() for column in drawn.T])).max() <= 2
    values[10:20] = np.nan
    drawn = dots(curve(values, 20, Frame.around(values, 5)), ascii_only=False)
    assert not drawn[:, 14:25].any()


@given(st.floats(-10, 10), st.floats(0, 5), st.integers(8, 40), MODES)
def test_a_bar_is_as_long_as_what_is_sure(value, error, width, ascii_only):
    """Solid is |value| - error from zero, to a cell; shade reaches value ± error; signs differ."""
    reach = (-16.0, 16.0)
    drawn = bar(value, error, reach, width, ascii_only=ascii_only)
    assert len(drawn) == width
    cell, zero = 16.0 / (width // 2), round(width / 2)
    weight = {"█": 1.0, "▐": 0.5, "▌": 0.5, "#": 1.0}
    solid = sum(weight.get(piece, 0.0) for piece in drawn) * cell
    sure = max(abs(value) - error, 0.0)
    assert solid == pytest.approx(sure, abs=1.01 * cell)
    filled = [i for i, piece in enumerate(drawn) if piece != " "]
    if value == 0.0 and error == 0.0:
        assert not filled
    if filled and error < abs(value):  # one side of zero
        edge = min(filled) + 1 if value < 0 else max(filled)
        assert (edge < zero + 1) if value < 0 else (edge > zero - 1)
    shaded = [i for i, piece in enumerate(drawn) if piece in "░~"]
    for i in shaded:
        assert (i - zero) * cell <= value + error
        assert (i + 1 - zero) * cell >= value - error


def test_a_small_bar_keeps_its_sign():
    """What is not zero is seen, on its side."""
    assert bar(-1e-9, 0.0, (-1.0, 1.0), 6) == "  ▐   "
    assert bar(1e-9, 0.0, (-1.0, 1.0), 6) == "   ▌  "
    assert bar(-1e-9, 0.0, (-1.0, 0.0), 4) == "   ▐"


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
def test_an_empty_bar(value):
    """What is no number has no bar, and neither has anything on a scale without a length."""
    assert bar(value, np.nan, (-1.0, 0.0), 5) == "     "
    assert bar(-1.0, 0.0, (0.0, 0.0), 5) == "     "


@given(st.lists(ANY, min_size=1, max_size=60), MODES)
def test_a_spark_line_is_in_order(values, ascii_only):
    """A higher character is a higher value; what is not finite is a space."""
    values = np.array(values, float)
    drawn = spark(values, Frame.around(values, 1), ascii_only=ascii_only)
    levels = ".:-=+*%#" if ascii_only else "▁▂▃▄▅▆▇█"
    assert [piece == " " for piece in drawn] == (~np.isfinite(values)).tolist()
    known = [(v, levels.index(p)) for v, p in zip(values, drawn, strict=True) if p != " "]
    heights = [height for _, height in sorted(known)]
    assert heights == sorted(heights)
    if known and max(known)[0] / 2 > min(known)[0] / 2:  # halves: neither over- nor underflow
        assert (heights[0], heights[-1]) == (0, 7)


def test_bins_are_means_of_neighbours():
    """Bins cover all values in order; few values are repeated over the width."""
    values = np.arange(12.0)
    assert binned(values, 4).tolist() == [1.0, 4.0, 7.0, 10.0]
    assert binned(values, 4, np.max).tolist() == [2.0, 5.0, 8.0, 11.0]
    assert binned(np.array([1.0, 2.0]), 5).tolist() == [1.0, 1.0, 1.0, 2.0, 2.0]
    assert binned(np.array([1.0, np.nan, np.inf, np.nan]), 2).tolist()[0] == 1.0
    assert np.isnan(binned(np.array([1.0, 1.0, np.inf, np.nan]), 2)[1])


@given(st.lists(ANY, max_size=30), MODES)
def test_signs_can_be_read_without_colour(values, ascii_only):
    """What helped stands on the line, what hurt hangs, nothing is empty."""
    values = np.array(values, float)
    drawn = signed_spark(values, ascii_only=ascii_only)
    helped, hurt = (".:-=+*%#", "'\"") if ascii_only else ("▁▂▃▄▅▆▇█", "▔▀")
    largest = np.abs(values[np.isfinite(values)]).max(initial=0.0)
    for value, piece in zip(values, drawn, strict=True):
        if not np.isfinite(value) or value == 0.0:
            assert piece == " "
        elif abs(value) > 1e-9 * largest:
            assert piece in (hurt if value > 0 else helped)


def test_marks_and_columns():
    """A mark replaces one character; places run from edge to edge."""
    assert marked(["abc", "def"], 1, 2, "o") == ["abc", "deo"]
    assert columns(3, 11).tolist() == [0, 5, 10]
