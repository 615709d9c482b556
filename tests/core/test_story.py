"""The story says what the numbers say, of every run, and claims nothing without its error."""

from __future__ import annotations

import re
import time

import numpy as np
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from lca_core import Counts, Header, Layout, Leaf, Oscillation, Run, Tallies
from lca_core.analyses.synchrony import DRAWS
from lca_core.errors import NotRecordedError
from lca_core.ledger import LEDGER
from lca_core.reference import demo_run
from lca_core.story import story
from lca_core.words import measured, percent, plainly

TOPICS = ["loss", "books", "work", "hurt", "noise", "synchrony", "generalisation", "certainty"]


def make(allocation, *, error=0.0, measures=("train",), parts=None, every=1, names=None, **rows):
    """Return a run whose layers are allocated this, (T, layers) or (T, measures, layers)."""
    allocation = np.asarray(allocation, float)
    if allocation.ndim == 2:
        allocation = np.repeat(allocation[:, None], len(measures), axis=1)
    steps, m, layers = allocation.shape
    names = names or [f"l{i}" for i in range(layers)]
    layout = Layout([Leaf(f"{name}.weight", (1,), layer=name) for name in names])
    finite = np.isfinite(allocation).all(-1)
    full = {
        "loss": 2.0 + np.cumsum(allocation.sum(-1), axis=0),
        "gap": np.zeros((steps, m)),
        "buffers": np.zeros((steps, m)),
        "noise": np.full((steps, m), 1e-9),
        "allocation": allocation,
        "error": np.broadcast_to(np.asarray(error, float), (steps, m, layers)) / max(steps, 1),
        "evaluations": np.ones((steps, m)),
        "status": np.where(finite, 0, 3).astype(np.int8),
        "audited": np.ones((steps, m), bool),
        "helped": (allocation < 0).astype(np.int64),
        "hurt": (allocation > 0).astype(np.int64),
        **rows,
    }
    declared = (*LEDGER, *Counts().declare(layout))
    config = {"parts": parts or {}, "observers": []}
    header = Header(layout, tuple(measures), declared, config, (2.0,) * m)
    return Run(
        header,
        {"iteration": every * np.arange(1, steps + 1), **full},
        {one: {} for one in measures},
    )


def told(run, topic, measure="train"):
    """Return the text of one topic, "" without one."""
    return {one.topic: one.text for one in story(run, measure)}.get(topic, "")


def numbers(text):
    """Return all numbers of a text."""
    return [
        float(x.replace(",", "")) for x in re.findall(r"[-+]?\d[\d,]*\.?\d*(?:e[-+]\d+)?", text)
    ]


@pytest.fixture(scope="module")
def run():
    """Return a run with every observer that the story reads."""
    return demo_run(60, by_class=True, observers=[Counts(), Tallies(), Oscillation()])


def test_passages_come_in_the_order_of_questions(run):
    """Every topic at most once, in the documented order, in whole sentences."""
    full = make(noise(50, 2, 3), error=0.1, measures=("train", "val"))
    assert [one.topic for one in story(full, "train")] == TOPICS
    for one in (*story(full, "train"), *story(run, "train")):
        assert one.text.endswith(".")
        assert "  " not in one.text


def test_loss_and_books_are_those_of_the_rows(run):
    """Fall, ends, half-way, sum, what is left, largest gap and cost, each computed again."""
    k = run.measures.index("train")
    loss = np.concatenate([[run.header.initial_loss[k]], run.rows["loss"][:, k]])
    half = np.flatnonzero(loss <= loss[0] + (loss[-1] - loss[0]) / 2)[0]
    expected = [loss[0] - loss[-1], loss[0], loss[-1], 60, half]
    np.testing.assert_allclose(numbers(told(run, "loss")), expected, rtol=1e-4)
    gap, allocated = run.rows["gap"][:, k], run.rows["allocation"][:, k].sum()
    share = 100 * abs(gap.sum() / allocated)
    cost = (1 + run.rows["evaluations"][:, k].sum()) / 60
    expected = [67, allocated, abs(gap.sum()), share, 60, abs(gap).max(), cost]
    np.testing.assert_allclose(numbers(told(run, "books")), expected, rtol=0.3)
    np.testing.assert_allclose(numbers(told(run, "books"))[:2], expected[:2], rtol=1e-4)


