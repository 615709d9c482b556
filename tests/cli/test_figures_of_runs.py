"""Pictures of several runs show their numbers."""

import numpy as np
import pytest
from attrs import evolve
from matplotlib.colors import to_rgb
from scipy import stats

from lca_core import analyses
from lca_core.errors import AnalysisError
from lca_core.figures import (
    AUTHORS,
    FIGURES,
    Theme,
    allocation_over_runs,
    delay_sweep,
    save,
    two_arms,
)
from lca_core.figures.toy import START, toy, toy_run
from lca_core.reference import Polynomial, demo_run, track

NEED_MORE = {"gradient-peaks", "motion-peaks", "distribution", "heroes", "trajectories"}


@pytest.fixture(scope="module")
def runs():
    """Return five seeds."""
    return [demo_run(20, seed=seed) for seed in range(5)]


@pytest.fixture(scope="module")
def others():
    """Return three seeds that stop early."""
    return [demo_run(6, seed=seed) for seed in range(3)]


def totals(runs):
    """Return every run's sums by layer."""
    return np.array([run.allocation("train").values.sum(axis=0) for run in runs])


def half_widths(axes):
    """Return how long the whiskers of an axis are to each side, a list a container."""
    bars = [one for one in axes.containers if type(one).__name__ == "ErrorbarContainer"]
    return [[abs(b[0] - a[0]) / 2 for a, b in one.lines[2][0].get_segments()] for one in bars]


def scipys(values):
    """Return the 95 % half-widths of means over the first axis."""
    low, high = stats.t.interval(
        0.95, len(values) - 1, values.mean(axis=0), stats.sem(values, axis=0)
    )
    return (high - low) / 2


def test_mean_interval_and_every_run(runs):
    """Bars are means, whiskers scipy's intervals, rings single runs, p corrected."""
    figure = allocation_over_runs(runs, "train")
    axes = figure.axes[0]
    found = totals(runs)
    np.testing.assert_allclose([bar.get_width() for bar in axes.patches], found.mean(axis=0))
    np.testing.assert_allclose(half_widths(axes)[0], scipys(found))
    rings = [line.get_xdata() for line in axes.get_lines() if line.get_marker() == "o"]
    np.testing.assert_allclose(rings, found)
    raw = stats.ttest_1samp(found, 0).pvalue
    texts = [label.get_text() for label in axes.child_axes[0].get_yticklabels()]
    assert texts == [f"{p:.2g}" for p in analyses.holm(raw)]
    assert "mean of 5 runs" in figure.get_supxlabel()
    with pytest.raises(AnalysisError, match="at least two"):
        allocation_over_runs(runs[:1], "train")


def test_arms_are_solid_against_hatched(runs, others):
    """The first arm's bars are filled, the second's hatched; each has its own interval."""
    figure = two_arms(runs, "train", others, names=("plain", "short"))
    left, right = figure.axes
    solid = [bar for bar in left.patches if not bar.get_hatch()]
    hatched = [bar for bar in left.patches if bar.get_hatch()]
    for bars, arm, whiskers in zip(
        (solid, hatched), (runs, others), half_widths(left), strict=True
    ):
        np.testing.assert_allclose([bar.get_width() for bar in bars], totals(arm).mean(axis=0))
        np.testing.assert_allclose(whiskers, scipys(totals(arm)))
    assert {to_rgb(bar.get_facecolor()) for bar in solid} == {AUTHORS.help}
    assert {to_rgb(bar.get_edgecolor()) for bar in hatched} == {AUTHORS.help}
    assert {to_rgb(bar.get_facecolor()) for bar in hatched} == {AUTHORS.paper}
    for line, arm, style in zip(right.get_lines(), (runs, others), ("-", "--"), strict=True):
        losses = np.array([run.loss("train") for run in arm])
        np.testing.assert_allclose(line.get_ydata(), losses.mean(axis=0))
        assert line.get_linestyle() == style
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "plain (5 runs; loss solid)",
        "short (3 runs; loss dashed)",
    ]


