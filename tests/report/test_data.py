"""What the page is given is what the run holds."""

from __future__ import annotations

import base64
import gzip
import json

import numpy as np
import pytest
from attrs import evolve

from core.sampled import problem, redrawn, walked
from lca_core import SIMPSON, Dense, Distribution, analyses, default_observers
from lca_core.reference import demo_run
from lca_core.report.data import View, comparison
from lca_core.report.packing import packed
from lca_core.summary import layer_lines
from report.runs import huge_run, lost_run, observed_run, polynomial_run


@pytest.fixture(scope="module")
def run():
    """Return a run with everything."""
    return observed_run(40)


def drawn(lines, i):
    """Return line i of what is drawn."""
    ends = lines["ends"]
    inside = slice(ends[i], ends[i + 1])
    return lines["x"][inside], lines["y"][inside]


@pytest.mark.parametrize("measure", ["train", "train/class=1"])
def test_a_short_run_is_shown_whole(run, measure):
    """Loss, booked loss, gaps, maps and lines of a short run are the run's, step by step."""
    found = View(run).measure(measure)
    steps, loss = drawn(found["course"]["loss"], 0)
    np.testing.assert_array_equal(steps, run.iteration)
    np.testing.assert_allclose(loss, run.loss(measure), rtol=1e-6)
    values = run.allocation(measure, "layer").values
    booked = run.loss(measure)[0] + np.cumsum(values.sum(axis=1))
    np.testing.assert_allclose(drawn(found["course"]["loss"], 1)[1][1:], booked, rtol=1e-6)
    np.testing.assert_allclose(
        drawn(found["course"]["gap"], 0)[1], np.abs(run.gap(measure)), rtol=1e-6
    )
    for by in ("layer", "leaf"):
        values = run.allocation(measure, by).values
        np.testing.assert_allclose(found["by"][by]["map"], values.T, rtol=1e-6)
        for i, since in enumerate(values.cumsum(axis=0).T):
            np.testing.assert_allclose(
                drawn(found["by"][by]["since"], i)[1][1:], since, rtol=1e-5, atol=1e-7
            )


def test_tables_are_the_summary(run):
    """The table has the lines that the terminal shows, in full precision, and they add up."""
    table = View(run).measure("train")["by"]["layer"]["table"]
    lines = layer_lines(run, "train")
    for name, column in table.items():
        np.testing.assert_array_equal(column, [getattr(line, name) for line in lines])
    assert table["lca"][:-1].sum() == pytest.approx(table["lca"][-1], rel=1e-12)


def test_a_long_run_keeps_its_extremes_and_its_sums():
    """After down-sampling the largest |allocation|, each line's range and last value are there."""
    run = huge_run(5000, 20)
    view = View(run, share=0.05)
    found, stride = (
        view.measure("train")["by"]["layer"],
        view.itself("run")["by"]["layer"]["stride"],
    )
    values = run.allocation("train").values
    assert stride > 10
    assert np.abs(found["map"]).max() == np.float32(np.abs(values).max())
    since = values.cumsum(axis=0)
    for i in range(20):
        steps, line = drawn(found["since"], i)
        assert len(line) < 600
        assert line.min() == np.float32(min(since[:, i].min(), 0.0))
        assert line.max() == np.float32(max(since[:, i].max(), 0.0))
        assert (steps[0], steps[-1]) == (0, 5000)
        assert line[-1] == np.float32(since[-1, i])
        np.testing.assert_allclose(line[1:], since[steps[1:] - 1, i], rtol=1e-6)
    np.testing.assert_allclose(found["table"]["lca"][:-1], since[-1])


def test_steps_that_are_open_or_lost_are_marked(run):
    """Every step that did not close is named with its status; a lost one is a hole."""
    status = run.rows["status"].copy()
    status[3], status[7] = 1, 3
    found = View(evolve(run, rows={**run.rows, "status": status})).measure("train")
    opened = found["course"]["open"]
    assert list(zip(opened["step"].tolist(), opened["status"], strict=True)) == [
        (4, "CAP"),
        (8, "NONFINITE"),
    ]
    assert np.isnan(found["by"]["layer"]["map"][:, 7]).all()
    assert np.isnan(drawn(found["course"]["loss"], 1)[1][8])


def test_shares_of_helping_are_those_of_the_counts(run):
    """Helped and hurt are shares of a group's parameters; the last row is all together."""
    counts = run.helping("train", "layer")
    found = View(run).measure("train")["by"]["layer"]
    sizes = run.layout.group_sizes("layer")
    np.testing.assert_allclose(found["helped"][:-1], (counts.helped / sizes).T, rtol=1e-6)
    whole = counts.hurt.sum(axis=1) / run.layout.parameters
    np.testing.assert_allclose(found["hurt"][-1], whole, rtol=1e-6)


