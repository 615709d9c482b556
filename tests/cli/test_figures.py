"""The pictures show the numbers of the run."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from attrs import evolve
from matplotlib.figure import Figure

from lca_core.errors import MissingExtraError, NotRecordedError
from lca_core.figures import (
    AUTHORS,
    FIGURES,
    Theme,
    allocation_by_layer,
    helping_over_time,
    loss_and_allocation,
    save,
)
from lca_core.figures.style import short
from lca_core.reference import Polynomial, demo_run, track

if TYPE_CHECKING:
    from lca_core import Run

HELP, HURT = AUTHORS.help, AUTHORS.hurt
LOST = ("loss", "gap", "noise", "allocation", "error")


def changed(run: Run, **rows) -> Run:
    """Return the run with some values replaced: name -> {step: value}."""
    copies = {name: array.copy() for name, array in run.rows.items()}
    for name, values in rows.items():
        for step, value in values.items():
            copies[name][step] = value
    return evolve(run, rows=copies)


def lost(run: Run, *steps: int) -> Run:
    """Return the run with some steps not finite."""
    nan = {name: dict.fromkeys(steps, np.nan) for name in LOST}
    return changed(run, status=dict.fromkeys(steps, 3), **nan)


def standing_still() -> Run:
    """Return a run of exact zeros: nothing moves, no loss, no gap, no noise."""
    problem = Polynomial({"x": np.ones(2)}, 2)
    with track({"train": problem}, {"x": np.zeros(2)}, problem.layout) as tracker:
        for _ in range(3):
            tracker.step({"x": np.zeros(2)})
    return tracker.run


def wide(layers: int) -> Run:
    """Return a run of many layers with long names."""
    leaves = {f"model.decoder.block_number.{i}.projection": np.ones(1) for i in range(layers)}
    problem = Polynomial(leaves, 2)
    with track({"train": problem}, leaves, problem.layout) as tracker:
        tracker.step({name: 0.5 * leaf for name, leaf in leaves.items()})
    return tracker.run


RUNS = {
    "no step": lambda: demo_run(0),
    "one step": lambda: demo_run(1),
    "some steps": lambda: demo_run(20),
    "many steps": lambda: demo_run(130),
    "lost steps": lambda: lost(demo_run(20), 0, 7, 8, 19),
    "nothing finite": lambda: lost(demo_run(1), 0),
    "infinite loss": lambda: changed(lost(demo_run(5), 2), loss={2: np.inf}),
    "open steps": lambda: changed(demo_run(5), status={1: 1, 3: 2}),
    "standing still": standing_still,
    "100 layers": lambda: wide(100),
}


DEFAULT = ("loss", "layers", "helping", "units", "peaks")
"""Those of what is recorded by default."""


@pytest.mark.parametrize("name", DEFAULT)
@pytest.mark.parametrize("kind", RUNS)
def test_every_run_can_be_drawn(kind, name, tmp_path):
    """Every figure of every kind of run is drawn without a warning."""
    save(FIGURES[name](RUNS[kind](), "train"), tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 5_000


def line(axes, label):
    """Return the line whose label begins so."""
    return next(one for one in axes.get_lines() if one.get_label().startswith(label))


def test_loss_figure_shows_both_sides_of_the_books():
    """The true loss and L_0 plus allocations and buffers are both drawn over iterations."""
    run = changed(demo_run(20), buffers={4: 0.5})
    upper, lower = loss_and_allocation(run, "train").axes
    caused = run.allocation("train").values.sum(axis=1) + run.buffers("train")
    np.testing.assert_array_equal(line(upper, "true loss").get_ydata(), run.loss("train"))
    np.testing.assert_array_equal(line(upper, "true loss").get_xdata(), run.iteration)
    booked = line(upper, "L₀").get_ydata()
    np.testing.assert_allclose(np.diff(booked), caused, rtol=1e-9)
    assert booked[0] == run.loss("train")[0]
    np.testing.assert_array_equal(
        line(lower, "gap of a closed").get_ydata(), np.abs(run.gap("train"))
    )
    np.testing.assert_array_equal(line(lower, "noise").get_ydata(), run.noise("train"))
    assert lower.get_yscale() == "log"


def test_loss_figure_marks_open_steps():
    """Steps whose books did not close are drawn apart, in red."""
    run = changed(demo_run(5), status={1: 1, 3: 2})
    lower = loss_and_allocation(run, "train").axes[1]
    assert line(lower, "gap of an open").get_xdata().tolist() == [2, 4]
    assert line(lower, "gap of an open").get_color() == HURT
    assert line(lower, "gap of a closed").get_xdata().tolist() == [1, 3, 5]


def test_loss_figure_goes_on_after_a_lost_step():
    """A step that is not finite is a hole and a grey band; the sum goes on behind it."""
    run = lost(demo_run(6), 2)
    figure = loss_and_allocation(run, "train")
    booked = line(figure.axes[0], "L₀").get_ydata()
    assert np.isnan(booked).tolist() == [False, False, False, True, False, False, False]
    known = run.allocation("train").values[[0, 1, 3]].sum()
    assert booked[4] == pytest.approx(run.loss("train")[0] + known)
    assert "not finite" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_a_loss_between_lost_steps_is_marked():
    """A known loss between two that are lost has no line: it is a point, and no other is."""
    run = changed(demo_run(6), loss={0: np.nan, 2: np.nan}, status={0: 3, 2: 3})
    drawn = loss_and_allocation(run, "train").axes[0].get_lines()[0]
    assert np.isfinite(drawn.get_ydata()).tolist() == [True, False, True, False, *3 * [True]]
    assert (drawn.get_marker(), drawn.get_markevery()) == ("o", [0, 2])
    assert loss_and_allocation(demo_run(6), "train").axes[0].get_lines()[0].get_marker() != "o"


def test_gaps_of_a_run_that_diverged_far_have_a_scale(tmp_path):
    """A gap near the largest number that there is leaves an axis with some ticks in its range."""
    run = demo_run(3)
    run = changed(run, gap={0: 1e-9, 1: 1e80, 2: 1e249})
    figure = loss_and_allocation(run, "train")
    save(figure, tmp_path / "far.png")
    axes = figure.axes[1]
    low, high = axes.get_ylim()
    assert low < 1e-9
    assert high > 1e249
    assert sum(low <= tick <= high for tick in axes.get_yticks()) >= 3


def test_titles_say_how_the_books_closed():
    """The loss figure's title has the fall, the sum of allocations and the closure."""
    title = loss_and_allocation(demo_run(20), "train").get_suptitle()
    assert title.startswith("train: loss fell by ")
    assert "allocations sum to -" in title
    assert title.endswith("all 20 steps closed")


