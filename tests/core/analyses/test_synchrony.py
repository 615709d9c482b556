"""Synchrony: peaks as the article defines them, and a test that is as honest as it says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from lca_core.analyses import NULLS, chance, coincidence, minima, peaks, synchrony
from lca_core.analyses.nulls import WINDOW
from lca_core.analyses.stretches import STRETCH, stretches
from lca_core.errors import AnalysisError, RuleError

SERIES = hnp.arrays(
    "float64",
    hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=12),
    elements=st.sampled_from([-2.0, -1.0, 0.0, 1.0, 2.0, np.nan]),
)


@given(SERIES)
def test_minima_are_strictly_lower_than_both_neighbours(series):
    """Ends, plateaus and NaN are none."""
    found = minima(series)
    assert found.shape == series.shape
    for index in np.ndindex(series.shape):
        *lead, t = index
        inside = 0 < t < series.shape[-1] - 1
        row = series[tuple(lead)]
        truth = inside and row[t] < row[t - 1] and row[t] < row[t + 1]
        assert found[index] == truth


@given(SERIES, st.integers(0, 5))
def test_peaks_are_the_lowest_minima(series, count):
    """As many as asked for, or as there are; none left out is lower than one that is kept."""
    kept, every = peaks(series, count), minima(series)
    assert not (kept & ~every).any()
    np.testing.assert_array_equal(kept.sum(-1), np.minimum(every.sum(-1), count))
    for lead in np.ndindex(series.shape[:-1]):
        inside = series[lead][kept[lead]].max(initial=-np.inf)
        outside = series[lead][every[lead] & ~kept[lead]].min(initial=np.inf)
        assert inside <= outside


def test_alignment_by_hand():
    """Two layers of two classes: the steps at which both layers peak are counted."""
    series = np.zeros((2, 2, 9))
    series[0, 0, [2, 5]] = -1
    series[0, 1, [2, 7]] = -1
    series[1, :, 4] = -1
    found = synchrony(series, draws=10)
    assert np.argwhere(found.aligned).tolist() == [[0, 2], [1, 4]]
    assert found.observed == 2


@pytest.mark.parametrize("null", NULLS)
@given(data=st.data())
def test_nulls_keep_what_they_promise(null, data):
    """Draws keep the number of peaks and leave neither their candidates nor their window."""
    shape = (data.draw(st.integers(1, 3)), data.draw(st.integers(3, 40)))
    series = np.random.default_rng(data.draw(st.integers(0, 99))).normal(size=shape)
    found, candidates = peaks(series, 4), minima(series)
    placed = NULLS[null](found, series, 7, np.random.default_rng(0))
    assert placed.shape == (7, *shape)
    count = placed.sum(-1)
    np.testing.assert_array_equal(count, np.broadcast_to(found.sum(-1), count.shape))
    if null == "minima":
        assert not (placed & ~candidates).any()
    assert not placed[..., [0, -1]].any()  # no minimum can be there
    if null == "rotation":
        begins = np.flatnonzero(np.diff(stretches(shape[1]), prepend=-1))
        within = [np.add.reduceat(which, begins, -1, int) for which in (placed, found)]
        np.testing.assert_array_equal(within[0], np.broadcast_to(within[1], within[0].shape))
    if null == "shift":  # no minimum can be next to another
        assert not (placed[..., 1:] & placed[..., :-1]).any()
        for row in range(len(found)):
            own, near = np.flatnonzero(found[row]), np.nonzero(placed[:, row])[1]
            assert np.abs(near.reshape(7, -1) - own).max(initial=0) <= WINDOW


@pytest.mark.parametrize("null", NULLS)
@given(data=st.data())
def test_nulls_place_nothing_where_nothing_is_known(null, data):
    """A step that was lost has no peak by chance, and its neighbours have none either."""
    series = np.random.default_rng(data.draw(st.integers(0, 99))).normal(size=(2, 40))
    lost = data.draw(hnp.arrays(bool, (2, 40), elements=st.booleans()))
    series[lost] = np.nan
    found = peaks(series, 4)
    placed = NULLS[null](found, series, 7, np.random.default_rng(0))
    np.testing.assert_array_equal(placed.sum(-1), np.tile(found.sum(-1), (7, 1)))
    near = lost.copy()
    near[:, 1:] |= lost[:, :-1]
    near[:, :-1] |= lost[:, 1:]
    assert not (placed & near).any()
    if null == "shift":
        assert not (placed[..., 1:] & placed[..., :-1]).any()


@pytest.mark.parametrize("null", NULLS)
def test_steps_that_are_lost_to_all_layers_are_no_synchrony(null):
    """Every fourth step is lost, one of four is left for minima: independent layers share many."""
    rng, repeats = np.random.default_rng(8), 200
    p = np.zeros(repeats)
    for i in range(repeats):
        series = rng.normal(size=(2, 300))
        series[:, 3::4] = np.nan
        p[i] = synchrony(series, null=null, draws=199, seed=i).p_value
    for alpha in (0.05, 0.1):
        assert np.mean(p <= alpha) <= alpha + 3 * np.sqrt(alpha * (1 - alpha) / repeats)


@pytest.mark.parametrize("null", ["rotation", "shift"])
def test_moves_leave_no_step_emptier_or_fuller(null):
    """A peak on every step where a minimum can be, one a series: as many come as go, everywhere."""
    found = np.eye(30, dtype=bool)[1:-1]
    placed = NULLS[null](found, found, 4000, np.random.default_rng(0)).sum((0, 1))
    assert placed[[0, -1]].tolist() == [0, 0]
    assert np.abs(placed[1:-1] - 4000).max() < 5 * np.sqrt(4000)


@pytest.mark.parametrize("peaked", [[1], range(1, 6, 2), range(1, 60, 2)])
def test_shifts_without_room_leave_peaks_where_they_are(peaked):
    """As many minima as there can be, in one series, while another's single peak moves."""
    found = np.zeros((2, peaked[-1] + 2), bool)
    found[0, peaked] = found[1, 1] = True
    placed = NULLS["shift"](found, found, 50, np.random.default_rng(0))
    assert (placed[:, 0] == found[0]).all()
    assert (placed[:, 1].sum(-1) == 1).all()