def test_what_observers_kept_is_counted_once(run):
    """Sizes and heroes hold every value once; moments are those that all layers share."""
    found = View(run).measure("train")
    sizes = found["sizes"]
    assert (sizes["helped"].sum(1) + sizes["hurt"].sum(1) + sizes["zeros"])[-1] == 40 * 67
    assert found["heroes"]["counts"].sum() == found["heroes"]["moved"]
    parts = np.stack([run.allocation(part).values.T for part in run.parts("train")])
    peaks = analyses.peaks(parts)
    assert len(found["peaks"]["step"]) == peaks.sum()
    assert found["peaks"]["moments"] == peaks.all(axis=1).sum()


def test_sizes_are_counted_octave_by_octave():
    """Helped and hurt of every size are those of all single allocations, counted one by one."""
    run = demo_run(12, observers=[*default_observers(demo_run(0).layout), Distribution(), Dense()])
    found = View(run).measure("train")["sizes"]
    single = np.concatenate([np.ravel(run.dense("train", name)[:]) for name in run.layout.names])
    for name, sizes in (("helped", -single[single < 0]), ("hurt", single[single > 0])):
        counts, _ = np.histogram(sizes, found["edges"])
        np.testing.assert_array_equal(found[name][-1], counts)
        np.testing.assert_array_equal(found[name][:-1].sum(axis=0), counts)
    octaves = np.log2(found["edges"])
    np.testing.assert_allclose(np.diff(octaves), 1.0)


def test_what_was_not_recorded_is_left_out():
    """A run with the default observers has no sizes, heroes or turns, and no parts' units."""
    found = View(demo_run(5)).measure("train")
    assert not {"sizes", "heroes", "turns"} & set(found)
    assert {"layer", "leaf", "unit"} == set(found["by"])
    assert "unit" not in View(demo_run(5, by_class=True)).measure("train/class=0")["by"]


def test_runs_are_compared_layer_by_layer():
    """The comparison is that of the analyses; runs of different networks have none."""
    runs = {str(seed): demo_run(10, seed) for seed in range(3)}
    found, truth = comparison(runs, "train"), analyses.compare(runs, "train")
    np.testing.assert_array_equal(found["difference"], truth.difference)
    np.testing.assert_array_equal(found["difference_error"], truth.difference_error)
    np.testing.assert_array_equal(
        found["mean"], analyses.over_runs(list(runs.values()), "train").mean
    )
    assert comparison({"one": demo_run(1)}, "train") == {}
    assert comparison({"one": demo_run(1), "other": huge_run(2, 2)}, "train") == {}


def test_a_run_that_was_lost_is_in_no_mean():
    """Layers of a run without a finite step have no sums, and the mean is that of the others."""
    runs = {"lost": lost_run(demo_run(10)), **{str(seed): demo_run(10, seed) for seed in range(3)}}
    found = comparison(runs, "train")
    assert found["known"].tolist() == [1, 2, 3]
    assert np.isnan(found["total"][0]).all()
    assert np.isnan(found["difference"]).all()
    totals = [runs[str(seed)].allocation("train").values.sum(axis=0) for seed in range(3)]
    np.testing.assert_allclose(found["total"][1:], totals)
    np.testing.assert_allclose(found["mean"], np.mean(totals, axis=0))
    assert "mean" not in comparison({"lost": runs["lost"], "one": runs["1"]}, "train")


def test_short_names_stay_apart():
    """Layers of one long end keep what tells them apart, on the screen and on a phone."""
    names = [f"encoder.block_number_{i:02d}.self_attention_output_projection" for i in range(60)]
    found = View(polynomial_run(names)).itself("run")["by"]["layer"]["short"]
    for width, letters in (("wide", 30), ("narrow", 14)):
        assert len(set(found[width])) == 60
        assert max(map(len, found[width])) <= letters
        assert all(f"{i:02d}" in name for i, name in enumerate(found[width]))


def test_classes_keep_their_slashes():
    """A part is called by all that stands behind its measure's name."""
    parts = ["class=T-shirt/top", "class=Shirt/top", "class=<i>cat</i>"]
    run = polynomial_run(["fc"], 3, measure="a/train", parts=parts)
    assert View(run).measure("a/train")["peaks"]["short"]["wide"] == parts


def test_what_the_error_is_of_is_named():
    """The ± of samples is of sampling, with the integral's where two rules were compared."""
    sampled = walked({"train": redrawn(), "fixed": problem()})
    compared = walked({"train": redrawn(rule=SIMPSON)})
    told = [
        View(run).measure(measure)["uncertainty"]
        for run, measure in ((sampled, "fixed"), (sampled, "train"), (compared, "train"))
    ]
    assert told == [
        "the ± of the integral",
        "the 95 % of sampling",
        "the 95 % of sampling and the ± of the integral",
    ]


def test_arrays_travel_unchanged():
    """What is packed is unpacked to the same numbers; what is not finite is null in JSON."""
    values = np.array([[1.5, np.nan], [-2.0, 1e-30]])
    text = gzip.decompress(base64.b64decode(packed({"a": values, "b": float("nan")})))
    found = json.loads(text)
    assert found["b"] is None
    bytes_ = base64.b64decode(found["a"]["data"])
    back = np.frombuffer(bytes_, found["a"]["dtype"]).reshape(found["a"]["shape"])
    np.testing.assert_array_equal(back, values)
