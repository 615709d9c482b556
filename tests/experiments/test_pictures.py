"""Pictures of shares and of means over steps show their numbers, in every theme."""

import numpy as np
import pytest
from scipy import stats

from lca_core.figures import Line, Theme, means_over_steps, save, shares_of_arms

RNG = np.random.default_rng(0)
THEMES = [Theme.of(), Theme.of("colour-blind", dark=True, width=3.4)]


def half(values):
    """Return scipy's half-width of the mean's 95 % interval."""
    return stats.sem(values) * stats.t.ppf(0.975, len(values) - 1)


@pytest.mark.parametrize("theme", THEMES)
def test_shares_are_dots_with_whiskers(theme, tmp_path):
    """A ring a run, the mean and scipy's interval in %, the expected range shaded."""
    shares = {"base": RNG.normal(0.6, 0.01, 5), "$lr$": RNG.normal(0.5, 0.02, 4)}
    figure = shares_of_arms(shares, expected=(0.5, 0.6), what="w", heading="h", theme=theme)
    save(figure, tmp_path / "a.png")
    (axes,) = figure.axes
    _, *rings, means = [line.get_xdata() for line in axes.get_lines()][:4]
    for ring, values in zip(rings, shares.values(), strict=True):
        np.testing.assert_allclose(ring, 100 * values)
    np.testing.assert_allclose(means, [100 * values.mean() for values in shares.values()])
    whiskers = axes.containers[0].lines[2][0].get_segments()
    for (begin, end), values in zip(whiskers, shares.values(), strict=True):
        assert (end[0] - begin[0]) / 2 == pytest.approx(100 * half(values))
    assert [label.get_text() for label in axes.get_yticklabels()] == ["base", "$lr$"]


@pytest.mark.parametrize("theme", THEMES)
def test_means_over_steps_have_a_band(theme, tmp_path):
    """Lines are means, the band is the first one's interval, a gap where a run has no value."""
    steps, first = np.arange(30), RNG.normal(size=(4, 30))
    first[1, 7] = np.nan
    lines = [Line("base", steps, first), Line("other", steps[:9], RNG.normal(size=(2, 9)))]
    figure = means_over_steps(lines, what="w", heading="h", level=0.5, theme=theme)
    save(figure, tmp_path / "a.png")
    axes = figure.axes[0]
    level, one, two = (line.get_ydata() for line in axes.get_lines())
    assert list(level) == [0.5, 0.5]
    assert np.flatnonzero(np.isnan(one)).tolist() == [7]
    np.testing.assert_allclose(np.delete(one, 7), np.delete(first, 7, axis=1).mean(axis=0))
    np.testing.assert_allclose(two, lines[1].values.mean(axis=0))
    corners = axes.collections[0].get_paths()[0].vertices
    at = corners[corners[:, 0] == 3][:, 1]
    assert np.ptp(at) / 2 == pytest.approx(half(first[:, 3]))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["base", "other"]


def test_shares_stay_shares():
    """Neither the band of a share nor its axis goes beyond nothing and all."""
    shares = np.array([[1.0, 99.0, 50.0], [30.0, 60.0, 51.0]])
    some = [Line("base", np.arange(3), shares)]
    figure = means_over_steps(some, what="%", heading="h", bounds=(0.0, 100.0))
    axes = figure.axes[0]
    heights = axes.collections[0].get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == (0.0, 100.0)
    assert axes.get_ylim() == (0.0, 100.0)
    low, high = means_over_steps(some, what="%", heading="h").axes[0].get_ylim()
    assert low < 0.0
    assert high > 100.0


def test_single_runs_have_no_interval(tmp_path):
    """One run is drawn without a whisker, a band or a word on them."""
    some = [Line("base", np.arange(3), np.ones((1, 3)))]
    figure = means_over_steps(some, what="w", heading="h")
    assert not figure.axes[0].collections
    assert "interval" not in figure.get_suptitle()
    figure = shares_of_arms({"a": np.ones(1)}, expected=(0.5, 0.6), what="w", heading="h")
    assert "whiskers" not in figure.get_supxlabel()
    save(figure, tmp_path / "a.png")