def test_uniform_expectation_is_the_closed_form():
    """20 peaks in each of 3 layers over 880 steps align 0.0103 times a class by chance.

    The article's formula takes all steps; no minimum can be at the first or the last one.
    """
    series = np.random.default_rng(1).normal(size=(10, 3, 880))
    found = synchrony(series, null="uniform", draws=10_000)
    assert 10 * chance(3, 880) == pytest.approx(10 * 20**3 / 880**2)
    assert chance(3, steps=10) == 10.0  # more peaks than steps: each of them is one
    exact = 10 * 20**3 / 878**2
    assert found.expected == pytest.approx(exact, abs=4 * np.sqrt(exact / 10_000))


@pytest.mark.parametrize("null", NULLS)
def test_p_values_of_independent_layers_are_not_too_small(null):
    """Over 400 independent sets, at most a share alpha has p <= alpha, up to sampling error."""
    rng = np.random.default_rng(2)
    p = np.array([
        synchrony(rng.normal(size=(2, 150)), count=25, null=null, draws=400, seed=i).p_value
        for i in range(400)
    ])  # fmt: skip
    for alpha in (0.05, 0.1, 0.25, 0.5):
        assert (p <= alpha).mean() <= alpha + 3 * np.sqrt(alpha * (1 - alpha) / 400)


@pytest.mark.parametrize("null", ["minima", "uniform"])
def test_p_values_of_draws_from_the_null_are_uniform(null):
    """With the count's ties broken at random, p is uniform (Kolmogorov-Smirnov, 1 per cent)."""
    rng = np.random.default_rng(3)
    series = rng.normal(size=(2, 200))
    found = peaks(series, 30)
    reference = NULLS[null](found, series, 4000, rng).all(1).sum(1)
    observed = NULLS[null](found, series, 1000, rng).all(1).sum(1)
    above = (reference[None] > observed[:, None]).mean(1)
    ties = (reference[None] == observed[:, None]).mean(1)
    p = np.sort(above + rng.random(1000) * ties)
    distance = np.abs(p - np.linspace(0, 1, 1000)).max()
    assert distance < 1.63 / np.sqrt(1000) + 1 / 1000


