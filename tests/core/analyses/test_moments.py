"""Story, figure and report count the same moments of learning, and ask chance the same question."""

import re
import sys

import numpy as np
import pytest
from attrs import evolve

from cli.descent import observed as observed_run
from lca_core.analyses import Moments, peaks
from lca_core.figures import moments_of_learning
from lca_core.report.observed import observed
from lca_core.segment import Status
from lca_core.story import story


def without(run, layer):
    """Return a run in which a layer did nothing."""
    names = [leaf.layer for leaf in run.layout.leaves]
    still = np.array([name == layer for name in names])
    allocation = np.where(still, 0.0, run.rows["allocation"])
    return evolve(run, rows={**run.rows, "allocation": allocation})


@pytest.fixture(scope="module")
def run():
    """A run by class, with moments that layers share."""
    return observed_run(80)


@pytest.mark.parametrize("still", ["", "fc2"])
@pytest.mark.parametrize("measure", ["train", "val"])
def test_story_and_figure_tell_one_p_value(run, measure, still):
    """The same p, from as many draws, of as many moments; also where a layer did nothing."""
    run = without(run, still)
    text = next(one.text for one in story(run, measure) if one.topic == "synchrony")
    told = moments_of_learning(run, measure).get_suptitle().replace("\n", " ")
    for pattern in (r"p = ([\d.e-]+)", r"([\d,]+) draws"):
        assert re.search(pattern, text)[1] == re.search(pattern, told)[1]
    assert re.search(r"(\d+) times?", text)[1] == re.search(r"(\d+) moments? shared", told)[1]
    assert ("2 layers that did anything" in told) == bool(still)


def test_a_still_layer_hides_no_moment_from_figure_and_report(run):
    """What the others share is red in the figure and counted in the report, as in the story."""
    run = without(run, "fc2")
    aligned = Moments.of(run, "train").aligned
    assert aligned.any()
    shared = moments_of_learning(run, "train").axes[0].get_lines()[1]
    assert len(shared.get_xdata()) == 2 * aligned.sum()
    found = observed(run, "train")["peaks"]
    assert (found["moments"], found["active"]) == (aligned.sum(), 2)


def test_the_peaks_are_found_once(monkeypatch):
    """Who is shown the peaks, what they have in common and a test of it has them found once."""
    found = []
    for name in ("moments", "synchrony"):
        module = sys.modules[f"lca_core.analyses.{name}"]  # the package has functions of that name
        monkeypatch.setattr(module, "peaks", lambda *of: found.append(of) or peaks(*of))
    moments = Moments(("train",), np.random.default_rng(0).normal(size=(1, 3, 200)), count=5)
    aligned, tested = moments.aligned, moments.tested()
    assert moments.peaks.sum() == 15
    np.testing.assert_array_equal(tested.aligned, aligned)
    assert len(found) == 1


def test_a_long_run_of_many_layers_is_tested_with_fewer_draws():
    """The test stays within its budget of draws × cells, and takes the same draws every time."""
    moments = Moments(("train",), np.random.default_rng(0).normal(size=(1, 20, 40_000)))
    found = moments.tested()
    assert len(found.null) == 2_500
    np.testing.assert_array_equal(moments.tested().null, found.null)


@pytest.mark.parametrize("of", ["allocation", "gradient", "motion"])
def test_a_step_beside_a_lost_one_is_no_moment(made, of):
    """Layers that fall steadily have no minimum; lost steps that both share make none."""
    steady = -np.linspace(2.0, 1.0, 60)[:, None] * np.ones(3)
    status = np.zeros(60, np.int8)
    status[[15, 30, 45]] = Status.NONFINITE
    steady[status == Status.NONFINITE] = np.nan
    rows = {"allocation": steady, "gradient_square": steady**2, "motion_square": steady**2}
    moments = Moments.of(made(**rows, status=status), "train", of)
    assert moments.active.all()
    assert not moments.peaks.any()
    assert np.isnan(moments.series).all(axis=(0, 1)).nonzero()[0].tolist() == [15, 30, 45]


def test_a_layer_that_stood_still_is_not_active_because_steps_were_lost(made):
    """What is not known is no motion: a frozen layer stays out of the test."""
    allocation = np.random.default_rng(0).normal(size=(30, 3))
    allocation[:, 2] = 0.0
    status = np.zeros(30, np.int8)
    status[7] = Status.NONFINITE
    allocation[7] = np.nan
    assert Moments.of(made(allocation=allocation, status=status), "train").active.tolist() == [
        True, False]  # fmt: skip
