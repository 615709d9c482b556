"""Themes reach every word and line of every figure, and leave nothing behind."""

import re
from itertools import pairwise

import matplotlib as mpl
import numpy as np
import pytest
from attrs import evolve
from matplotlib.colors import to_rgb

from cli.pictures import PICTURES, THEMES, rendered, words
from lca_core.errors import UnknownNameError
from lca_core.figures import AUTHORS, FIGURES, Theme, save
from lca_core.figures.style import new_figure, title
from lca_core.figures.theme import COLOURS
from lca_core.reference import demo_run

DARK = THEMES["dark"]


def luminance(colour):
    """Return the relative luminance of WCAG 2."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(one, two):
    """Return the contrast ratio of WCAG 2, from 1 to 21."""
    dark, light = sorted([luminance(one), luminance(two)])
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", THEMES.values(), ids=THEMES)
@pytest.mark.parametrize("name", PICTURES)
def test_every_word_can_be_read(name, theme):
    """All words stand out from the paper, in at least 8 points; those in colour like large ones."""
    figure = PICTURES[name](theme)
    rendered(figure)
    assert to_rgb(figure.get_facecolor()) == theme.paper
    coloured = [to_rgb(theme.weight), to_rgb(theme.gradient)]
    for text in words(figure):
        colour = to_rgb(text.get_color())
        assert text.get_fontsize() >= 8, text
        assert contrast(colour, theme.paper) > (3 if colour in coloured else 4.5), text


@pytest.mark.parametrize("colours", COLOURS)
@pytest.mark.parametrize("dark", [False, True])
def test_colours_stand_out_from_the_paper(colours, dark):
    """Words read well on every paper; what is drawn can be seen on it."""
    theme = Theme.of(colours, dark=dark)
    for colour in (theme.ink, theme.soft):
        assert contrast(colour, theme.paper) > 4.5
    for colour in (theme.weight, theme.gradient):
        assert contrast(colour, theme.paper) > 3
    for colour in (theme.help, theme.hurt):
        assert contrast(colour, theme.paper) > 2


@pytest.mark.parametrize("name", PICTURES)
def test_words_name_no_colour_of_another_theme(name):
    """Green and red are only spoken of where they are drawn."""
    told = " ".join(text.get_text() for text in words(PICTURES[name](DARK)))
    assert not re.search(r"\b(red|green)\b", told)
    assert ("(orange)" in told) == ("peaks" in name)


def simulated(colour, matrix):
    """Return the colour as it is seen with a deficiency."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.array(matrix) @ linear, 0, 1)
    return np.where(seen <= 0.0031308, 12.92 * seen, 1.055 * seen ** (1 / 2.4) - 0.055)


# Machado, Oliveira, Fernandes (2009), doi:10.1109/TVCG.2009.113, severity 1.
DEFICIENCIES = {
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
    "no colour": [[0.2126, 0.7152, 0.0722]] * 3,
}


@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_blue_and_orange_stay_apart(deficiency):
    """Help and hurt differ for every eye, and in grey, by far more than can just be noticed."""
    matrix = DEFICIENCIES[deficiency]
    theme = Theme.of("colour-blind")
    help_, hurt = (simulated(colour, matrix) for colour in (theme.help, theme.hurt))
    assert np.abs(help_ - hurt).max() > 0.2
    assert contrast(help_, hurt) > 1.8


@pytest.mark.parametrize("name", PICTURES)
def test_words_of_svg_are_words(name, tmp_path):
    """They can be searched and edited, they are not outlines; nothing is left in the settings."""
    before, figure = mpl.rcParams.copy(), PICTURES[name](DARK)
    save(figure, tmp_path / "a.svg")
    assert f">{figure.get_suptitle().split()[0]} " in (tmp_path / "a.svg").read_text()
    assert mpl.rcParams.copy() == before