@pytest.mark.parametrize(
    ("evaluations", "says"),
    [(0.0, "perhaps another model is trained"), (2.0, "seems to have no gradient")],
)
def test_where_nobody_was_allocated_anything_it_is_said(evaluations, says, run):
    """A tracker of the wrong model, and a loss without a gradient, are not simply closed books."""
    nothing = make(np.zeros((4, 2)), evaluations=np.full((4, 1), evaluations))
    assert says in told(nothing, "books")
    assert says not in told(run, "books")


def test_helping_is_compared_with_coins(run):
    """Mean, range and majority of the shares, and the spread of as many coins."""
    k = run.measures.index("train")
    helped, hurt = (run.rows[name][:, k].sum(-1) for name in ("helped", "hurt"))
    share, coin = helped / (helped + hurt), 196 * np.sqrt((0.25 / (helped + hurt)).mean())
    expected = [100 * share.mean(), *(100 * np.quantile(share, [0.025, 0.975])), 95, 50, coin]
    found = numbers(told(run, "noise"))
    np.testing.assert_allclose(found[:6], expected, rtol=0.05)
    np.testing.assert_allclose(found[:1], expected[:1], atol=0.06)
    assert found[6:8] == [(share > 0.5).sum(), 60]


def test_single_parameters_are_compared_with_coins(run):
    """The range of 95 % of their own shares of helped steps, and the spread of as many coins."""
    each = run.tallies("train").values()
    helped, moved = (
        np.concatenate([counts.ravel() for counts in kind])
        for kind in ([one.helped for one in each], [one.helped + one.hurt for one in each])
    )
    share, moved = helped[moved > 0] / moved[moved > 0], moved[moved > 0]
    low, high = (np.percentile(share, at, method=how)
                 for at, how in ((2.5, "lower"), (97.5, "higher")))  # fmt: skip
    coin = plainly(100 * 1.96 * np.sqrt((0.25 / moved).mean()))
    assert (
        f"95 % of the single parameters helped on {percent(low, 1)} to {percent(high, 1)} of their "
        f"steps; coins would give 50 ± {coin} %."
    ) in told(run, "noise")


def test_half_is_not_more_than_half():
    """A step at which as many helped as hurt has no majority."""
    assert "More than half helped on 1 of 2 steps" in told(make([[-1, 2], [-1, -2]]), "noise")


def test_turns_are_told_when_recorded(run):
    """Steps between turns: T over the mean number of sign changes of all that had a sign."""
    turns = list(run.turns("train", "motion").values())
    count, ever = (sum(getattr(one, of).sum() for one in turns) for of in ("count", "ever"))
    assert f"turns back every {60 * ever / count:.1f} steps" in told(run, "noise")
    assert "turns back" not in told(demo_run(), "noise")


def test_a_mean_longer_than_the_run_is_explained():
    """Where most weights never turn, the pooled mean goes beyond the run, and the story says so."""
    short = told(demo_run(6, observers=[Oscillation()]), "noise")
    every = max(float(x) for x in re.findall(r"every (\d+\.\d)", short))
    assert every > 6
    assert "That is beyond the run of 6 steps: on average, they turn less than once." in short
    rough = make([[-1, 2]] * 4)
    assert "beyond the run" not in told(rough, "noise")


def test_work_names_the_few_that_did_most():
    """Of many layers the largest are named, with their share of the helping; the rest counted."""
    total = -np.concatenate([[60.0, 35.0], np.full(300, 5 / 300)])
    text = told(make(total[None], error=1e-3), "work")
    assert text.startswith("l0 (-60.000 ± ")
    assert "l1 (-35.000" in text
    assert "l2" not in text
    assert "did 95 % of the helping; 300 more layers helped too." in text


def test_work_of_equals_stops_after_four():
    """A hundred equal layers are not listed; four are, with what they did."""
    text = told(make(-np.ones((1, 100)), error=0.01), "work")
    assert text.count("±") == 4
    assert "4 % of the helping; 96 more layers" in text


