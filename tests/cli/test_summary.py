"""The table and the closing line say what the run holds."""

from __future__ import annotations

from io import StringIO

import numpy as np
import pytest
from attrs import asdict, evolve
from rich.console import Console

from lca_core import Counts, Header, Layout, Leaf, Run, Status
from lca_core.cli.table import AllocationTable
from lca_core.errors import NotRecordedError
from lca_core.ledger import LEDGER
from lca_core.probes import Probed
from lca_core.reference import demo_run
from lca_core.summary import books, closure, layer_lines

LAYOUT = Layout(
    [
        Leaf("fc1.weight", (2, 2), layer="fc1"),
        Leaf("fc1.bias", (2,), layer="fc1"),
        Leaf("fc2.weight", (1, 2), layer="fc2"),
    ]
)
ROWS = {
    "loss": [2.5, 2.0, 1.75],
    "gap": [-0.125, 0.25, 0.0],
    "buffers": [-0.125, 0.0, 0.0],
    "noise": [1e-6, 1e-6, 1e-6],
    "allocation": [[-1.0, -0.5, 0.25], [-0.25, 0.0, -0.5], [-0.25, 0.0, 0.0]],
    "error": [[0.5, 0.25, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]],
    "evaluations": [2, 1, 1],
    "status": [0, 0, 0],
    "audited": [False, False, False],
    "helped": [[3, 2, 0], [1, 0, 2], [2, 0, 0]],
    "hurt": [[1, 0, 2], [1, 0, 0], [0, 0, 0]],
}
"""Three steps of one measure from a loss of 4."""


def hand_made(every=1, probes=None, **rows):
    """Return a run of three steps, or segments, with numbers that can be added up by hand."""
    declared = (*LEDGER, *Counts().declare(LAYOUT))
    header = Header(LAYOUT, ("train",), declared, {"probes": probes or {}}, (4.0,))
    values = {name: np.array(value) for name, value in (ROWS | rows).items()}
    of_measures = {name: array[:, None] for name, array in values.items()}
    return Run(header, {"iteration": every * np.arange(1, 4), **of_measures}, {})


def test_lines_add_up_by_layer():
    """A layer's line holds the sums of its leaves over all steps; the last line is the total."""
    run = hand_made()
    lines = layer_lines(run, "train")
    assert [line.layer for line in lines] == ["fc1", "fc2", "total"]
    assert [line.parameters for line in lines] == [6, 2, 8]
    assert [line.lca for line in lines] == [-2.0, -0.25, -2.25]
    assert [line.share for line in lines] == pytest.approx([8 / 9, 1 / 9, 1.0])
    assert [line.per_parameter for line in lines] == pytest.approx([-1 / 3, -1 / 8, -9 / 32])
    assert [line.error for line in lines[:2]] == run.error("train").values.tolist()


def test_what_is_estimated_changes_by_what_was_allocated_and_moving_buffers_caused():
    """Of a redrawn measure there is no other change, and what was lost is in none of it."""
    probe = Probed(True, 40, 240, 4, 0, stratified=False, every=1, rule="midpoint")
    status = [Status.ESTIMATED, Status.NONFINITE, Status.ESTIMATED]
    alike = np.repeat(np.array(ROWS["allocation"])[..., None], 4, axis=-1)
    run = hand_made(probes={"train": asdict(probe)}, status=status, subsample_allocation=alike)
    found = books(run, "train")
    assert (found.allocated, found.buffers, found.fall) == (-1.5, -0.125, -1.625)
    assert found.closing == (
        "estimated from 40 of 240 examples a step, so nothing is said to close; "
        "1 of 3 steps came to a value that is not finite, and allocated nothing"
    )


def test_error_of_the_total_is_the_sum_of_gaps():
    """The total's ± is known, not estimated: what all gaps add up to."""
    assert layer_lines(hand_made(), "train")[-1].error == 0.125


def test_helping_is_a_mean_over_steps_on_which_something_moved():
    """Helped / (helped + hurt) is averaged over steps; a step without motion does not count."""
    helping = [line.helping for line in layer_lines(hand_made(), "train")]
    assert helping == pytest.approx([(5 / 6 + 1 / 2 + 1) / 3, (0 + 1) / 2, (5 / 8 + 3 / 4 + 1) / 3])


def test_lines_by_leaf():
    """By leaf, every named array has a line of its own."""
    lines = layer_lines(hand_made(), "train", by="leaf")
    assert [(line.layer, line.lca) for line in lines] == [
        ("fc1.weight", -1.5),
        ("fc1.bias", -0.5),
        ("fc2.weight", -0.25),
        ("total", -2.25),
    ]


def test_lines_without_counts():
    """A run without counts has its sums all the same, and says that it does not know the rest."""
    run = hand_made()
    rows = {name: array for name, array in run.rows.items() if name not in {"helped", "hurt"}}
    lines = layer_lines(evolve(run, rows=rows), "train")
    assert [line.lca for line in lines] == [-2.0, -0.25, -2.25]
    assert np.isnan([line.helping for line in lines]).all()