def test_a_rotation_moves_the_classes_of_a_layer_as_one():
    """Peaks of two classes at one step stay at one step, of two layers they do not; in circles."""
    found = np.zeros((2, 2, 60), bool)
    found[..., [3, 5, 25, 40]] = True
    placed = NULLS["rotation"](found, np.zeros(found.shape), 500, np.random.default_rng(0))
    np.testing.assert_array_equal(placed[:, 0], placed[:, 1])
    assert (placed[:, 0, 0] & placed[:, 0, 1]).sum() < 0.2 * 4 * 500
    first = np.nonzero(placed[:, 0, 0, 1:20])[1].reshape(500, 2)  # the places of a stretch
    assert set((first[:, 1] - first[:, 0]).tolist()) == {2, 17}


def test_stretches_are_even_and_in_order():
    """None is half as long again as `STRETCH`, none shorter than two thirds, but of a short run."""
    for steps in range(200):
        sizes = np.bincount(stretches(steps))
        assert (np.diff(stretches(steps)) >= 0).all()
        assert np.ptp(sizes) <= 1 if steps else not sizes.size
        assert steps < 30 or 2 / 3 * STRETCH <= sizes.min() <= sizes.max() <= 1.5 * STRETCH


def randomised(found, rng):
    """Return p with its ties broken at random: uniform if the null is right, whatever the count."""
    above, as_many = (found.null > found.observed).sum(), (found.null == found.observed).sum()
    return (above + rng.random() * (1 + as_many)) / (1 + len(found.null))


@pytest.mark.parametrize(
    ("layers", "falls_in"),
    [
        (2, np.inf),
        *(pytest.param(*case, marks=pytest.mark.slow) for case in [(3, np.inf), (2, 40.0)]),
    ],
)
def test_classes_that_peak_together_are_no_synchrony_of_layers(layers, falls_in):
    """Layers are independent, the classes of each nearly the same, and p is uniform over 400 runs.

    Also where all peaks bunch early. Kolmogorov-Smirnov at 1 per cent; with every class moved by
    itself, as "shift" does, p is not uniform and below 0.01 far too often.
    """
    rng, steps, repeats = np.random.default_rng(6), 150, 400
    p = {"rotation": np.zeros(repeats), "shift": np.zeros(repeats)}
    for i in range(repeats):
        shared = rng.normal(size=(1, layers, steps))
        series = shared + 0.3 * rng.normal(size=(6, layers, steps))
        series *= np.exp(-np.arange(steps) / falls_in)
        for null, values in p.items():
            values[i] = randomised(synchrony(series, null=null, draws=200, seed=i), rng)
    assert stats.kstest(p["rotation"], "uniform").pvalue > 0.01
    assert np.mean(p["rotation"] <= 0.01) <= stats.binom.ppf(0.999, repeats, 0.01) / repeats
    assert stats.kstest(p["shift"], "uniform").pvalue < 1e-6
    assert np.mean(p["shift"] <= 0.01) > 0.04


def test_of_independent_classes_rotation_says_what_shift_says():
    """Over 40 runs the counts have the same mean and spread, to 5 per cent, and p is alike."""
    rng, mean, spread, p = np.random.default_rng(7), [], [], []
    for i in range(40):
        series = rng.normal(size=(8, 2, 200))
        both = [synchrony(series, null=one, draws=1000, seed=i) for one in ("rotation", "shift")]
        mean.append([one.expected for one in both])
        spread.append([one.null.std() for one in both])
        p.append([one.p_value for one in both])
    for rotation, shift in (np.mean(mean, axis=0), np.mean(spread, axis=0)):
        assert rotation == pytest.approx(shift, rel=0.05)
    rotation, shift = np.transpose(p)
    assert np.abs(rotation - shift).mean() < 0.05
    assert np.corrcoef(rotation, shift)[0, 1] > 0.97