def test_one_layer_did_all():
    """A single layer is no comparison."""
    run = make([[-1.0], [-0.5]], error=0.01)
    assert told(run, "work").endswith("did all of the helping.")
    assert told(run, "synchrony") == ""


def test_who_hurts_beyond_its_error_is_named():
    """Above the ± hurts, within it cannot be told, zero did nothing, each of the right one."""
    # |Σe| + 1.96 sqrt(Σe²) with one step: 2.96 e
    run = make([[-1.0, 0.5, 0.01, 0.0, -0.02]], error=[0.01, 0.1, 0.1, 0.0, 0.1])
    hurt, rest = told(run, "hurt").split(". ", 1)
    assert hurt == "l1 (+0.50 ± 0.30) hurt beyond its error"
    untold, still = rest.split(" cannot be told: ")
    assert untold == "Whether l2 (+0.01 ± 0.30) and l4 (-0.02 ± 0.30) helped or hurt"
    assert "l3 did nothing at all" in still
    # l4's sum is negative too, but within its error
    assert told(run, "work") == "Beyond its error, only l0 (-1.000 ± 0.030) helped."


def test_helping_within_errors_is_not_counted_as_none():
    """Where other sums are negative too, the share is of the helping beyond errors."""
    run = make([[-1.0, -0.5, -0.1, -0.02]], error=[0.01, 0.01, 0.01, 0.1])
    assert told(run, "work") == (
        "Of the helping beyond errors, l0 (-1.000 ± 0.030) and l1 (-0.500 ± 0.030) did 94 %; one "
        "more layer did the rest."
    )
    both = told(make([[-1.0, -0.5, -0.02]], error=[0.01, 0.01, 0.1]), "work")
    assert both.startswith("Beyond their errors, only l0")


def test_one_unknown_error_voids_no_other_verdict():
    """A layer without a ± is left open by name; of the others it is said what they did."""
    both = np.tile([[[-1.0, -0.5, 0.0], [-0.8, 0.3, 0.0]]], (8, 1, 1)) / 8
    both[3, :, 2] = 0.2  # where no rule was compared
    compared = np.zeros((8, 2), bool)
    compared[[0, 4, 6]] = True
    run = make(both, measures=("train", "val"), audited=compared)
    error = np.where(compared[..., None], [1e-3, 1e-3, 0.0], np.nan)
    run = evolve(run, rows={**run.rows, "error": error})
    assert told(run, "hurt") == (
        "No layer hurt beyond its error. Whether l2 (+0.20000, ± unknown) helped or hurt is not "
        "known: it has no ±."
    )
    text = told(run, "generalisation")
    assert "helped train and hurt val, beyond the errors of both. Whether l2 did" in text
    assert text.endswith("is not known.")


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [(123.456, 20.3, "+123 ± 20"), (-1234.5, 234.0, "-1230 ± 230"), (0.01, 20.0, "+0 ± 20"),
     (1.1082e264, 1.6e264, "+1.1e+264 ± 1.6e+264"), (-2e-7, 1.1e-7, "-2.0e-07 ± 1.1e-07"),
     (-0.9, 0.0014, "-0.9000 ± 0.0014"), (0.5, 0.0, "+0.50000 ± 0"), (0.0, 0.1, "+0.00 ± 0.10"),
     (123456.7, 2.0, "+1.2346e+05 ± 2"), (123456.7, 2e4, "+1.23e+05 ± 2e+04")],
)  # fmt: skip
def test_numbers_have_the_digits_of_their_error(value, error, text):
    """To the second digit of the ± and no further, at any size; five digits at most."""
    assert measured(value, error) == text


def test_one_parameter_is_singular():
    """What a single parameter was allocated."""
    assert "what 1 parameter was allocated sums to" in told(make(-np.ones((3, 1))), "books")
    assert "what 2 parameters were allocated sums to" in told(make(-np.ones((3, 2))), "books")


def test_the_edge_of_the_error():
    """Just beyond the ± is named, just within is not."""
    for total, says in ((2.97, "l1 (+3.0 ± 3.0) hurt"), (2.95, "No layer hurt")):
        assert told(make([[-9.0, total]], error=[0.1, 1.0]), "hurt").startswith(says)