def test_nonfinite_steps_allocate_nothing():
    """A step that is not finite leaves the sums of the others as they are."""
    run = hand_made(
        loss=[np.nan, 2.0, 1.75],
        gap=[np.nan, 0.25, 0.0],
        allocation=[[np.nan, np.inf, 0.0], [-0.25, 0.0, -0.5], [-0.25, 0.0, 0.0]],
        status=[3, 0, 0],
    )
    lines = layer_lines(run, "train")
    assert [line.lca for line in lines] == [-0.5, -0.5, -1.0]
    assert lines[-1].helping == pytest.approx((3 / 4 + 1) / 2)
    assert books(run, "train").largest_gap == 0.25


def test_a_run_that_was_lost_has_no_sums():
    """Where no step is finite nothing is known of any layer, nor of their total."""
    run = hand_made(allocation=np.full((3, 3), np.nan), gap=[np.nan] * 3, status=[3, 3, 3])
    for line in layer_lines(run, "train"):
        assert np.isnan([line.lca, line.share, line.error]).all()


@pytest.mark.parametrize("small", [0.0, 1e-5])
def test_no_share_is_minus_nothing(small):
    """A layer that did nothing, or next to nothing, has 0.0 % of a fall, not -0.0 %."""
    run = hand_made(allocation=[[-1.0, 0.0, small]] + [[0.0, 0.0, 0.0]] * 2)
    share = layer_lines(run, "train")[1].share
    assert share == pytest.approx(-small, rel=1e-4)
    assert not (small == 0.0 and np.signbit(share))
    console = Console(width=100, file=StringIO())
    console.print(AllocationTable.of(run, "train", "layer").drawn())
    text = console.file.getvalue()
    assert "0.0 %" in text
    assert "-0.0 %" not in text


def test_nothing_moved():
    """Without any motion shares and helping are unknown, not an error."""
    still = np.zeros((3, 3))
    run = hand_made(allocation=still, helped=still.astype(int), hurt=still.astype(int))
    total = layer_lines(run, "train")[-1]
    assert total.lca == 0.0
    assert np.isnan([total.share, total.helping]).all()


def test_closing_line_of_a_fall():
    """The closing line names the fall, the sum, the buffers' part, the gap, the cost, the state."""
    assert closure(hand_made(), "train") == (
        "train: loss fell by 2.2500; allocations sum to -2.2500; moving buffers caused -0.12500; "
        "largest step gap 0.25; 1.67 gradients a step; all 3 steps closed"
    )


def test_closing_line_of_a_rise():
    """A loss that rose is said to have risen; buffers that did nothing are not mentioned."""
    line = closure(hand_made(loss=[5.0, 6.0, 7.5], buffers=[0.0, 0.0, 0.0]), "train")
    assert line.startswith("train: loss rose by 3.5000; allocations sum to -2.2500; largest step")


def test_closing_line_of_no_change():
    """A loss that ends where it began neither fell nor rose."""
    assert "train: loss stayed at 4.0000;" in closure(hand_made(loss=[5.0, 6.0, 4.0]), "train")


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ([0, 1, 1], "1 of 3 steps closed; 2 ran out of points with a gap left"),
        ([0, 0, 2], "2 of 3 steps closed; 1 stalled at a gap that more points do not close"),
        ([3, 1, 2], "0 of 3 steps closed; 1 ran out of points"),
        ([3, 0, 0], "1 came to a value that is not finite, and allocated nothing"),
    ],
)
def test_closing_line_names_every_status(status, words):
    """Steps whose books did not close are counted, in words, by the reason."""
    assert words in closure(hand_made(status=status), "train")


@pytest.mark.parametrize(
    ("status", "words"), [([0, 0, 0], "all 3 segments closed"), ([0, 1, 1], "1 of 3 segments")]
)
def test_closing_line_of_segments(status, words):
    """Where steps were measured together, what closed, its gap and its cost are a segment's."""
    line = closure(hand_made(every=4, status=status), "train")
    assert "; largest segment gap 0.25; 1.67 gradients a segment; " in line
    assert words in line
    assert "step" not in line


def test_closing_line_of_a_lost_loss():
    """A loss that ends as NaN is shown as it is; there is no gap to speak of."""
    nan = [np.nan] * 3
    line = closure(hand_made(loss=nan, gap=nan, status=[3, 3, 3]), "train")
    assert line.startswith("train: loss went from 4.0000 to nan; no allocation is known;")
    assert "largest step gap" not in line


@pytest.mark.parametrize(
    ("steps", "words"), [(0, "no steps recorded; loss stayed at"), (1, "the only step closed")]
)
def test_closing_line_of_the_shortest_runs(steps, words):
    """Runs of no step and of one step have a closing line too."""
    assert words in closure(demo_run(steps), "train")


def test_gradients_a_step_count_the_first_iterate():
    """The gradient at the first iterate belongs to the cost."""
    found = books(hand_made(), "train")
    assert found.gradients == pytest.approx((1 + 4) / 3)
    assert found.statuses == {Status.OK: 3}
    assert np.isnan(books(demo_run(0), "train").gradients)


def test_unknown_measure():
    """A measure that the run does not hold is named, with those that it does."""
    with pytest.raises(NotRecordedError, match=r"\['train'\], not 'val'"):
        closure(hand_made(), "val")
