"""The histogram of all allocations, against a dense recomputation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lca_core import TRAPEZOID, Distribution, Fixed, Layout, Leaf, StepView, Totals, load
from lca_core.errors import NotRecordedError
from lca_core.observers.distribution import ascending, edges
from lca_core.reference import NumpyOps, demo_run, track

OPS = NumpyOps()


def dense(problem, path):
    """Return leaf -> the allocations of every step, shape (steps, ...), by the trapezoid rule."""
    gradients = [problem(params, {}).gradient for params in path]
    return {
        name: np.array([
            0.5 * (g[name] + h[name]) * (b[name] - a[name])
            for a, b, g, h in zip(path, path[1:], gradients, gradients[1:], strict=False)
        ])
        for name in path[0]
    }  # fmt: skip


@pytest.fixture(scope="module")
def walk(perceptron, descent):
    """Return a path on which some parameters stand still, and a function that tracks it."""
    rng = np.random.default_rng(5)
    path = [
        {k: v + 0.2 * rng.normal(size=v.shape) * (rng.random(v.shape) < 0.6) for k, v in p.items()}
        for p in descent(perceptron, 9)
    ]
    path[4] = path[3]

    def run(points=path, **options):
        oracles = {"train": perceptron}
        settings = {"integrator": Fixed(TRAPEZOID), "observers": [Distribution(), Totals()]}
        with track(oracles, points[0], perceptron.layout, **settings, **options) as tracker:
            for point in points[1:]:
                tracker.step(point)
        return tracker.run

    return path, run


def test_counts_are_numpys(perceptron, walk):
    """Leaf by leaf the counts are those of `np.histogram` over a dense record."""
    path, run = walk
    found = run().distribution("train", by="leaf")
    for row, (name, values) in zip(found.counts, dense(perceptron, path).items(), strict=True):
        rounded = values.astype(np.float32).astype(float)
        # numpy's bins are closed below; those of negative numbers are closed above.
        truth = np.histogram(np.abs(rounded[rounded > 0]), found.edges)[0]
        truth += np.histogram(np.abs(rounded[rounded < 0]), found.edges)[0][::-1]
        truth[len(truth) // 2] = (rounded == 0).sum()
        np.testing.assert_array_equal(row, truth, err_msg=name)
        assert row.sum() == values.size


def test_groups_add_up(walk):
    """By leaf, by layer and by a function of a leaf the same values are counted."""
    _, run = walk
    found = run()
    by_leaf = found.distribution("train", by="leaf")
    by_layer = found.distribution("train")
    by_kind = found.distribution("train", by=lambda leaf: leaf.name.rpartition(".")[2])
    assert by_layer.labels == ("fc1", "fc2")
    assert by_kind.labels == ("weight", "bias")
    for grouped in (by_layer, by_kind):
        np.testing.assert_array_equal(grouped.counts.sum(0), by_leaf.counts.sum(0))


def test_a_resumed_run_counts_on(walk, tmp_path):
    """Stopped and resumed, in a file, the counts are those of the run in one piece."""
    path, run = walk
    run(path[:6], path=tmp_path / "run.zarr", chunk=2)
    run(path[5:], path=tmp_path / "run.zarr", chunk=2, resume=True)
    np.testing.assert_array_equal(
        load(tmp_path / "run.zarr").distribution("train").counts,
        run().distribution("train").counts,
    )


@given(hnp.arrays("float32", st.integers(0, 50), elements=st.floats(width=32, allow_nan=False)))
def test_every_float_has_its_bin(values):
    """Between its two edges, up to the largest float32; zeros and their like in the middle."""
    finite = values[np.isfinite(values)]
    found, ends = ascending(OPS.histogram(finite)), edges()
    assert found.shape == (len(ends) - 1,)
    assert found.sum() == len(finite)
    for value in finite:
        (bin_,) = np.flatnonzero(ascending(OPS.histogram(np.array([value]))))
        low, high = ends[bin_], ends[bin_ + 1]
        if abs(value) < 2.0**-128:
            assert bin_ == len(found) // 2
        elif value > 0:
            assert low <= value < high
        else:
            assert low < value <= high


def test_what_is_beyond_float32_counts_at_the_ends():
    """Of a run in float64 that diverged, no allocation is missing."""
    counts = ascending(OPS.histogram(np.array([1e300, 1e39, 3e38, 0.0, -1e300])))
    assert (counts[-1], counts[0], counts[len(counts) // 2]) == (3, 1, 1)
    assert counts.sum() == 5


def test_bins_are_narrow():
    """Ends are 14 to 25 % apart, four to an octave, but for the zero bin and what is denormal."""
    positive = edges()[len(edges()) // 2 :]
    normal = positive[positive >= 2.0**-126]
    ratios = normal[1:] / normal[:-1]
    assert ratios.min() >= 8 / 7 - 1e-12
    assert ratios.max() <= 1.25 + 1e-12
    np.testing.assert_allclose(normal[4:], 2 * normal[:-4])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_long_runs_lose_no_count(dtype):
    """Counts stay exact beyond the 2**24 that a float32 can count to."""
    layout = Layout([Leaf("x", (4096,), dtype)])
    values = {"x": np.full(4096, -1e-6, dtype)}
    observer, view = Distribution(), StepView(*[values] * 5)
    state = observer.init(OPS, values)
    for _ in range(5000):
        _, state = observer.update(OPS, layout, view, state)
    whole = state["histogram"]["x"].astype(float) + state["histogram_rounding"]["x"]
    assert whole.max() == whole.sum() == 5000 * 4096 > 2**24


def test_what_was_not_asked_for():
    """Runs without the observer, and units, are errors that say what to do."""
    with pytest.raises(NotRecordedError, match=r"Add Distribution\(\)"):
        demo_run().distribution("train")
    with pytest.raises(NotRecordedError, match="units are not counted apart"):
        demo_run(observers=[Distribution()]).distribution("train", by="unit")