@pytest.mark.parametrize("error", [np.inf, -np.inf, np.nan])
def test_a_plus_minus_that_is_no_number_is_unknown(error):
    """Of a run that diverged, a value may be finite and its ± not, or neither is."""
    assert measured(0.5, error) == "+0.50000, ± unknown"
    assert measured(np.inf, error) == "+inf, ± unknown"
    assert measured(np.inf, 1.0) == "+inf, ± unknown"


def test_without_errors_nothing_is_claimed():
    """Where no rule was compared, sums are called sums."""
    run = make([[-1.0, 0.5]], error=np.nan)
    assert told(run, "hurt").startswith("Whether a layer hurt cannot be told")
    assert "± unknown" in told(run, "work")
    assert "compared at 0 of 1 step" in told(run, "certainty")


@pytest.mark.parametrize(
    ("compared", "lots", "says"),
    [
        ([0, 1, 4, 6], [0, 4], "at 4 of 8 steps, 2 of them by lot, which stand for the rest."),
        ([0, 4], [0, 4], "at 2 of 8 steps, which stand for the rest."),
        ([0, 1, 4], [4], "at 3 of 8 steps, which stand for the rest."),
        (range(8), [0, 4], "at 8 of 8 steps."),
    ],
)
def test_steps_that_stand_for_others_are_those_of_the_lot(compared, lots, says):
    """Steps that were refined by need are compared too; they judge others only without a lot."""
    error, audited = np.full((8, 1, 2), np.nan), np.zeros((8, 1), bool)
    error[list(compared)], audited[lots] = 0.01, True
    run = make(noise(8, 2), audited=audited)
    run = evolve(run, rows={**run.rows, "error": error})
    assert says in told(run, "certainty")


def noise(*shape, seed=0):
    """Return independent series."""
    return np.random.default_rng(seed).normal(size=shape)


def test_planted_synchrony_is_found():
    """Moments that all layers share are told with their number, p and null."""
    series = noise(600, 3)
    series[30:600:60] -= 9.0
    text = told(make(series), "synchrony")
    assert text.startswith("Layers learned at the same moments: all 3 layers")
    assert numbers(text)[2] >= 10
    assert "moved the peaks of every layer within stretches of about 20 steps" in text
    assert f"(p = 0.0001, {DRAWS:,} draws)" in text


def test_independent_layers_are_not_synchronous():
    """Of 40 runs of independent layers, hardly any is told to learn together."""
    texts = [told(make(noise(300, 2, seed=i)), "synchrony") for i in range(40)]
    assert sum(text.startswith("Layers learned") for text in texts) <= 2


def test_synchrony_counts_over_parts():
    """With classes, peaks of every class count."""
    together = noise(200, 4, 2)
    together[20:200:20, 1:] -= 9.0
    names = ("train", "train/c=0", "train/c=1", "train/c=2")
    parts = {"train": dict.fromkeys(names[1:], 1 / 3)}
    text = told(make(together, measures=names, parts=parts), "synchrony")
    assert "over 3 parts of train; if chance had moved the peaks of every layer, all parts" in text
    assert "independent" not in text
    assert numbers(text)[1] >= 27


def test_a_frozen_layer_does_not_hide_synchrony():
    """A layer that never did anything is not asked whether it learned with the others."""
    series = np.concatenate([noise(300, 2), np.zeros((300, 1))], axis=1)
    series[30:300:30] -= [9.0, 9.0, 0.0]
    text = told(make(series), "synchrony")
    assert text.startswith("Layers learned at the same moments: both layers that did anything had")
    text = told(make(series[:, :2]), "synchrony")
    assert text.startswith("Layers learned at the same moments: both layers had")


def test_who_overfits_is_named():
    """A layer that helped train and hurt val beyond both errors is named with both sums."""
    both = np.array([[[-1.0, -0.5, -0.2, +0.1], [-0.8, +0.3, +0.001, +0.2]]])
    run = make(both, error=0.01, measures=("train", "val"))
    for measure in ("train", "val"):
        text = told(run, "generalisation", measure)
        assert "l1 (-0.500 ± 0.030 and +0.300 ± 0.030) helped train and hurt val" in text
        assert "l2" not in text
        assert "l3" not in text
        assert "the train loss fell by 1.6000 and the val loss fell by 0.29900" in text
    assert told(make(both[:, :1], error=0.01), "generalisation") == ""