@pytest.mark.parametrize(
    ("falls_in", "classes", "layers"),
    [pytest.param(10.0, 10, 3, marks=pytest.mark.slow), (10.0, 1, 2), (40.0, 1, 2)],
)
def test_bunching_alone_is_no_synchrony_to_the_shift(falls_in, classes, layers):
    """Peaks that only bunch early in all layers fool the uniform null, not rotation or shift."""
    rng, steps, repeats = np.random.default_rng(4), 400, 300
    fall = np.exp(-np.arange(steps) / falls_in)
    p = {"rotation": np.zeros(repeats), "shift": np.zeros(repeats), "uniform": np.zeros(60)}
    for i in range(repeats):
        series = fall * rng.normal(size=(classes, layers, steps))
        for null, values in p.items():
            if i < len(values):
                values[i] = synchrony(series, null=null, draws=99, seed=i).p_value
    assert np.mean(p["uniform"] <= 0.01) > 0.3
    for alpha in (0.05, 0.1):
        most = alpha + 3 * np.sqrt(alpha * (1 - alpha) / repeats)
        assert np.mean(p["rotation"] <= alpha) <= most
        assert np.mean(p["shift"] <= alpha) <= most


@pytest.mark.parametrize("null", NULLS)
@pytest.mark.parametrize("classes", [1, 5])
def test_planted_synchrony_is_found(null, classes):
    """Ten moments shared by three layers are significant under every null.

    Also those of classes that share nearly all of a layer's series.
    """
    rng = np.random.default_rng(5)
    series = rng.normal(size=(1, 3, 600)) + 0.3 * rng.normal(size=(classes, 3, 600))
    series[..., 30:600:60] -= 8.0
    found = synchrony(series, null=null, draws=2000)
    assert found.observed >= 10
    assert found.p_value < 1e-3


def test_coincidence_by_hand():
    """Two of four peaks coincide; by chance it were the second's share of the eight places."""
    first, second = np.zeros((2, 10), bool), np.zeros((2, 10), bool)
    first[0, [1, 3, 5, 7]] = second[0, [1, 5, 8]] = True
    share, expected = coincidence(first, second)
    np.testing.assert_array_equal(share, [0.5, np.nan])
    np.testing.assert_allclose(expected, [3 / 8, np.nan])


def test_coincidence_by_chance_is_the_mean_over_rotations():
    """Peaks that bunch early coincide by chance as often as draws of rotated ones do, not less."""
    fall = np.exp(-np.arange(300) / 30)
    first, second = peaks(fall * np.random.default_rng(0).normal(size=(2, 5, 300)))
    share, expected = coincidence(first, second)
    drawn = NULLS["rotation"](second, np.zeros(second.shape), 4000, np.random.default_rng(1))
    met = (drawn & first).sum(-1) / 20
    np.testing.assert_array_equal(share, (first & second).sum(-1) / 20)
    assert (np.abs(met.mean(0) - expected) < 5 * met.std(0) / np.sqrt(4000)).all()
    assert (expected > 2 * second.mean(-1)).all()


@pytest.mark.parametrize(
    ("shape", "null", "says"),
    [((5,), "shift", "layers"), ((1, 9), "shift", "two layers"), ((2, 2), "shift", "three steps"),
     ((2, 9), "bootstrap", "'bootstrap'")],
)  # fmt: skip
def test_what_cannot_be_tested_is_refused(shape, null, says):
    """Too few layers or steps, and unknown nulls, are errors that say so."""
    with pytest.raises(AnalysisError, match=says):
        synchrony(np.zeros(shape), null=null)


@pytest.mark.parametrize("settings", [{"count": 0}, {"draws": 0}, {"count": 2.5}])
def test_peaks_and_draws_are_counted_from_one(settings):
    """No peaks, and no draws, test nothing."""
    with pytest.raises(RuleError, match="must be a whole number from 1 up"):
        synchrony(np.zeros((2, 9)), **settings)


def test_all_classes_share_one_motion():
    """Peaks of two classes against those of one motion: class by class."""
    first = np.random.default_rng(0).random((2, 3, 40)) < 0.2
    motion = np.random.default_rng(1).random((3, 40)) < 0.3
    share, expected = coincidence(first, motion)
    for c in range(2):
        alone = coincidence(first[c], motion)
        np.testing.assert_array_equal(share[c], alone[0])
        np.testing.assert_array_equal(expected[c], alone[1])


def test_coincidence_wants_the_same_series():
    """Masks of different shapes are refused."""
    with pytest.raises(AnalysisError, match="equal shapes"):
        coincidence(np.zeros((2, 3), bool), np.zeros((3, 3), bool))
