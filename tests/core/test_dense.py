"""Everything at every step, in memory and from a file; slices along any axis; xarray."""

import sys

import numpy as np
import pytest
import xarray

from lca_core import (
    TRAPEZOID,
    AxisSums,
    Counts,
    Dense,
    Fixed,
    UnitSums,
    Watch,
    default_observers,
    load,
)
from lca_core.errors import LeafError, MissingExtraError, NotRecordedError
from lca_core.observers import EXTRA_OBSERVERS
from lca_core.reference import demo_run, track

EVERYTHING = Dense(of=["allocation", "weight", "gradient"])


@pytest.fixture(scope="module")
def walk(perceptron, descent):
    """Return a path, and a function that tracks it with some observers."""
    path = descent(perceptron, 10)

    def run(*observers, points=path, **options):
        settings = {"integrator": Fixed(TRAPEZOID), "observers": observers}
        oracles = {"train": perceptron, "again": perceptron}
        with track(oracles, points[0], perceptron.layout, **settings, **options) as tracker:
            for point in points[1:]:
                tracker.step(point)
        return tracker.run

    return path, run


@pytest.mark.parametrize("stored", [False, True], ids=["memory", "file"])
def test_everything_is_there(perceptron, walk, stored, tmp_path):
    """Weights and gradients of the iterates, allocations by the rule, to float32."""
    path, run = walk
    where = {"path": tmp_path / "run.zarr", "chunk": 4} if stored else {}
    found = run(EVERYTHING, **where)
    gradients = [perceptron(params, {}).gradient for params in path]
    for measure in ("train", "again"):
        for name in path[0]:
            weight = np.array([p[name] for p in path])
            gradient = np.array([g[name] for g in gradients])
            allocation = (gradient[1:] + gradient[:-1]) / 2 * np.diff(weight, axis=0)
            truth = {"weight": weight[1:], "gradient": gradient[1:], "allocation": allocation}
            for of, values in truth.items():
                series = found.dense(measure, name, of)
                assert series.shape == values.shape
                np.testing.assert_allclose(np.asarray(series), values, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("stored", [False, True], ids=["memory", "file"])
def test_a_series_is_indexed_as_an_array(walk, stored, tmp_path):
    """Single steps from both ends, slices with steps, iteration; nothing beyond the run."""
    _, run = walk
    where = {"path": tmp_path / "run.zarr", "chunk": 4} if stored else {}
    series = run(Dense(), **where).dense("train", "fc1.weight")
    whole = np.asarray(series)
    assert len(series) == len(whole) == 10
    for at in (0, 9, -1, slice(2, 5), slice(None, None, 3), slice(-3, None), slice(7, 99)):
        np.testing.assert_array_equal(series[at], whole[at])
    for empty_or_back in (slice(4, 4), slice(None, None, -1)):
        np.testing.assert_array_equal(series[empty_or_back], whole[empty_or_back])
    np.testing.assert_array_equal(list(series), whole)
    with pytest.raises(IndexError):
        series[10]


def test_a_file_is_read_only_where_asked(walk, tmp_path):
    """Opening a run reads nothing dense; xarray names the leaf; a copy holds the same."""
    _, run = walk
    whole = run(Dense(["fc2.weight"]), path=tmp_path / "run.zarr", chunk=4)
    again = load(tmp_path / "run.zarr")
    assert not isinstance(again.rows["dense_allocation_2"], np.ndarray)
    with xarray.open_zarr(tmp_path / "run.zarr") as data:
        assert data["dense_allocation_2"].attrs["leaf"] == "fc2.weight"
        assert data["dense_allocation_2"].dims[2:] == ("leaf2_axis0", "leaf2_axis1")
    again.save(tmp_path / "copy.zarr")
    copy = load(tmp_path / "copy.zarr").dense("again", "fc2.weight")
    np.testing.assert_array_equal(copy, np.asarray(whole.dense("again", "fc2.weight")))


def test_a_resumed_run_is_dense_throughout(walk, tmp_path):
    """Stopped in the middle of a chunk and resumed: the run in one piece."""
    path, run = walk
    run(EVERYTHING, points=path[:6], path=tmp_path / "run.zarr", chunk=3)
    again = run(EVERYTHING, points=path[5:], path=tmp_path / "run.zarr", chunk=3, resume=True)
    whole = run(EVERYTHING)
    for name in whole.layout.names:
        np.testing.assert_array_equal(again.dense("train", name), whole.dense("train", name))


def test_what_is_not_kept(walk):
    """Unknown leaves and series are refused at once, missing ones when they are asked for."""
    _, run = walk
    with pytest.raises(LeafError, match=r"got of=\['loss'\]"):
        Dense(of=["loss"])
    with pytest.raises(LeafError, match=r"no leaves \['fc9'\]"):
        run(Dense(["fc9"]))
    found = run(Dense(["fc1.bias"]))
    with pytest.raises(NotRecordedError, match=r"it holds \['allocation of fc1.bias'\]. Add Dense"):
        found.dense("train", "fc1.bias", "weight")


def test_slices_along_any_axis(perceptron, walk):
    """Sums over all other axes, of leaves of any number of axes."""
    _, run = walk
    found = run(AxisSums({"fc1.weight": 1, "fc2.bias": 0}), Dense())
    labels, values = found.along("train")
    columns = np.asarray(found.dense("train", "fc1.weight")).sum(axis=1)
    np.testing.assert_allclose(values[:, :4], columns, rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(values[:, 4:], found.dense("train", "fc2.bias"), rtol=1e-5)
    assert labels[:4] == tuple(f"fc1.weight[:, {i}]" for i in range(4))
    assert labels[4:] == tuple(f"fc2.bias[{i}]" for i in range(3))


@pytest.mark.parametrize(
    ("axes", "says"),
    [
        ({"fc9": 0}, "no leaf 'fc9'"),
        ({"fc1.bias": 1}, r"'fc1.bias' of shape \(6,\) has no axis 1"),
        ({"fc1.bias": -1}, "no axis -1"),
    ],
)
def test_axes_that_are_not_there(walk, axes, says):
    """Unknown leaves and axes are refused before the first step."""
    _, run = walk
    with pytest.raises(LeafError, match=says):
        run(AxisSums(axes))


def test_xarray_holds_what_the_run_holds(walk, tmp_path):
    """From memory and from a file: the same data, named as in the file."""
    _, run = walk
    observers = [*default_observers(run().layout), Watch([("fc1.bias", (2,))]), Dense()]
    memory = run(*observers)
    run(*observers, path=tmp_path / "run.zarr", chunk=4)
    found = memory.to_xarray()
    xarray.testing.assert_identical(load(tmp_path / "run.zarr").to_xarray(), found)
    chosen = found.sel(measure="again")
    np.testing.assert_array_equal(chosen["loss"], memory.loss("again"))
    np.testing.assert_array_equal(chosen["gap"], memory.gap("again"))
    one = chosen["allocation"].sel(leaf="fc2.weight")
    np.testing.assert_array_equal(one, memory.allocation("again", by="leaf").values[:, 2])
    by_layer = chosen["allocation"].groupby("layer").sum().sel(layer="fc1")
    np.testing.assert_allclose(by_layer, memory.allocation("again").values[:, 0])
    assert found["watched_weight"].sel(watched="fc1.bias[2]").shape == (10, 2)
    assert list(found["unit"].values[:2]) == ["fc1.weight[0]", "fc1.weight[1]"]
    np.testing.assert_array_equal(
        found["dense_allocation_0"].sel(measure="train"), memory.dense("train", "fc1.weight")
    )


def test_arrays_say_what_they_mean(walk, tmp_path):
    """Meanings and flags of all observers' arrays, by the CF conventions, in file and data set."""
    _, run = walk
    extra = (one() for one in EXTRA_OBSERVERS.values())
    watched, slices = Watch([("fc1.bias", (2,))]), AxisSums({"fc2.weight": 0})
    run(EVERYTHING, Counts(), UnitSums(), watched, slices, *extra, path=tmp_path / "run.zarr")
    found = load(tmp_path / "run.zarr").to_xarray()
    with xarray.open_zarr(tmp_path / "run.zarr") as stored:
        for name in stored.variables:
            assert stored[name].attrs == found[name].attrs
        assert all(stored[name].attrs["long_name"] for name in stored.data_vars)
        status = stored["status"].attrs
    flags = dict(zip(status["flag_meanings"].split(), status["flag_values"], strict=True))
    assert flags == {"ok": 0, "cap": 1, "stalled": 2, "nonfinite": 3, "estimated": 4}
    assert found["allocation"].attrs["units"] == "loss units"
    assert found.attrs == {"parts": "{}", "probes": "{}"}


def test_without_xarray(monkeypatch):
    """A missing xarray is one sentence with the command that installs it."""
    monkeypatch.setitem(sys.modules, "xarray", None)
    with pytest.raises(MissingExtraError, match=r"loss-change-allocation\[xarray\]"):
        demo_run().to_xarray()
