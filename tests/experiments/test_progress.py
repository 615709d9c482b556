"""The line over all runs fits, counts what is in the files, and is honest about time."""

import math
import time
from io import StringIO

import pytest
from rich.console import Console

from experiments.made import STEPS, jobs
from lca_core.cli import runs_progress
from lca_core.cli.runs_progress import RunsLine, RunsProgress
from lca_core.experiments.carrying import Ended, carry_out
from lca_core.experiments.job import carried
from lca_core.experiments.workers import Serial

LINE = RunsLine(runs=40, done=12, failed=1, running=2, steps=36_000, made=11_234, elapsed=60.0,
                left=4_000.0)  # fmt: skip


def console(width=100, *, terminal=False):
    """Return a console on a string."""
    return Console(file=StringIO(), width=width, force_terminal=terminal, color_system=None)


@pytest.mark.parametrize("width", [8, 20, 40, 60, 80, 120])
def test_the_line_fits(width):
    """Whatever the width, it is one line, whole, and says how many runs are done."""
    where = console(width)
    where.print(LINE)
    text = where.file.getvalue().rstrip("\n")
    assert "\n" not in text
    assert len(text) <= width
    assert "12/40" in text


def test_eighty_columns_say_everything():
    """Runs done, failed and running, steps and time."""
    where = console(90)
    where.print(LINE)
    for words in ("12/40 runs done", "1 failed", "2 running", "11,234/36,000", "67 min left"):
        assert words in where.file.getvalue()


def test_what_was_there_is_not_counted_as_pace(tmp_path, marks, monkeypatch):
    """What is left is what is missing, at the pace of this session alone; unknown before that."""
    planned = jobs(tmp_path)
    carried(planned[0])
    clock = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: clock)
    progress = RunsProgress(console(), planned)
    line = progress._look()
    assert (line.done, line.made, line.steps) == (1, STEPS, 4 * STEPS)
    clock += 20.0
    assert math.isnan(progress._look().left)
    carried(planned[1])
    assert progress._look().running == 1
    progress.ended(Ended(planned[1], None))
    line = progress._look()
    assert (line.done, line.running, line.made) == (2, 0, 2 * STEPS)
    assert line.left == pytest.approx(40.0)


def test_failures_are_not_waited_for(tmp_path, monkeypatch):
    """A run that failed has no time left, and is not done."""
    planned = jobs(tmp_path)
    progress = RunsProgress(console(), planned)
    for job in planned:
        progress.ended(Ended(job, RuntimeError("No.")))
    line = progress._look()
    assert (line.done, line.failed) == (0, 4)
    assert line.when.startswith("in ")


def test_without_a_terminal_a_line_a_run(tmp_path, marks):
    """A log has one line for every run that ends, and one at the end."""
    where, planned = console(), jobs(tmp_path)
    with RunsProgress(where, planned) as progress:
        carry_out(planned, Serial(), progress.ended)
    lines = where.file.getvalue().splitlines()
    assert len(lines) == 5
    assert lines[0].startswith("slow, seed 0: done. 1/4 runs done")
    assert lines[-1].startswith("4/4 runs done  48/48 steps  in ")


def test_on_a_terminal_one_line_lives(tmp_path, marks, monkeypatch):
    """On a terminal one line is drawn again and again, from the files, and one is left."""
    monkeypatch.setattr(runs_progress, "_PAUSE", 0.0)
    where, planned = console(terminal=True), jobs(tmp_path, seeds=[0])
    with RunsProgress(where, planned) as progress:
        progress._live.refresh()
        carry_out(planned, Serial(), progress.ended)
        progress._live.refresh()
    text = where.file.getvalue()
    assert "0/2 runs done" in text
    assert "slow, seed 0" not in text
    assert text.rstrip().splitlines()[-1].endswith("s.")
