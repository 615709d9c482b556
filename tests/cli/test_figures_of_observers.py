"""Pictures of what observers keep show the numbers of the run, and every run can be drawn."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from lca_core import (
    Adaptive,
    Distribution,
    Oscillation,
    Partition,
    Sizes,
    Tallies,
    Watch,
    analyses,
    default_observers,
)
from lca_core.errors import NotRecordedError
from lca_core.figures import AUTHORS, FIGURES, save
from lca_core.figures.histogram import BINS
from lca_core.partition import expanded, shares
from lca_core.reference import Perceptron, demo_run, track

HELP, HURT, GREY = AUTHORS.help, AUTHORS.hurt, AUTHORS.grey
SIZES = (4, 6, 5, 3)
PLACES = [("fc1.weight", (0, 1)), ("fc2.bias", (3,)), ("fc3.weight", (2, 2))]


def observed(steps, *, moving=True, broken=()):
    """Return a noisy descent by class, with validation and all observers."""
    rng = np.random.default_rng(0)
    y = rng.integers(3, size=90)
    x = rng.standard_normal((3, 4))[y] + 0.7 * rng.standard_normal((90, 4))

    def pick(data, places, _):
        return Perceptron(data.inputs[places], data.labels[places], SIZES, "tanh")

    train = Perceptron(x[:60], y[:60], SIZES, "tanh")
    data = {"train": Partition(train, y[:60]), "val": Perceptron(x[60:], y[60:], SIZES, "tanh")}
    oracles, parts = expanded(data, pick)
    params, layout = train.initial(0), train.layout
    observers = [*default_observers(layout), Tallies(), Oscillation(), Sizes(), Distribution()]
    with track(
        oracles,
        params,
        layout,
        observers=[*observers, Watch(PLACES)],
        wholes=shares(parts, lambda part: len(oracles[part].labels)),
        integrator=Adaptive(),
    ) as tracker:
        for t in range(steps):
            gradient = train(params, {}).gradient
            noise = {k: 0.2 * rng.standard_normal(v.shape) for k, v in params.items()}
            step = {k: -0.5 * gradient[k] + noise[k] for k in params}
            params = {k: v + moving * step[k] for k, v in params.items()}
            lost = {k: np.full_like(v, np.nan) for k, v in params.items()}
            tracker.step(lost if t in broken else params)
    return tracker.run


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


@pytest.mark.parametrize("name", ["distribution", "heroes", "trajectories", "generalisation"])
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


def test_curves_of_the_two_measures_end_at_their_totals(run):
    """Solid what was learned, dashed what it did to held-out data, layer by layer."""
    (axes,) = FIGURES["generalisation"](run, "train").axes
    for measure, style in (("train", "-"), ("val", "--")):
        lines = [line for line in axes.get_lines()[:-1] if line.get_linestyle() == style]
        ends = sorted(line.get_ydata()[-1] for line in lines)
        totals = run.allocation(measure).values.sum(axis=0)
        np.testing.assert_allclose(ends, sorted(totals), rtol=1e-12)
