"""Measures of `Redrawn(..., every=k)`: what is known of the steps between two looks."""

import itertools
import re

import numpy as np
import pytest
from attrs import evolve
from matplotlib.text import Text

from core.sampled import POINTS, N, X, Y, path, problem, redrawn, walked
from lca_core import (
    MIDPOINT,
    SIMPSON,
    Counts,
    Declared,
    Dense,
    Distribution,
    Oscillation,
    Redrawn,
    Sizes,
    Status,
    Tallies,
    Totals,
    UnitSums,
    Watch,
    analyses,
    load,
)
from lca_core.cli.table import AllocationTable
from lca_core.errors import AnalysisError
from lca_core.figures import (
    FIGURES,
    loss_and_allocation,
    moments_of_learning,
    trajectories,
)
from lca_core.leafwise import leaf_sums
from lca_core.probes import lots
from lca_core.report.data import View
from lca_core.report.groups import helping
from lca_core.report.observed import observed
from lca_core.report.sampling import Buckets
from lca_core.story import story
from lca_core.summary import booked_loss, books, closure, layer_lines


def told_of(run, topic):
    """Return the story's passage of a topic, "" where there is none."""
    return {one.topic: one.text for one in story(run, "train")}.get(topic, "")


WATCHED = ("fc1.weight", (0, 1))
KEPT = [Totals(), Counts(), UnitSums(), Tallies(), Oscillation(), Sizes(), Watch([WATCHED])]
KEPT += [Dense(["fc1.weight"], ["weight", "gradient", "allocation"])]


@pytest.fixture(scope="module")
def thinned():
    """A run that looks at one step of three, with every observer."""
    return walked({"train": redrawn(every=3)}, observers=KEPT)


def test_what_was_not_looked_at_is_not_known(thinned):
    """Weights, gradients and sizes are the true ones where somebody looked, else NaN."""
    looked = [lots(Redrawn((X, Y), 40, every=3), N).looks_at(t) for t in range(12)]
    np.testing.assert_array_equal(thinned.looked_at("train"), looked)
    leaf, at = WATCHED
    truth = np.where(looked, [point[leaf][at] for point in POINTS[1:]], np.nan)
    moved = [
        np.sqrt(sum(((b[k] - a[k]) ** 2).sum() for k in a)) for a, b in itertools.pairwise(POINTS)
    ]
    watched, dense = thinned.watched("train"), thinned.dense("train", leaf, "weight")
    size = thinned.size("train", "motion", by=lambda _: "all").values[:, 0]
    np.testing.assert_array_equal(watched.weight[:, 0], truth)
    np.testing.assert_array_equal(np.asarray(dense)[:, *at], truth.astype(np.float32))
    np.testing.assert_allclose(size, np.where(looked, moved, np.nan), rtol=1e-12)
    of_gradient = [
        watched.gradient[:, 0],
        np.asarray(thinned.dense("train", leaf, "gradient"))[:, *at],
        thinned.size("train", "gradient").values[:, 0],
    ]
    for values in of_gradient:
        np.testing.assert_array_equal(np.isfinite(values), looked)


def test_what_is_seen_was_looked_at_and_is_finite(thinned):
    """`Run.seen` leaves out the steps passed over and those that were lost, and no other."""
    looked = thinned.looked_at("train")
    np.testing.assert_array_equal(thinned.seen("train"), looked)
    status = thinned.rows["status"].copy()
    status[looked.argmax()] = Status.NONFINITE
    lost = evolve(thinned, rows={**thinned.rows, "status": status})
    assert lost.seen("train").sum() == looked.sum() - 1
    assert not lost.seen("train")[looked.argmax()]