def test_arms_of_one_run_have_the_integrals_error(runs, others):
    """Without several runs the whiskers are the run's own ±."""
    one, two = demo_run(20), demo_run(30, seed=1)
    figure = two_arms([one], "train", [two])
    halves = [half for arm in half_widths(figure.axes[0]) for half in arm]
    known = np.concatenate([one.error("train").values, two.error("train").values])
    np.testing.assert_allclose(halves, known[np.isfinite(known) & (known > 0)])
    mixed = two_arms([one], "train", others)
    assert len(half_widths(mixed.axes[0])[0]) == 0
    assert len(half_widths(mixed.axes[0])[1]) == 2


def test_narrow_arms_stand_above_each_other(runs, others):
    """In a column there is no room side by side."""
    figure = two_arms(runs, "train", others, theme=Theme.of(width=3.4))
    figure.canvas.draw()
    upper, lower = (axes.get_position() for axes in figure.axes)
    assert upper.y0 > lower.y1


def test_losses_are_averaged_at_common_steps(runs):
    """Runs that were measured at other steps are met only where both were."""
    often = runs[0]
    rows = {name: array[1::2] for name, array in runs[1].rows.items()}
    figure = two_arms([often, evolve(runs[1], rows=rows)], "train", [often])
    mean = figure.axes[1].get_lines()[0]
    np.testing.assert_array_equal(mean.get_xdata(), np.arange(0, 21, 2))
    both = (often.loss("train") + runs[1].loss("train"))[::2] / 2
    np.testing.assert_allclose(mean.get_ydata(), both)


def test_names_are_no_mathematics(runs, tmp_path):
    """Names of arms and of layers with $ in them are drawn as they are."""
    leaves = {name: np.ones(2) for name in (r"$\frac$", r"_$x$")}
    problem = Polynomial(leaves, 2)
    oracles = {"train": problem, "val": problem}
    with track(oracles, leaves, problem.layout) as tracker:
        tracker.step({name: 0.5 * leaf for name, leaf in leaves.items()})
    run = tracker.run
    some = {name: draw for name, draw in FIGURES.items() if name not in NEED_MORE}
    figures = [draw(run, "train") for draw in some.values()]
    figures += [
        two_arms([run, run], "train", [run], names=(r"$\nope$", "b")),
        allocation_over_runs([run, run], "train"),
        delay_sweep({0: [run], 1: [run]}, "train"),
    ]
    for figure in figures:
        save(figure, tmp_path / "a.svg")


def test_delays_are_colours(runs, others):
    """A colour a delay in its order, means and intervals of layers, a line through the runs."""
    arms = {9: others, 0: runs, 3: runs[:2]}
    figure = delay_sweep(arms, "train", theme=Theme.of("colour-blind"))
    upper, lower = figure.axes
    for container, delay in zip(upper.containers, (0, 3, 9), strict=True):
        assert container.get_label() == str(delay)
        found = totals(arms[delay])
        np.testing.assert_allclose(container.lines[0].get_xdata(), found.mean(axis=0))
        ends = np.array(container.lines[2][0].get_segments())[:, :, 0]
        np.testing.assert_allclose(np.diff(ends)[:, 0] / 2, scipys(found))
    colours = [container.lines[0].get_color() for container in upper.containers]
    assert colours == Theme.of("colour-blind").ramp(3)
    lightness = [to_rgb(colour) @ np.array([0.21, 0.72, 0.07]) for colour in colours]
    assert lightness == sorted(lightness)
    x = np.repeat([0, 3, 9], [5, 2, 3])
    y = np.concatenate([totals(runs)[:, 1], totals(runs[:2])[:, 1], totals(others)[:, 1]])
    truth = stats.linregress(x, y)
    line = lower.get_lines()[3]
    np.testing.assert_allclose(line.get_ydata(), truth.intercept + truth.slope * np.array([0, 9]))
    half = truth.stderr * stats.t.ppf(0.975, len(x) - 2)
    title = " ".join(figure.get_suptitle().split())
    assert f"changes fc2 by {truth.slope:+#.2g} ± {half:#.2g} loss units (95 %)" in title
    left_out = delay_sweep(arms, "train", "fc2", skip=1).axes[0]
    assert [label.get_text() for label in left_out.get_yticklabels()] == ["fc2"]


def still():
    """Return a run in which nothing moves."""
    problem = Polynomial({"x": np.ones(2)}, 2)
    with track({"train": problem}, {"x": np.zeros(2)}, problem.layout) as tracker:
        tracker.step({"x": np.zeros(2)})
    return tracker.run


