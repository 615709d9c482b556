"""Watched parameters are what the iterates and gradients say, in memory and in the file."""

from itertools import pairwise

import numpy as np
import pytest
import xarray

from lca_core import TRAPEZOID, Fixed, Layout, Leaf, Totals, Watch, WatchSample, load
from lca_core.errors import LeafError, NotRecordedError, ResumeError
from lca_core.reference import demo_run, track

PLACES = [("fc1.weight", (2, 1)), ("fc2.bias", (0,)), ("fc1.weight", (5, 3))]


@pytest.fixture
def watched(perceptron, descent):
    """Return a function that tracks six steps with these observers, and the iterates."""
    path = descent(perceptron, 6)

    def run(*observers, **options):
        with track(
            {"train": perceptron},
            path[0],
            perceptron.layout,
            observers=observers,
            integrator=Fixed(TRAPEZOID),
            chunk=4,
            **options,
        ) as tracker:
            for params in path[1:]:
                tracker.step(params)
        return tracker.run

    return run, path


def test_what_is_watched_is_what_happened(perceptron, watched, tmp_path):
    """Weights are those of the iterates, gradients those there, allocations their products."""
    run, path = watched
    gradients = [perceptron(params, {}).gradient for params in path]
    memory = run(Watch(PLACES))
    run(Watch(PLACES), path=tmp_path / "run.zarr")
    for found in (memory.watched("train"), load(tmp_path / "run.zarr").watched("train")):
        # Leaf after leaf, whatever the order in which they were named.
        assert found.labels == ("fc1.weight[2, 1]", "fc1.weight[5, 3]", "fc2.bias[0]")
        for i, (leaf, at) in enumerate([PLACES[0], PLACES[2], PLACES[1]]):
            weight = np.array([params[leaf][at] for params in path])
            gradient = np.array([one[leaf][at] for one in gradients])
            mean = np.array([(one + two) / 2 for one, two in pairwise(gradient)])
            np.testing.assert_array_equal(found.weight[:, i], weight[1:])
            np.testing.assert_array_equal(found.gradient[:, i], gradient[1:])
            np.testing.assert_allclose(found.allocation[:, i], mean * np.diff(weight), rtol=1e-12)


def test_the_file_names_what_is_watched(watched, tmp_path):
    """Xarray finds the watched parameters by name."""
    run, _ = watched
    memory = run(Watch(PLACES), path=tmp_path / "run.zarr")
    data = xarray.open_zarr(tmp_path / "run.zarr")
    one = data["watched_weight"].sel(measure="train", watched="fc2.bias[0]")
    np.testing.assert_array_equal(one, memory.watched("train").weight[:, 2])


def test_a_run_goes_on_watching_the_same(perceptron, watched, tmp_path):
    """Resuming with other parameters to watch is refused, and the run is as it was."""
    run, path = watched
    run(Watch(PLACES), path=tmp_path / "run.zarr")
    with pytest.raises(ResumeError, match=r"made with watched = .*fc2\.bias\[0\]"):
        track(
            {"train": perceptron},
            path[-1],
            perceptron.layout,
            observers=[Watch(PLACES[:2])],
            integrator=Fixed(TRAPEZOID),
            path=tmp_path / "run.zarr",
            resume=True,
        )
    assert load(tmp_path / "run.zarr").watched("train").weight.shape == (6, 3)


def test_extremes_are_the_best_and_the_worst(watched):
    """Of every layer, the parameters with the lowest and the highest total."""
    run, _ = watched
    first = run(Totals())
    places = Watch.extremes(first, "train").parameters
    total = first.total("train")
    assert len(places) == 4
    for layer, (best, worst) in zip(("fc1", "fc2"), (places[:2], places[2:]), strict=True):
        every = np.concatenate([total[f"{layer}.{kind}"].ravel() for kind in ("weight", "bias")])
        assert total[best[0]][best[1]] == every.min()
        assert total[worst[0]][worst[1]] == every.max()


def test_samples_are_drawn_from_every_layer():
    """As many of each layer as asked for or as there are, none twice; a seed is a draw."""
    layout = Layout([
        Leaf("a.weight", (3, 4), layer="a"), Leaf("a.bias", (3,), layer="a"),
        Leaf("scale", (), layer="b"),
    ])  # fmt: skip
    places = Watch.sample(layout, 5).parameters
    assert len(set(places)) == len(places) == 6
    assert places[-1] == ("scale", ())
    assert Watch.sample(layout, 5) == Watch.sample(layout, 5)
    assert Watch.sample(layout, 5) != Watch.sample(layout, 5, seed=1)
    assert Watch(places).declare(layout)[0].labels[-1] == "scale"


def test_a_sample_of_all_is_all():
    """Every parameter can be drawn, once, in the order of the leaves; empty leaves have none."""
    shapes = {"a": (3, 4), "none": (0, 5), "b": (), "c": (2, 1, 2), "nothing": (0,)}
    layout = Layout(Leaf(name, shape, layer="all") for name, shape in shapes.items())
    every = [(name, index) for name, shape in shapes.items() for index in np.ndindex(shape)]
    assert Watch.sample(layout, 99).parameters == tuple(every)


def test_a_layout_that_is_not_known_yet(watched):
    """`WatchSample` watches what `Watch.sample` draws from the run's layout."""
    run, _ = watched
    drawn = run(WatchSample(3, seed=4))
    same = run(Watch.sample(drawn.layout, 3, seed=4))
    assert drawn.watched("train").labels == same.watched("train").labels
    np.testing.assert_array_equal(
        drawn.watched("train").allocation, same.watched("train").allocation
    )


@pytest.mark.parametrize(
    ("place", "says"),
    [(("fc9.weight", (0, 0)), "no leaf 'fc9.weight'"),
     (("fc1.weight", (0,)), r"'fc1.weight' has shape \(6, 4\).*\[0\].*Give 2 indices"),
     (("fc1.weight", (6, 0)), r"no parameter \[6, 0\]"),
     (("fc1.weight", (-1, 0)), "from 0")],
)  # fmt: skip
def test_what_is_not_there_cannot_be_watched(watched, place, says):
    """Unknown leaves and places are refused before the first step, with what there is."""
    run, _ = watched
    with pytest.raises(LeafError, match=says):
        run(Watch([place]))


def test_runs_without_a_watch_say_so():
    """Asking a run that watched nothing names the observer."""
    with pytest.raises(NotRecordedError, match=r"Add Watch\(parameters\)"):
        demo_run().watched("train")