def test_what_adds_up_over_steps_still_does(thinned):
    """Watched and dense allocations sum to the totals; steps passed over count nobody."""
    leaf, at = WATCHED
    total = thinned.total("train")[leaf]
    watched = thinned.watched("train").allocation.sum(axis=0)
    dense = np.asarray(thinned.dense("train", leaf), np.float64).sum(axis=0)
    np.testing.assert_allclose(watched, [total[at]], rtol=1e-12)
    np.testing.assert_allclose(dense, total, rtol=1e-5, atol=1e-7)
    looked, helping = thinned.looked_at("train"), thinned.helping("train")
    counted = helping.helped + helping.hurt + helping.unmoved
    sizes = thinned.layout.group_sizes("layer")
    np.testing.assert_array_equal(counted, np.where(looked[:, None], sizes, 0))
    turned = thinned.turned("train", by="leaf").values
    assert (turned[~looked] == 0).all()
    count = [one.count.sum() for one in thinned.turns("train").values()]
    np.testing.assert_array_equal(turned.sum(axis=0), count)


def test_an_observer_of_ones_own_keeps_zeros_unless_it_says_otherwise():
    """`Declared` adds up by default; `sums=False` makes what nobody looked at NaN."""

    class Own:
        def declare(self, layout):
            return (
                Declared("added", ("leaf",), "float64"),
                Declared("not_added", ("leaf",), "float64", sums=False),
            )

        def init(self, ops, params):
            return {}

        def update(self, ops, layout, view, state):
            sums = leaf_sums(ops, view.params)
            return {"added": sums, "not_added": sums}, {}

    run = walked({"train": redrawn(every=3)}, observers=[Own()])
    passed = ~run.looked_at("train")
    assert (run.rows["added"][passed] == 0).all()
    np.testing.assert_array_equal(np.isnan(run.rows["not_added"][:, 0]).all(axis=1), passed)


def test_run_files_keep_what_is_not_known(thinned, tmp_path):
    """Saved and loaded, written as it goes, broken off and resumed: NaN where nobody looked."""
    thinned.save(tmp_path / "saved.zarr")
    measures, file = {"train": redrawn(every=3)}, tmp_path / "run.zarr"
    walked(measures, POINTS[:6], path=file, observers=KEPT)
    walked(measures, POINTS[5:], path=file, observers=KEPT, resume=True)
    for loaded in (load(tmp_path / "saved.zarr"), load(file)):
        for name, values in thinned.rows.items():
            np.testing.assert_array_equal(np.asarray(loaded.rows[name]), values, err_msg=name)
        known = np.isfinite(loaded.watched("train").weight[:, 0])
        np.testing.assert_array_equal(known, [redrawn(every=3).looks_at(t) for t in range(12)])


def test_the_cosine_of_a_look_is_that_of_its_own_step():
    """Its allocation stands for several steps, its lengths for one."""
    everywhere = walked({"train": redrawn()}, observers=[Sizes()])
    thinned = walked({"train": redrawn(every=3)}, observers=[Sizes()])
    (_, all_of_them), (_, some) = (
        analyses.alignment(run, "train") for run in (everywhere, thinned)
    )
    looked = thinned.looked_at("train")
    np.testing.assert_allclose(some[looked], all_of_them[looked], rtol=1e-12)
    assert np.isnan(some[~looked]).all()


def test_turns_between_looks_are_not_told(thinned):
    """A weight that turns at every step is not said to turn less often, in numbers or words."""
    zigzag = [POINTS[0]]
    for t in range(40):
        zigzag.append({k: w + 0.01 * (-1) ** t for k, w in zigzag[-1].items()})
    full, few = (
        walked({"train": redrawn(every=k)}, zigzag, observers=[Counts(), Oscillation()])
        for k in (1, 4)
    )
    assert analyses.steps_between_turns(full, "train").motion[-1] == pytest.approx(40 / 39)
    assert np.isnan(analyses.steps_between_turns(few, "train").motion).all()
    assert "turns back" in told_of(full, "noise")
    assert "turns back" not in told_of(few, "noise")
    assert "turns" in observed(full, "train")
    assert "turns" not in observed(few, "train")


def test_zeros_between_looks_are_no_moments_of_learning(thinned):
    """Story, report and figure see no peak where the neighbours of a step were not looked at."""
    long = walked({"train": redrawn(every=3)}, path(120), observers=[])
    assert told_of(long, "synchrony") == ""
    for run in (long, thinned):
        assert observed(run, "train")["peaks"]["step"].size == 0
    for of in ("allocation", "motion", "gradient"):
        (axes,) = moments_of_learning(thinned, "train", of).axes
        assert sum(len(line.get_xdata()) for line in axes.get_lines()) == 0