def broken():
    """Return a run that ends in what is not a number."""
    run = demo_run(3)
    rows = {name: array.copy() for name, array in run.rows.items()}
    rows["status"][2] = 3
    for name in ("loss", "gap", "noise", "allocation", "error"):
        rows[name][2] = np.nan
    return evolve(run, rows=rows)


def lost():
    """Return a run that lost every step."""
    run = demo_run(3)
    rows = {name: array.copy() for name, array in run.rows.items()}
    rows["status"][:] = 3
    for name in ("loss", "gap", "noise", "allocation", "error"):
        rows[name][:] = np.nan
    return evolve(run, rows=rows)


ODD = {"no step": lambda: demo_run(0), "one step": lambda: demo_run(1), "still": still,
       "broken": broken, "lost": lost}  # fmt: skip


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("count", [1, 2])
def test_any_runs_can_be_drawn(kind, count, tmp_path):
    """Without a warning, and without a word on numbers that there are not."""
    some = [ODD[kind]() for _ in range(count)]
    figures = [two_arms(some, "train", some), delay_sweep({0: some, 9: some}, "train")]
    if count > 1:
        figures.append(allocation_over_runs(some, "train"))
    for figure in figures:
        save(figure, tmp_path / "a.png")
        assert "± nan" not in figure.get_suptitle()
        assert not figure.get_suptitle().endswith("=")


def thinned(steps, every=3):
    """Return a run whose steps were measured several at a time."""
    problem = Polynomial({"x": np.array([1.0, 2.0])}, power=3)
    at = {"x": np.ones(2)}
    tracker = track({"train": problem}, at, problem.layout, every=every)
    for _ in range(steps):
        tracker.step(at := {name: 0.9 * leaf for name, leaf in at.items()})
    return tracker.finish()


@pytest.mark.parametrize(
    ("lengths", "words"),
    [
        ((9, 9), "summed over 9 steps, measured 3 times"),
        ((9, 6), "summed over 6 to 9 steps"),
    ],
)
def test_steps_are_those_of_the_training(lengths, words):
    """However many of them were measured together."""
    figure = allocation_over_runs([thinned(steps) for steps in lengths], "train")
    assert words in " ".join(figure.get_supxlabel().split())


def test_a_run_that_lost_every_step_is_in_no_bar():
    """Bars are the mean of the others, and how many are left out is said."""
    runs = [demo_run(3), demo_run(3, seed=1)]
    drawn = [
        [bar.get_width() for bar in allocation_over_runs(some, "train").axes[0].patches]
        for some in ([*runs, lost()], runs)
    ]
    assert drawn[0] == drawn[1]
    figure = allocation_over_runs([*runs, lost()], "train")
    assert "mean of 2 runs; 1 lost every step" in " ".join(figure.get_supxlabel().split())
    assert "(mean of 2 runs), 1 not finite" in " ".join(figure.get_suptitle().split())


def test_runs_of_no_step_have_no_scale():
    """Where there are no allocations, their axes have no numbers."""
    none = [demo_run(0)] * 2
    sweep = delay_sweep({0: none, 9: none}, "train").axes
    arms, layers = (
        draw.axes[0]
        for draw in (two_arms(none, "train", none), allocation_over_runs(none, "train"))
    )
    for axis in (sweep[0].xaxis, sweep[1].yaxis, arms.xaxis, layers.xaxis):
        assert not axis.get_ticklocs().size


def test_toy_gives_all_credit_to_one():
    """θ1 moves and gets nothing; θ2's gets exactly its closed form, some of it hurting."""
    run = toy_run()
    watched = run.watched("loss")
    first, second = watched.allocation.T
    assert abs(watched.weight[-1, 0] - START[0]) > 3
    assert not first.any()
    path = np.concatenate([[START[1]], watched.weight[:, 1]])
    np.testing.assert_allclose(second, np.diff(0.5 * path**2), atol=1e-15)
    assert second.min() < 0 < second.max()
    upper, *panels = [axes for part in toy().subfigs for axes in part.axes]
    assert upper.name == "3d"
    heights = [bar.get_height() for bar in panels[5].patches]
    np.testing.assert_array_equal(heights, second)
    assert [to_rgb(bar.get_facecolor()) for bar in panels[5].patches] == AUTHORS.signed(second)