@pytest.mark.parametrize(
    "name",
    [
        "loss",
        "toy",
        *(pytest.param(one, marks=pytest.mark.slow) for one in ("units", "layers-of-arms")),
    ],
)
def test_words_of_pdf_are_words(name, tmp_path):
    """Its letters are of a TrueType font, which journals and editors take; also mathematics."""
    before = mpl.rcParams.copy()
    save(PICTURES[name](DARK), tmp_path / "a.pdf")
    content = (tmp_path / "a.pdf").read_bytes()
    assert b"/FontFile2" in content
    assert b"/Type3" not in content
    assert mpl.rcParams.copy() == before


def test_the_same_svg_twice(tmp_path):
    """A picture that did not change is the same file, but for its date."""
    texts = []
    for name in ("a", "b"):
        save(FIGURES["layers"](demo_run(5), "train"), tmp_path / f"{name}.svg")
        texts.append(re.sub(r"<dc:date>.*</dc:date>", "", (tmp_path / f"{name}.svg").read_text()))
    assert texts[0] == texts[1]


def test_paper_of_the_theme_whatever_the_settings(tmp_path):
    """A dark figure is dark under settings that ask for white, and a light one under dark ones."""
    run = demo_run(5)
    for theme, settings in (
        (DARK, {"savefig.facecolor": "white", "axes.facecolor": "white"}),
        (AUTHORS, {"text.color": "white", "axes.facecolor": "black", "axes.edgecolor": "white"}),
    ):
        with mpl.rc_context(settings):
            figure = FIGURES["loss"](run, "train", theme=theme)
            save(figure, tmp_path / "a.png")
        pixels = mpl.image.imread(tmp_path / "a.png")
        corner, edge = pixels[1, 1, :3], pixels[-1, pixels.shape[1] // 2, :3]
        np.testing.assert_allclose([corner, edge], [theme.paper] * 2, atol=0.01)
        centre = pixels[200:400, 200:900, :3].reshape(-1, 3)
        assert np.abs(np.median(centre, axis=0) - theme.paper).max() < 0.01


@pytest.mark.parametrize("name", PICTURES)
def test_nothing_leaves_the_picture(name):
    """Titles, labels and legends lie within the picture, also in a column of two."""
    pixels = np.asarray(rendered(PICTURES[name](Theme.of(width=3.4))).buffer_rgba())
    for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]):
        assert (edge == 255).all()


@pytest.mark.parametrize("scale", [1.0, 0.3, 0.02, 1e-3, 3e-5])
def test_numbers_of_a_narrow_figure_stay_apart(scale):
    """In a column of two no number below the bars of `per-parameter` touches the next one."""
    run = demo_run(20)
    small = evolve(run, rows={**run.rows, "allocation": scale * run.rows["allocation"]})
    figure = FIGURES["per-parameter"](small, "train", theme=Theme.of(width=3.4))
    renderer = rendered(figure).get_renderer()
    axis = figure.axes[0].xaxis
    low, high = axis.get_view_interval()
    ticks = [tick for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
    boxes = [tick.label1.get_window_extent(renderer) for tick in ticks]
    assert len(boxes) > 1
    assert all(left.x1 + 4 < right.x0 for left, right in pairwise(boxes))


def test_long_titles_leave_room():
    """A title of many lines makes the picture higher: what is drawn keeps its height."""
    heights = []
    for lines in (1, 4, 8):
        figure = new_figure(3.0, AUTHORS)
        axes = figure.add_subplot()
        title(figure, AUTHORS, *["words"] * lines)
        rendered(figure)
        heights.append(axes.get_window_extent().height)
    assert heights[2] > 0.95 * heights[1]
    assert heights[1] < heights[0]


def test_unknown_colours_are_refused():
    """The error names those that there are."""
    with pytest.raises(UnknownNameError, match="'authors', 'colour-blind'"):
        Theme.of("pink")
    assert set(COLOURS) == {"authors", "colour-blind"}