def test_bars_are_the_sums_of_layers():
    """A bar is as long as its layer's allocation; green helped, red hurt; names on the axis."""
    run = demo_run(20)
    run = changed(run, allocation={3: run.rows["allocation"][3] + [[0.0, 0.0, 9.0, 0.0]]})
    axes = allocation_by_layer(run, "train").axes[0]
    lengths = [bar.get_width() for bar in axes.patches]
    np.testing.assert_allclose(lengths, run.allocation("train").values.sum(axis=0))
    assert [bar.get_facecolor()[:3] for bar in axes.patches] == [HELP, HURT]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["fc1", "fc2"]


def test_bars_say_what_they_are():
    """The axis names the sum and its unit; the other side counts parameters."""
    figure = allocation_by_layer(demo_run(20), "train")
    assert "allocation summed over 20 steps (loss units)" in figure.get_supxlabel()
    (right,) = figure.axes[0].child_axes
    assert [label.get_text() for label in right.get_yticklabels()] == ["40", "27"]


def test_error_bars_only_where_known():
    """A layer has whiskers as long as its ± where that is finite, and none elsewhere."""
    run = changed(demo_run(20), error={...: 1e-3})
    whiskers = allocation_by_layer(run, "train").axes[0].containers[1].lines[2][0].get_segments()
    half = [abs(right[0] - left[0]) / 2 for left, right in whiskers]
    np.testing.assert_allclose(half, run.error("train").values)
    unknown = changed(demo_run(1), error={...: np.nan})
    assert np.isnan(unknown.error("train").values).all()
    figure = allocation_by_layer(unknown, "train")
    assert not figure.axes[0].containers[1].lines[2][0].get_segments()
    assert "±" not in figure.get_supxlabel()


def test_many_layers_stay_readable():
    """With 100 layers the figure grows, but only so far; labels thin out and keep their ends."""
    figure = allocation_by_layer(wide(100), "train")
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert figure.get_figheight() == 9.0
    assert len(labels) == 50
    assert labels[1].startswith("…")
    assert labels[1].endswith("block_number.2.projection")


def test_the_largest_bars_have_their_names():
    """Where labels thin out, what did most is named, wherever it stands; its size beside it."""
    size = np.linspace(0.1, 0.2, 100)
    size[[57, 99]] = 9.0, 7.0
    axes = allocation_by_layer(changed(wide(100), allocation={0: -size[None]}), "train").axes[0]
    named = {round(place) for place in axes.get_yticks()}
    assert {57, 99} <= named
    assert named.isdisjoint({56, 58, 98})
    assert len(axes.child_axes[0].get_yticks()) == len(named)


def test_numbers_below_the_bars_keep_apart():
    """However small the allocations and long the names, no number touches the next."""
    figure = allocation_by_layer(
        changed(wide(60), allocation={0: -np.full((1, 60), 3e-3)}), "train"
    )
    figure.canvas.draw()
    boxes = [label.get_window_extent() for label in figure.axes[0].get_xticklabels()]
    seen = sorted((box.x0, box.x1) for box in boxes if box.width)
    assert len(seen) > 2
    assert all(one[1] < other[0] for one, other in pairwise(seen))


