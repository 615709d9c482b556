"""Pictures of what observers keep show the numbers of the run, and every run can be drawn."""

import numpy as np
import pytest
from attrs import evolve
from matplotlib.colors import to_rgb

from cli.descent import PLACES, observed
from core.sampled import problem, redrawn, walked
from lca_core import Counts, Distribution, Layout, Leaf, Tallies, Totals, UnitSums, Watch, analyses
from lca_core.errors import NotRecordedError
from lca_core.figures import (
    AUTHORS,
    FIGURES,
    allocation_per_parameter,
    moments_of_learning,
    save,
    totals,
    trajectories,
)
from lca_core.figures.histogram import BINS
from lca_core.reference import Polynomial, demo_run, track

HELP, HURT, GREY = AUTHORS.help, AUTHORS.hurt, AUTHORS.grey


@pytest.fixture(scope="module")
def run():
    """Return eighty steps."""
    return observed(80)


KINDS = {
    "no step": lambda: observed(0),
    "one step": lambda: observed(1),
    "standing still": lambda: observed(4, moving=False),
    "lost steps": lambda: observed(9, broken=(3, 4)),
    "some steps": lambda: observed(80),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_run_can_be_drawn(kind, tmp_path):
    """All figures, without a warning, of any number of steps."""
    run = KINDS[kind]()
    for name, draw in FIGURES.items():
        save(draw(run, "train"), tmp_path / f"{name}.png")
        assert (tmp_path / f"{name}.png").stat().st_size > 5_000, name


OBSERVERS = [Totals(), Counts(), UnitSums(), Tallies(), Distribution(), Watch(PLACES[:1])]


def unseen():
    """Return a run of two measures that ended before the first step they would have looked at."""
    return walked({"train": redrawn(every=100), "val": redrawn(every=100)}, observers=OBSERVERS)


SIGNED = ["helping", "per-parameter", "units", "totals", "distribution", "heroes"]
"""Figures of signs of single parameters."""


@pytest.fixture(scope="module")
def sampled():
    """Return a run of one measure of samples, and one of all examples."""
    return walked({"train": redrawn(), "val": problem()}, observers=OBSERVERS)


@pytest.mark.parametrize("name", SIGNED)
def test_signs_of_samples_are_said_to_be(name, sampled):
    """Of a redrawn measure nobody takes the signs of the samples for those of the data."""
    note = "signs are those of the steps' samples, not of all examples"
    titles = [FIGURES[name](sampled, one).get_suptitle() for one in ("train", "val")]
    assert [note in " ".join(title.split()) for title in titles] == [True, False]


EMPTY = {
    "loss": lambda axes: [axes[1].yaxis],
    "layers": lambda axes: [axes[0].xaxis],
    "per-parameter": lambda axes: [axes[0].xaxis],
    "units": lambda axes: [axes[1].yaxis, *(one.yaxis for one in axes[2:])],
    "totals": lambda axes: [axis for one in axes for axis in (one.xaxis, one.yaxis)],
    "distribution": lambda axes: [axis for one in axes for axis in (one.xaxis, one.yaxis)],
    "heroes": lambda axes: [axes[0].yaxis],
    "trajectories": lambda axes: [axis for one in axes for axis in (one.xaxis, one.yaxis)],
    "generalisation": lambda axes: [axes[0].yaxis],
}
"""Axes of allocations, and of how many there were."""


def summed(name, axes):
    """Return the lines of what was added up since the start, but for the line at zero."""
    axis = {"units": 1, "generalisation": 0}.get(name)
    lines = [] if axis is None else axes[axis].lines
    return [line for line in lines if list(line.get_xdata()) != [0, 1]]


@pytest.mark.parametrize("made", [KINDS["no step"], unseen])
@pytest.mark.parametrize("name", EMPTY)
def test_where_nothing_is_drawn_there_is_no_scale(made, name, run):
    """Of no step, and where nobody looked, no axis has numbers, and no mean is promised."""
    figure = FIGURES[name](made(), "train")
    assert not any(axis.get_ticklocs().size for axis in EMPTY[name](figure.axes))
    assert not any(word in figure.get_suptitle() for word in ("mean", "percentile"))
    assert not any(np.isfinite(line.get_ydata()).any() for line in summed(name, figure.axes))
    if name in {"units", "generalisation"}:
        assert figure.axes[-1].get_xlim()[1] >= made().iteration[-1]
    some = FIGURES[name](run, "train")
    assert all(axis.get_ticklocs().size for axis in EMPTY[name](some.axes))


@pytest.mark.parametrize(
    "name", ["distribution", "heroes", "trajectories", "generalisation", "gradient-peaks"]
)
def test_what_is_missing_is_said(name):
    """A run without the observer, or the other measure, is an error that names it."""
    with pytest.raises(NotRecordedError, match=r"Add|holds the measures"):
        FIGURES[name](demo_run(), "train")


def test_bars_of_the_distribution_are_all_values(run):
    """Green left of zero, red right of it; together all that helped, and all that hurt."""
    left, _ = FIGURES["distribution"](run, "train").axes
    bars = left.patches
    assert len(bars) == BINS
    counts = run.distribution("train").counts.sum(axis=0)
    middle = len(counts) // 2
    helped, hurt = counts[:middle].sum(), counts[middle + 1 :].sum()
    found = [bar.get_height() for bar in bars]
    assert sum(found[: BINS // 2]) == pytest.approx(helped)
    assert sum(found[BINS // 2 :]) == pytest.approx(hurt)
    assert to_rgb(bars[0].get_facecolor()) == HELP
    assert to_rgb(bars[-1].get_facecolor()) == HURT
    assert bars[BINS // 2].get_x() == pytest.approx(0.0, abs=1e-12)


def test_bars_of_the_heroes_are_all_parameters(run):
    """Every parameter that moved is in one bar, at its share of helped steps."""
    (axes,) = FIGURES["heroes"](run, "train").axes
    share = 100 * analyses.heroes_and_villains(run, "train").share
    assert sum(bar.get_height() for bar in axes.patches) == np.isfinite(share).sum()
    mean = np.average(
        [bar.get_x() + bar.get_width() / 2 for bar in axes.patches],
        weights=[bar.get_height() for bar in axes.patches],
    )
    assert mean == pytest.approx(np.nanmean(share), abs=axes.patches[0].get_width())
    ends = [bar.get_x() + side * bar.get_width() for bar in axes.patches for side in (0, 1)]
    assert min(ends) >= 0
    assert max(ends) <= 100


def test_trajectories_are_of_the_best_and_the_worst(run):
    """Weight, gradient and allocation of the watched parameters, in the last sixty steps."""
    watched = run.watched("train")
    total = watched.allocation.sum(axis=0)
    axes = FIGURES["trajectories"](run, "train").axes
    weights = [one for one in axes if one.get_ylabel() == "weight"]
    gradients = [one for one in axes if one.get_ylabel() == "gradient"]
    bars = [one for one in axes if one.get_ylabel() == "LCA"]
    for k, i in enumerate((total.argmin(), total.argmax())):
        np.testing.assert_array_equal(
            weights[k].get_lines()[0].get_ydata(), watched.weight[-60:, i]
        )
        np.testing.assert_array_equal(
            gradients[k].get_lines()[0].get_ydata(), watched.gradient[-60:, i]
        )
        heights = np.array([bar.get_height() for bar in bars[k].patches])
        np.testing.assert_array_equal(heights, watched.allocation[-60:, i])
        for bar, height in zip(bars[k].patches, heights, strict=True):
            assert to_rgb(bar.get_facecolor()) == (HELP if height < 0 else HURT)
        assert watched.labels[i] in weights[k].get_title(loc="left")


def of_watched(run, *totals):
    """Return a run whose watched parameters came to these sums, all on its first step."""
    allocation = np.zeros_like(run.rows["watched_allocation"])
    allocation[0, 0, :] = totals
    return evolve(run, rows={**run.rows, "watched_allocation": allocation})


@pytest.mark.parametrize(
    ("totals", "says"),
    [
        ((-3.0, 1.0, 2.0), ("helped most: -3.00e+00", "hurt most: +2.00e+00")),
        ((-3.0, -1.0, -2.0), ("helped most: -3.00e+00", "helped least: -1.00e+00")),
        ((3.0, 1.0, 2.0), ("hurt least: +1.00e+00", "hurt most: +3.00e+00")),
        ((-3.0, 0.0, -2.0), ("helped most: -3.00e+00", "neither helped nor hurt")),
        ((0.0, 0.0, 0.0), ("neither helped nor hurt",)),
    ],
)
def test_trajectories_say_what_each_parameter_did(run, totals, says):
    """A parameter that never hurt is not said to have hurt, nor to have helped if it never did."""
    figure = trajectories(of_watched(run, *totals), "train")
    notes = [axes.get_title(loc="left") for axes in figure.axes]
    for note, did in zip(filter(None, notes), says, strict=True):
        assert did in note


def test_trajectories_say_which_steps_are_drawn(run):
    """A figure of the last sixty steps, or of a window, says so; one of all steps as well."""
    for window, says in (
        (None, "steps 21 to 80 of 80 are drawn; sums are over all 80"),
        (slice(10, 20), "steps 11 to 20 of 80 are drawn"),
        (slice(None), "all steps are drawn"),
    ):
        heading = trajectories(run, "train", window).get_suptitle()
        assert says in heading.replace("\n", " ")


def test_units_of_a_layer(run):
    """The heat map holds every unit's allocation; the curves end at their sums."""
    labels, values = run.allocation("train", by="unit")
    own = [i for i, label in enumerate(labels) if label.startswith("fc2[")]
    figure = FIGURES["units"](run, "train", layer="fc2")
    upper, lower = figure.axes[:2]
    mesh = upper.collections[0]
    np.testing.assert_allclose(np.ravel(mesh.get_array()), values[:, own].T.ravel())
    assert (
        mesh.norm.vmax
        == -mesh.norm.vmin
        == pytest.approx(np.percentile(np.abs(values[:, own]), 99))
    )
    curves = lower.get_lines()[: len(own)]
    np.testing.assert_allclose([c.get_ydata()[-1] for c in curves], values[:, own].sum(axis=0))
    with pytest.raises(NotRecordedError, match="no layer 'fc9'"):
        FIGURES["units"](run, "train", layer="fc9")


def test_units_have_no_colour_where_a_step_was_lost(run):
    """White is zero; what is not known is grey, and the heading says so."""
    rows = {name: array.copy() for name, array in run.rows.items()}
    rows["status"][3] = 3
    figure = FIGURES["units"](evolve(run, rows=rows), "train", layer="fc2")
    shown = np.ma.getmaskarray(figure.axes[0].collections[0].get_array())
    assert shown[:, 3].all()
    assert not np.delete(shown, 3, axis=1).any()
    assert "grey: not finite" in " ".join(figure.get_suptitle().split())


def unitless(**units):
    """Return a run of layers that each have one leaf, with so many units; 0 for none."""
    layout = Layout([
        Leaf(f"{name}.p", (n, 2) if n else (2,), "float64", name, 0 if n else None)
        for name, n in units.items()
    ])  # fmt: skip
    start = {leaf.name: np.ones(leaf.shape) for leaf in layout.leaves}
    problem = Polynomial(start, 2)
    with track({"train": problem}, start, layout, observers=[UnitSums()]) as tracker:
        tracker.step({name: (0.9 - 0.2 * i) * w for i, (name, w) in enumerate(start.items())})
    return tracker.run


def test_layers_without_units_are_not_offered():
    """Who asks for one is told which have units; one that has some is the default."""
    some, none = unitless(w=0, a=1, b=0), unitless(w=0)
    with pytest.raises(NotRecordedError, match=r"no layer 'w' with units .* there are \['a'\]"):
        FIGURES["units"](some, "train", layer="w")
    with pytest.raises(NotRecordedError, match=r"no layer 'w' with units in it; none has any\."):
        FIGURES["units"](none, "train")
    assert "1 unit of a" in FIGURES["units"](some, "train").get_suptitle()


@pytest.mark.parametrize(("count", "words"), [(3, "the 3 deepest"), (20, "up to 20 deepest")])
def test_the_heading_promises_no_peak_that_is_not_there(count, words):
    """Where a layer has fewer minima than were asked for, the heading says "up to"."""
    short = demo_run(20)
    allocation = np.random.default_rng(0).normal(size=short.rows["allocation"].shape)
    short = evolve(short, rows={**short.rows, "allocation": allocation})
    assert words in moments_of_learning(short, "train", count=count).get_suptitle()


def test_dots_are_the_peaks_and_red_where_all_align(run):
    """A band a class, a row a layer, a dot a peak."""
    (axes,) = FIGURES["peaks"](run, "train").axes
    parts = list(run.parts("train"))
    found = analyses.synchrony(np.stack([run.allocation(part).values.T for part in parts]))
    assert found.observed > 0
    dots = {GREY: [], HURT: []}
    for line in axes.get_lines():
        colour = line.get_color()
        dots[colour] += [(x, y) for x, y in zip(*line.get_data(), strict=True)]
    layers = len(run.layout.labels("layer"))
    truth = {GREY: [], HURT: []}
    for c, row, t in np.argwhere(found.peaks):
        colour = HURT if found.aligned[c, t] else GREY
        truth[colour].append((run.iteration[t + 1], c * (layers + 1) + row))
    for colour, expected in truth.items():
        assert sorted(dots[colour]) == sorted(expected)
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        f"class={c}" for c in range(3)
    ]


def test_a_class_has_its_whole_name_beside_its_band(run):
    """Also one with a slash in it, as Fashion-MNIST's T-shirt/top."""
    names = {"train/class=0": "train/class=T-shirt/top", "train/class=1": "train/class=Shirt/top"}
    parts = {names.get(one, one): share for one, share in run.parts("train").items()}
    header = evolve(
        run.header,
        measures=tuple(names.get(one, one) for one in run.measures),
        config={**run.config, "parts": {"train": parts}},
    )
    renamed = evolve(run, header=header, totals={})
    (axes,) = FIGURES["peaks"](renamed, "train").axes
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "class=T-shirt/top", "class=Shirt/top", "class=2",
    ]  # fmt: skip


def test_curves_of_the_two_measures_end_at_their_totals(run):
    """Solid what was learned, dashed what it did to held-out data, layer by layer."""
    (axes,) = FIGURES["generalisation"](run, "train").axes
    for measure, style in (("train", "-"), ("val", "--")):
        lines = [line for line in axes.get_lines()[:-1] if line.get_linestyle() == style]
        ends = sorted(line.get_ydata()[-1] for line in lines)
        totals = run.allocation(measure).values.sum(axis=0)
        np.testing.assert_allclose(ends, sorted(totals), rtol=1e-12)


@pytest.mark.parametrize("error", [1e-6, 1e6])
def test_layers_that_overfit_do_so_beyond_their_errors(run, error):
    """A layer that helped training and hurt validation is named if neither can be zero."""
    signs, errors = run.rows["allocation"].copy(), np.full_like(run.rows["error"], error)
    train, val = (run.measures.index(one) for one in ("train", "val"))
    signs[:, train], signs[:, val] = -1.0, 1.0
    made = evolve(run, rows={**run.rows, "allocation": signs, "error": errors})
    title = FIGURES["generalisation"](made, "train").get_suptitle().replace("\n", " ")
    names = ", ".join(run.layout.labels("layer"))
    named = f"helped the first and hurt the second beyond the errors of both: {names}"
    assert (named in title) == (error < 1.0)


@pytest.mark.parametrize("measure", ["train", "val"])
def test_steps_that_either_measure_lost_are_shaded(run, measure):
    """Lines that go on flat over steps that are not finite lie on a grey band, which is named."""
    status = run.rows["status"].copy()
    status[3:5, run.measures.index(measure)] = 3
    figures = [
        FIGURES["generalisation"](evolve(run, rows={**run.rows, "status": one}), "train")
        for one in (status, run.rows["status"])
    ]
    for figure, lost in zip(figures, (True, False), strict=True):
        texts = [text.get_text() for text in figure.legends[0].get_texts()]
        assert ("not finite" in texts) == bool(figure.axes[0].collections) == lost


@pytest.mark.parametrize("of", ["gradient", "motion"])
def test_peaks_of_lengths_are_maxima(run, of):
    """The controls have a dot where a length is larger than just before and just after."""
    (axes,) = FIGURES[f"{of}-peaks"](run, "train").axes
    parts = ["train"] if of == "motion" else list(run.parts("train"))
    layers, drawn = len(run.layout.labels("layer")), 0
    for line in axes.get_lines():
        for t, place in zip(*line.get_data(), strict=True):
            c, row = divmod(int(place), layers + 1)
            size = run.size(parts[c], of).values[:, row]
            i = int(np.searchsorted(run.iteration[1:], t))
            assert size[i] > max(size[i - 1], size[i + 1])
            drawn += 1
    assert drawn > 5 * layers * len(parts)


def test_bars_per_parameter(run):
    """Bars are totals over sizes; dots the mean and the largest share of helpers of a layer."""
    left, right = allocation_per_parameter(run, "train").axes
    total = run.allocation("train").values.sum(axis=0)
    sizes = run.layout.group_sizes("layer")
    np.testing.assert_allclose([bar.get_width() for bar in left.patches], total / sizes)
    share = 100 * run.helping("train", "layer").share
    mean, largest = (line.get_xdata() for line in right.get_lines()[:2])
    np.testing.assert_allclose(mean, share.mean(axis=0))
    np.testing.assert_allclose(largest, share.max(axis=0))


def test_totals_of_a_layer(run):
    """All parameters of the layer that did something are in a bar of their side."""
    figure = totals(run, "train", "fc2")
    total = run.total("train")
    values = np.concatenate([total["fc2.weight"].ravel(), total["fc2.bias"]])
    heights = [bar.get_height() for bar in figure.axes[0].patches]
    assert sum(heights[: BINS // 2]) == (values < 0).sum()
    assert sum(heights[BINS // 2 :]) == (values > 0).sum()
    middle = [bar.get_height() for bar in figure.axes[1].patches]
    assert sum(middle) == np.ceil(0.9 * values.size)
    title = figure.get_suptitle()
    assert f"{values.size} parameters of fc2" in title
    assert f"{100 * (values < 0).mean():.1f} % helped" in title
    assert f"(Gini {analyses.gini(values[values > 0]):.2f})" in title
    with pytest.raises(NotRecordedError, match="no layer 'fc9'"):
        totals(run, "train", "fc9")