def test_two_measures_are_compared_on_the_same_steps():
    """A step that one measure lost is in no number of the sentence, for the other neither."""
    steps = [
        [[-1.0, 0.5], [-2.0, 0.25]],
        [[-4.0, 8.0], [np.nan, np.nan]],
        [[-0.5, 0.0], [1.0, 0.0]],
    ]
    loss = np.array([[1.5, 0.25], [5.5, 0.5], [5.0, 1.5]])
    run = make(np.array(steps), error=0.01, measures=("train", "val"), loss=loss)
    for measure in ("train", "val"):
        text = told(run, "generalisation", measure)
        assert "By the same motion, in the 2 steps finite in both, the train loss fell by" in text
        assert numbers(text)[1:3] == [1.0, 0.75]


def test_parts_are_not_held_out(run):
    """Classes of the training data are no second measure."""
    assert told(run, "generalisation") == ""
    assert told(run, "generalisation", "train/class=1") == ""


def test_lost_steps_are_counted():
    """Steps that are not finite are named, and are in no sum."""
    allocation = np.array([[-1.0, -1.0], [np.nan, np.nan], [-0.5, 0.0], [np.nan, np.nan]])
    loss = np.array([0.0, np.nan, -0.5, -0.5])[:, None]
    run = make(allocation, error=0.001, loss=loss, gap=np.nan_to_num(loss) * 0)
    assert "2 steps came to a value that is not finite, first at step 2" in told(run, "certainty")
    assert "sums to -2.5000" in told(run, "books")
    assert "2 of 4 steps closed" in told(run, "books")


def test_the_books_of_segments_are_told_as_such():
    """Where several steps were measured together, gaps and gradients are those of a segment."""
    text = told(make(np.full((3, 2), -0.5), every=4), "books")
    assert "All 3 segments closed; the largest gap of a segment is " in text
    assert text.endswith(" gradients a segment.")
    lossy = np.array([[-0.5], [np.nan], [-0.25], [-0.25]])
    loss = np.array([1.5, np.nan, 1.25, 1.0])[:, None]
    run = make(lossy, every=4, loss=loss, gap=np.nan_to_num(loss) * 0)
    assert "lies in the segments that were lost" in told(run, "books")
    assert "1 segment came to a value that is not finite, first at step 8" in told(run, "certainty")
    assert "compared at 3 of 3 segments" in told(run, "certainty")


def test_books_with_lost_steps_add_up_to_the_change():
    """Allocated, left over and lost make the fall; a lost end leaves the lost part unknown."""
    allocation = np.array([[-0.5], [np.nan], [np.nan], [-0.25], [np.nan]])
    loss = np.array([1.51, np.inf, 1.11, 0.86, 0.92])[:, None]
    gap = np.array([0.01, np.nan, np.nan, 0.0, np.nan])[:, None]
    text = told(make(allocation, error=0.001, loss=loss, gap=gap), "books")
    assert "sums to -0.75000, 0.01 of the change is left over in all (1 %), and -0.34000" in text
    _, allocated, left, _, lost, *_ = numbers(text)
    assert allocated + left + lost == pytest.approx(0.92 - 2.0)
    loss[-1] = np.nan
    run = make(allocation, error=0.001, loss=loss, gap=gap)
    assert "what lies in the steps that were lost is not known. 2 of 5" in told(run, "books")


@pytest.mark.parametrize(
    ("gap", "words"),
    [
        (0.004, "0.004 of the change is left over in all (0.4 %)"),
        (0.5, "0.5 of the change is left over in all (100 %)"),
        (1.5, "1.5 is left over in all, 300 % of the change"),
        (0.9, "0.9 is left over in all, 9 times the change"),
        (-1.5, "1.5 of the change is left over in all (60 %)"),
        (1.0, "1 is left over in all"),
        (200.0, "200 is left over in all, 101 % of the change"),
    ],
)
def test_what_is_left_over_is_a_share_of_the_true_change(gap, words):
    """Not of what was allocated, which may be far from it when the books do not close."""
    allocation = np.array([[-1.0], [0.0]])
    gaps = np.array([[0.0], [gap]])
    loss = 2.0 + np.cumsum(allocation + gaps, axis=0)
    text = told(make(allocation, gap=gaps, loss=loss), "books")
    assert f", and {words}. " in text