@pytest.mark.parametrize("width", [3.4, 5.0, 8.0])
def test_long_names_of_one_end_stay_apart(width):
    """Names are cut to two fifths of the width; of those of one end the middle is kept."""
    theme, longest = Theme.of(width=width), int(6 * width)
    names = [f"encoder.layers_of_the_model.{i}.self_attention_output_proj" for i in range(40)]
    kept = short([*names, "head", "decoder.layers.0.feed_forward.first_of_two_projections"], theme)
    assert len(set(kept)) == 42
    assert all(len(name) <= longest for name in kept)
    assert kept[40] == "head"
    assert all(f"{i}.self_a" in name for i, name in enumerate(kept[:40]))


def heights(area, steps):
    """Return how high an area is in the middle of every step, to half a unit."""
    y = np.arange(0.25, 100.0, 0.5)
    inside = [area.get_paths()[0].contains_points([(t + 0.5, h) for h in y]) for t in range(steps)]
    return 100.0 * np.mean(inside, axis=1)


def test_areas_are_percentages_of_all_parameters():
    """Helped, zero and hurt are stacked to 100 % of all parameters at every step."""
    run = demo_run(20)
    counts = [np.full((20, 1, 4), n) * run.layout.sizes for n in (0.5, 0.2)]
    run = changed(run, helped={...: counts[0]}, hurt={...: counts[1]})
    areas = helping_over_time(run, "train").axes[0].collections
    assert [area.get_label() for area in areas] == ["helped", "zero", "hurt"]
    helped, unmoved, hurt = (heights(area, run.steps) for area in areas)
    shown = run.helping("train")
    assert helped == pytest.approx(100 * shown.helped.sum(axis=1) / 67, abs=0.6)
    assert unmoved == pytest.approx(100 * shown.unmoved.sum(axis=1) / 67, abs=0.6)
    assert hurt == pytest.approx(100 * shown.hurt.sum(axis=1) / 67, abs=0.6)
    assert unmoved.min() > 20.0


def test_line_of_those_that_moved():
    """The line is helped / (helped + hurt); a longer run is smoothed, and the label says so."""
    run = demo_run(20)
    counts = run.helping("train")
    helped, hurt = counts.helped.sum(axis=1), counts.hurt.sum(axis=1)
    drawn = line(helping_over_time(run, "train").axes[0], "helped /")
    np.testing.assert_allclose(drawn.get_ydata(), 100 * helped / (helped + hurt))
    assert drawn.get_label() == "helped / (helped + hurt)"
    smooth = line(helping_over_time(demo_run(130), "train").axes[0], "helped /")
    assert smooth.get_label() == "helped / (helped + hurt), over 5 steps"


def test_half_and_loss_are_marked():
    """A dotted line stands at 50 %; the loss is drawn on an axis of its own."""
    run = demo_run(20)
    shares, loss = helping_over_time(run, "train").axes
    dotted = next(one for one in shares.get_lines() if one.get_linestyle() == ":")
    assert list(dotted.get_ydata()) == [50.0, 50.0]
    np.testing.assert_array_equal(line(loss, "loss").get_ydata(), run.loss("train"))


def test_helping_needs_counts():
    """Without counts the figure says which observer is missing."""
    run = demo_run(2)
    rows = {name: array for name, array in run.rows.items() if name != "helped"}
    with pytest.raises(NotRecordedError, match="'helped'"):
        helping_over_time(evolve(run, rows=rows), "train")


@pytest.mark.parametrize(
    ("name", "begins"), [("a.png", b"\x89PNG"), ("a.pdf", b"%PDF"), ("a", b"\x89PNG")]
)
def test_the_name_says_the_format(name, begins, tmp_path):
    """A figure is written in the format of its ending, at exactly the path that was asked for."""
    save(Figure(), tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes().startswith(begins)


def test_unknown_format(tmp_path):
    """An unknown format is refused with those that are known."""
    with pytest.raises(ValueError, match=r"'xyz' is not supported.*png"):
        save(Figure(), tmp_path / "a.xyz")


def test_nothing_global_changes():
    """Drawing needs no display, keeps no figure alive and leaves matplotlib's settings alone."""
    code = (
        "import sys, matplotlib; before = matplotlib.rcParams.copy()\n"
        "from lca_core.figures import FIGURES; from lca_core.reference import demo_run\n"
        f"for name in {DEFAULT}: FIGURES[name](demo_run(3), 'train').canvas.draw()\n"
        "assert matplotlib.rcParams.copy() == before\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_matplotlib(monkeypatch):
    """Without matplotlib one sentence says how to install it."""
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"pip install .*\[cli\]"):
        loss_and_allocation(demo_run(1), "train")
