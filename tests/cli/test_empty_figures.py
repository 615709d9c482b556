"""Where nothing was allocated, figures say so, and show no scale that would mean nothing."""

import pytest

from cli.descent import observed
from cli.pictures import THEMES, rendered, words
from cli.test_figures import changed, lost
from lca_core.figures import FIGURES, Theme
from lca_core.reference import demo_run

EMPTY = {
    "standing still": lambda: observed(30, moving=False),
    "no step": lambda: observed(0),
    "nothing finite": lambda: observed(3, broken=range(3)),
}


@pytest.fixture(scope="module", params=EMPTY)
def empty(request):
    """Return a run that allocated nothing, and what kind it is."""
    return EMPTY[request.param](), request.param


def said(figure):
    """Return all that is written in a figure."""
    return " ".join(text.get_text() for text in words(figure))


@pytest.mark.parametrize("width", [3.4, 5.0, 8.0])
def test_panels_keep_their_room(empty, width):
    """Both panels of `per-parameter` are wide enough, and the right one says why it is empty."""
    run, kind = empty
    figure = FIGURES["per-parameter"](run, "train", theme=Theme.of(width=width))
    rendered(figure)
    left, right = figure.axes
    assert left.get_position().width > 0.3
    assert right.get_position().width > 0.2
    assert ("nothing moved" if kind == "standing still" else "not known") in said(figure)
    assert "mean over steps" not in said(figure)


@pytest.mark.parametrize("name", ["layers", "per-parameter"])
def test_bars_of_no_length_have_no_scale(empty, name):
    """Zero stands in the middle, without numbers beside it."""
    axes = FIGURES[name](empty[0], "train").axes[0]
    assert axes.get_xlim() == (-1, 1)
    assert not len(axes.get_xticks())


def test_units_of_nothing_have_no_scale(empty):
    """No colour bar, no numbers beside the curves, and words for it."""
    run, kind = empty
    figure = FIGURES["units"](run, "train")
    upper, lower = figure.axes
    assert not upper.collections or kind == "nothing finite"
    assert not len(lower.get_yticks())
    assert "colours end" not in said(figure)
    assert ("nothing was allocated" in said(figure)) == (kind == "standing still")


@pytest.mark.parametrize("name", ["totals", "distribution"])
def test_a_histogram_of_nothing_says_so(empty, name):
    """Both frames have words in the place of bars: that nothing moved, or that it is not known."""
    run, kind = empty
    expected = "nothing moved" if kind == "standing still" else "not known"
    figure = FIGURES[name](run, "train")
    assert [text.get_text() for axes in figure.axes for text in axes.texts] == [expected] * 2
    assert not any(axes.texts for axes in FIGURES[name](observed(3), "train").axes)


def test_generalisation_of_nothing_has_no_scale(empty):
    """The numbers beside a line at zero would mean nothing."""
    assert not len(FIGURES["generalisation"](empty[0], "train").axes[0].get_yticks())


@pytest.mark.parametrize("theme", THEMES.values(), ids=THEMES)
@pytest.mark.parametrize("name", ["peaks", "gradient-peaks", "motion-peaks"])
def test_no_peaks_are_said(empty, name, theme):
    """The frame says that it is empty, and the title tests nothing against chance."""
    run, kind = empty
    figure = FIGURES[name](run, "train", theme=theme)
    assert "p = " not in figure.get_suptitle()
    expected = "no layer had a peak" if kind == "standing still" else "not known"
    (found,) = (text for text in words(figure) if text.get_text() == expected)
    assert found.get_color() == theme.ink


def test_peaks_that_are_there_are_drawn():
    """Where a layer has a peak, nothing is said in the frame."""
    figure = FIGURES["peaks"](observed(30), "train")
    assert "p = " in figure.get_suptitle()
    assert not figure.axes[0].texts


@pytest.mark.parametrize("name", ["loss", "layers"])
def test_lost_allocations_sum_to_nothing(name):
    """Of a run that lost every step no sum is told, zero neither; of zeros there is one."""
    title = FIGURES[name](lost(demo_run(3), 0, 1, 2), "train").get_suptitle()
    assert "no allocation is known" in title
    assert "sum to" not in title
    still = FIGURES[name](EMPTY["standing still"](), "train").get_suptitle()
    assert "allocations sum to 0" in still


def test_what_is_lost_does_not_generalise():
    """The figure of a run that lost every step clears no layer."""
    title = FIGURES["generalisation"](EMPTY["nothing finite"](), "train").get_suptitle()
    assert "nothing is known, as no step is finite in both" in title
    assert "no layer" not in title


def test_small_numbers_of_a_dark_figure_can_be_read():
    """Numbers between powers of ten have the ink of the theme, as all others."""
    dark = THEMES["dark"]
    gaps = changed(demo_run(3), gap={0: 2e-6, 1: 4e-6, 2: 7e-6}, noise={...: 3e-6})
    figure = FIGURES["loss"](gaps, "train", theme=dark)
    rendered(figure)
    labels = figure.axes[1].get_yticklabels(which="minor")
    assert any(label.get_text() for label in labels)
    assert {label.get_color() for label in labels} == {dark.ink}