def test_the_shortest_runs():
    """No step has one sentence; one step is singular throughout."""
    assert [one.topic for one in story(demo_run(0), "train")] == ["loss"]
    text = " ".join(one.text for one in story(demo_run(1), "train"))
    assert not re.search(r"\b1 (steps|layers|times|parameters)", text)
    assert "The only step closed" in text


def test_measured_every_so_often():
    """Steps of the training and measurements are told apart."""
    run = make(-np.ones((5, 2)), every=10)
    assert "over 50 steps, measured 5 times" in told(run, "loss")


def test_without_counts():
    """A run without counts has no noise, and says so."""
    run = demo_run()
    rows = {name: rows for name, rows in run.rows.items() if name not in {"helped", "hurt"}}
    run = evolve(run, rows=rows)
    assert told(run, "noise") == ""
    assert told(run, "certainty").endswith("was not recorded.")


def test_unknown_measure():
    """A measure that the run does not hold is named."""
    with pytest.raises(NotRecordedError, match="'nope'"):
        story(demo_run(), "nope")


values = st.sampled_from([0.0, -1.0, 1.0, 1e-300, -1e30, 1e-9, np.nan, np.inf, -np.inf])


@given(data=st.data())
def test_every_run_has_a_story(data):
    """Whatever the numbers: no error, no warning, the same words twice, and nothing doubled."""
    steps, layers = data.draw(st.integers(0, 6)), data.draw(st.integers(1, 5))
    cells = st.lists(values, min_size=steps * layers, max_size=steps * layers)
    allocation = np.array(data.draw(cells)).reshape(steps, layers)
    error = data.draw(st.sampled_from([0.0, 1e-3, np.nan, 1e30]))
    with np.errstate(all="ignore"):
        run = make(allocation, error=error, measures=("train", "val"))
        first, again = story(run, "train"), story(run, "train")
    assert first == again
    assert all(one.text and one.text[-1] == "." for one in first)


@pytest.mark.slow
@pytest.mark.alone
def test_a_large_run_is_told_in_time():
    """4,000 steps of 100 layers in 10 classes: a few names only, and in proportion to its size."""
    names = ("train", *(f"train/class={i}" for i in range(10)))
    parts = {"train": dict.fromkeys(names[1:], 0.1)}
    took = {}
    for steps in (1000, 4000):
        run = make(noise(steps, 11, 100), measures=names, parts=parts)
        began = time.perf_counter()
        text = " ".join(one.text for one in story(run, "train"))
        took[steps] = time.perf_counter() - began
        assert len(text) < 2500
    assert took[4000] < 8 * took[1000]


def test_a_layer_whose_error_nobody_knows_is_named():
    """A layer that moved where nothing was compared has no ±; the others keep theirs."""
    allocation = np.full((20, 2), -0.01)
    allocation[3:, 1] = 0.0
    lots = np.isin(np.arange(20), [5, 9, 15])
    error = np.where(lots[:, None, None], [[[0.02, 0.0]]], np.nan)
    text = told(make(allocation, error=error, audited=lots[:, None]), "certainty")
    assert "two rules were compared at 3 of 20 steps, which stand for the rest." in text
    assert "That of l1 is not known: where it moved, hardly a step was compared." in text


def test_segments_are_told_from_steps():
    """Where a step is a segment of several, turns and shares are said to be of these."""
    run = demo_run(40, observers=[Counts(), Oscillation()])
    assert "segment" not in told(run, "noise")
    rows = {**run.rows, "iteration": 7 * run.rows["iteration"]}
    assert "A step is a segment of 7 steps of the training here." in told(
        evolve(run, rows=rows), "noise"
    )
    rows["iteration"] = np.append(rows["iteration"][:-1], 7 * run.steps - 4)
    assert "A step is a segment of up to 7 steps" in told(evolve(run, rows=rows), "noise")