def test_shares_are_means_over_the_steps_that_were_looked_at(thinned):
    """The report's share of helpers is that of the looks, and the steps between have none."""
    looked = thinned.looked_at("train")
    share = thinned.helping("train", by=lambda _: "all").helped[:, 0] / thinned.layout.parameters
    found = helping(thinned, "train", "layer", Buckets(12, 1))["helped"][-1]
    np.testing.assert_allclose(found, share[looked].mean(), rtol=1e-6)
    of_all = analyses.helping_over_time(thinned, "train").of_all
    np.testing.assert_array_equal(of_all, np.where(looked, share, np.nan))


def test_a_trajectory_goes_through_the_steps_that_were_looked_at(thinned):
    """The line of a watched weight has their values and no others, and no gap."""
    (line,), (leaf, at) = trajectories(thinned, "train").axes[0].get_lines(), WATCHED
    steps = 1 + np.flatnonzero([redrawn(every=3).looks_at(t) for t in range(12)])
    np.testing.assert_array_equal(line.get_xdata(), steps)
    np.testing.assert_array_equal(line.get_ydata(), [POINTS[t][leaf][at] for t in steps])


@pytest.fixture(scope="module", params=[MIDPOINT, SIMPSON])
def unseen(request):
    """A run that ended before the first step that it would have looked at."""
    measure = redrawn(every=100, rule=request.param)
    assert not any(map(measure.looks_at, range(12)))
    return walked({"train": measure, "val": problem()}, observers=KEPT)


def test_where_nobody_looked_no_error_is_zero(unseen):
    """Standard errors, ±, change and the table's lines are NaN: nothing is known."""
    assert np.isnan(unseen.standard_error("train").values).all()
    assert np.isnan(unseen.error("train").values).all()
    found = books(unseen, "train")
    assert np.isnan([found.error, found.fall, found.allocated]).all()
    for line in layer_lines(unseen, "train"):
        assert np.isnan([line.lca, line.share, line.error]).all()
    assert np.isfinite(books(unseen, "val").allocated)


def test_where_nobody_looked_nothing_is_claimed(unseen):
    """Books, story and pictures say that no step was looked at, and name no number of the loss."""
    why = "no step of this measure was looked at"
    assert closure(unseen, "train") == f"train: loss change is not known, as {why}"
    tale = {passage.topic: passage.text for passage in story(unseen, "train")}
    assert set(tale) == {"loss", "books", "generalisation", "certainty"}
    assert tale["loss"] == f"The train loss change is not known over 12 steps, as {why}."
    assert tale["books"] == f"Nothing was estimated: {why}."
    assert f"the train loss change is not known, as {why}" in tale["generalisation"]
    assert "No ± is known" in tale["certainty"]
    assert not any("±" in text.replace("No ± is known", "") for text in tale.values())
    figure = loss_and_allocation(unseen, "train")
    assert why in "".join(text.get_text() for text in figure.findobj(Text))
    told = " ".join(text.get_text() for text in trajectories(unseen, "train").findobj(Text))
    assert "no step was looked at" in told
    assert "over the run: not known" in told
    drawn = AllocationTable.of(unseen, "train", "layer").bars(9, ascii_only=True)
    assert not any(one.strip(" |") for one in drawn)
    assert View(unseen).measure("train")["books"]["change"] == f"loss change is not known, as {why}"


@pytest.mark.parametrize("name", ["units", "totals", "generalisation"])
def test_where_nobody_looked_no_figure_has_a_verdict(unseen, name):
    """The heading says that no step was looked at, not that nobody hurt."""
    heading = FIGURES[name](unseen, "train").get_suptitle().replace("\n", " ")
    assert "loss change is not known, as no step of this measure was looked at" in heading
    assert not re.search("hurt|helped|mean", heading)


@pytest.mark.parametrize("name", ["distribution", "heroes"])
def test_where_nobody_looked_no_figure_counts_anything(name):
    """The heading says that no step was looked at, not that nothing moved or was allocated."""
    unseen = walked({"train": redrawn(every=100)}, observers=[Distribution(), Tallies()])
    figure = FIGURES[name](unseen, "train")
    told = figure.get_suptitle().replace("\n", " ")
    assert told == "train: no step of this measure was looked at"
    drawn = [line for axes in figure.axes for line in axes.get_lines() if line.get_ls() == "--"]
    assert np.isnan([line.get_xdata()[0] for line in drawn]).all()


