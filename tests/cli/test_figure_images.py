"""Every figure looks as it did when somebody looked at it.

The pictures in `baselines/` were looked at. After a change that is wanted, draw them anew, look at
them, and commit them:

    LCA_NEW_BASELINES=1 python -m pytest tests/cli/test_figure_images.py
"""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from attrs import evolve
from matplotlib.image import imread, imsave

from cli.pictures import PICTURES, RUN, THEMES, rendered, words
from lca_core.figures import AUTHORS, FIGURES

BASELINES = Path(__file__).with_name("baselines")
DPI, TILE, TOLERANCE = 72, 8, 0.035


def pixels(figure):
    """Return a figure at a low resolution, (height, width, 3), from 0 to 1."""
    figure.set_dpi(DPI)
    return np.asarray(rendered(figure).buffer_rgba())[..., :3] / 255


def texts(figure):
    """Return what is written in a drawn figure: one letter is too small for `distance`."""
    return [text.get_text() for text in words(figure)]


def distance(one, two):
    """Return how much two pictures differ where they differ most: the mean over a tile.

    A pixel counts by how far it is beyond all pixels next to its place in the other picture, so
    that edges may be smoothed differently or be a pixel off, but no line may come or go.
    """
    if one.shape != two.shape:
        return np.inf
    beyond = np.maximum(_beyond(one, two), _beyond(two, one)).max(axis=-1)
    high, wide = (size // TILE * TILE for size in beyond.shape)
    tiles = beyond[:high, :wide].reshape(high // TILE, TILE, wide // TILE, TILE)
    return tiles.mean(axis=(1, 3)).max()


def _beyond(one, other):
    padded = np.pad(other, ((1, 1), (1, 1), (0, 0)), mode="edge")
    near = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(0, 1))
    low, high = near.min(axis=(-2, -1)), near.max(axis=(-2, -1))
    return np.maximum(np.maximum(low - one, one - high), 0)


def baseline(name):
    """Return the picture that was looked at."""
    return imread(BASELINES / f"{name}.png")[..., :3]


def written(name):
    """Return what was written in it."""
    return json.loads((BASELINES / f"{name}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("name", PICTURES)
def test_it_looks_as_it_did(name, theme):
    """A figure of a fixed run is the picture that was looked at, word by word."""
    figure, kept = PICTURES[name](THEMES[theme]), f"{name}-{theme}"
    drawn, told = pixels(figure), texts(figure)
    if os.environ.get("LCA_NEW_BASELINES"):
        BASELINES.mkdir(exist_ok=True)
        imsave(BASELINES / f"{kept}.png", drawn)
        lines = json.dumps(told, indent=0, ensure_ascii=False)
        (BASELINES / f"{kept}.json").write_text(f"{lines}\n", encoding="utf-8")
    assert distance(drawn, baseline(kept)) < TOLERANCE
    assert told == written(kept)


def test_there_is_no_other_baseline():
    """What is no longer drawn is no longer kept."""
    kept = {path.stem for path in BASELINES.iterdir()}
    assert kept == {f"{name}-{theme}" for name in PICTURES for theme in THEMES}


def colour(theme):
    """Swap two colours."""
    return FIGURES["layers"](RUN, "train", theme=evolve(theme, help=theme.hurt))


def curve(theme):
    """Leave out one thin curve."""
    figure = FIGURES["units"](RUN, "train", theme=theme)
    figure.axes[1].get_lines()[3].remove()
    return figure


def dot(theme):
    """Draw one dot in the colour of the others."""
    figure = FIGURES["peaks"](RUN, "train", theme=theme)
    shared = figure.axes[0].get_lines()[1]
    shared.set_data(*(values[1:] for values in shared.get_data()))
    return figure


@pytest.mark.parametrize(("broken", "name"), [(colour, "layers"), (curve, "units"), (dot, "peaks")])
@pytest.mark.parametrize("theme", THEMES)
def test_what_is_wrong_is_noticed(broken, name, theme):
    """A wrong colour, a missing curve or dot are far from the baseline."""
    assert distance(pixels(broken(THEMES[theme])), baseline(f"{name}-{theme}")) > 1.25 * TOLERANCE


def test_swapped_labels_are_noticed():
    """Two names in each other's place are not what was written."""
    figure = FIGURES["layers"](RUN, "train")
    axes = figure.axes[0]
    axes.set_yticks(axes.get_yticks(), ["fc1", "fc3", "fc2"])
    rendered(figure)
    assert sorted(texts(figure)) == sorted(written("layers-light"))
    assert texts(figure) != written("layers-light")


@pytest.mark.parametrize("name", ["loss", "layers-of-arms", "toy"])
def test_smoothing_is_not_noticed(name):
    """Edges that fall a part of a pixel elsewhere are none."""
    other = PICTURES[name](AUTHORS)
    other.set_size_inches(other.get_size_inches() + 0.004)
    drawn, seen = pixels(other), baseline(f"{name}-light")
    assert np.abs(drawn - seen).max() > 0.1
    assert distance(drawn, seen) < TOLERANCE