def test_where_nobody_looked_the_report_has_no_sums(unseen):
    """Tables by layer and unit, sums since the start, maps and the booked loss hold no number."""
    found = View(unseen).measure("train")
    for shown in found["by"].values():
        assert np.isnan(shown["table"]["lca"]).all()
        assert np.isnan(shown["since"]["y"]).all()
        assert np.isnan(shown["map"]).all()
    assert np.isnan(booked_loss(unseen, "train")[1:]).all()
    assert np.isfinite(View(unseen).measure("val")["by"]["unit"]["table"]["lca"]).all()


def test_a_step_passed_over_is_a_hole_of_the_report_s_map():
    """Its zeros are no finding; sums since the start go on over it."""
    run = walked({"train": redrawn(every=3)}, observers=KEPT)
    shown = View(run).measure("train")["by"]["layer"]
    np.testing.assert_array_equal(np.isnan(shown["map"]).all(axis=0), ~run.looked_at("train"))
    total = run.allocation("train").values.sum(axis=0)
    ends = shown["since"]["ends"][1:] - 1
    np.testing.assert_allclose(shown["since"]["y"][ends], total, rtol=1e-6)


def test_one_look_has_an_estimate_and_no_error():
    """Its sum is told, and that its ± is not known."""
    run = walked({"train": redrawn(every=12)}, observers=KEPT)
    fall = books(run, "train").fall
    assert closure(run, "train").startswith(f"train: loss fell by an estimated {-fall:#.5g}, ± unk")
    texts = [told_of(run, topic) for topic in ("loss", "books")]
    assert all("± unknown" in text for text in texts)
    assert "two steps that were looked at, and there was one" in told_of(run, "certainty")
    assert not any("nan" in passage.text for passage in story(run, "train"))


def test_a_look_that_was_lost_leaves_nothing_known():
    """The only step looked at came to no finite value: what is left is not zero but unknown."""
    measure = redrawn(every=12)
    at = next(filter(measure.looks_at, range(12)))
    broken = [{k: w * np.nan for k, w in p.items()} if t == at + 1 else p
              for t, p in enumerate(POINTS)]  # fmt: skip
    run = walked({"train": measure}, broken)
    why = "no step of this measure was looked at at finite values"
    assert closure(run, "train") == f"train: loss change is not known, as {why}"
    assert np.isnan(run.error("train").values).all()


def test_compared_steps_are_those_that_were_looked_at():
    """Of a thinned measure the story counts looks, not the steps that they stand for."""
    run = walked({"train": redrawn(every=3, rule=SIMPSON)}, observers=[])
    assert "compared at 4 of 12 steps, which stand for the rest" in told_of(run, "certainty")


def test_a_window_that_nobody_looked_at_has_no_candidates():
    """It is refused, as an empty window is; one that holds a look is not."""
    run = walked({"train": redrawn(every=6)}, observers=[])
    looked = run.looked_at("train")
    first = int(looked.argmax())
    gap = slice(first + 1, first + 1 + int(looked[first + 1 :].argmax()))
    assert gap.stop > gap.start
    with pytest.raises(AnalysisError, match=r"No step of 'train' in the window .* was looked at"):
        analyses.candidates(run, "train", window=gap)
    assert isinstance(analyses.candidates(run, "train"), tuple)


def test_between_looks_the_loss_is_the_last_one_known_to_the_last_digit():
    """What is recorded of a look is what the next steps repeat, resumed or not."""
    run = walked({"t": redrawn(21, every=4, subsamples=3)}, path(40), observers=[])
    looked, loss = run.looked_at("t"), run.loss("t")[1:]
    last = np.maximum.accumulate(np.where(looked, np.arange(len(looked)), -1))
    known = last >= 0
    assert (~looked[known]).sum() > 20
    np.testing.assert_array_equal(loss[known], loss[last[known]])
