"""`lca show` can be read everywhere: wide and narrow, piped, without colours, without Unicode."""

import os
import re
import subprocess
import sys
from io import StringIO

import numpy as np
import pytest
from attrs import evolve
from rich.console import Console

from lca_core.cli import table
from lca_core.cli.numbers import aligned, known
from lca_core.cli.pictures import pictures
from lca_core.cli.terminal import print_story, print_summary, say
from lca_core.reference import demo_run
from lca_core.story import story
from lca_core.summary import LayerLine, booked_loss, closure, layer_lines


@pytest.fixture(scope="module")
def run_file(tmp_path_factory):
    """Return the path of a saved run."""
    path = tmp_path_factory.mktemp("runs") / "run.zarr"
    demo_run().save(path)
    return path


def printed(what, *, width=80, terminal=False, **settings):
    """Return what a function prints to a console."""
    console = Console(width=width, file=StringIO(), force_terminal=terminal, **settings)
    what(console)
    return console.file.getvalue()


def show(path, **environment):
    """Run the command in a process of its own; return its bytes."""
    command = "from lca_core.cli import main; main()"
    inherited = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    return subprocess.run(
        [sys.executable, "-c", command, "show", str(path)],
        capture_output=True, check=True, env={**inherited, **environment},
    ).stdout  # fmt: skip


def test_piped_output_is_plain(run_file):
    """A pipe gets the story, the curve and the table, without one escape sequence."""
    text = show(run_file, PYTHONIOENCODING="utf-8").decode()
    assert "\x1b" not in text
    squeezed = " ".join(text.split())
    for passage in story(demo_run(), "train"):
        assert passage.text in squeezed
    assert text.splitlines()[-1] == closure(demo_run(), "train")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_without_unicode(encoding, run_file):
    """Where the encoding lacks a character it is spelled out, and nothing breaks."""
    text = show(run_file, PYTHONIOENCODING=encoding).decode(encoding)
    (work,) = (one.text for one in story(demo_run(), "train") if one.topic == "work")
    assert "±" in work
    assert work.replace("±", "+-") in " ".join(text.replace("±", "+-").split())
    assert "****" in text
    assert "####" in text
    assert "?" not in text


@pytest.mark.parametrize("width", [80, 120])
def test_a_terminal_is_never_too_narrow(width):
    """On 80 columns no line is longer, bars included; words stay whole."""
    run = demo_run()

    def everything(console):
        print_story(console, run, "train")
        console.print(pictures(run, "train", console.width, ascii_only=False))
        print_summary(console, run, "train", "layer")

    text = printed(everything, width=width, terminal=True, color_system=None)
    assert max(map(len, text.splitlines())) <= width
    assert "██" in text
    words = " ".join(text.split())
    assert closure(run, "train") in words


@pytest.mark.parametrize("by", ["layer", "leaf"])
@pytest.mark.parametrize("width", [40, 48, 56, 64])
def test_a_narrow_terminal_keeps_what_matters(width, by):
    """However narrow the terminal, every LCA and every ± is there in full, and no line is cut."""
    run = demo_run()

    def everything(console):
        console.print(pictures(run, "train", console.width, ascii_only=False))
        print_summary(console, run, "train", by)

    text = printed(everything, width=width, terminal=True, color_system=None)
    assert max(map(len, text.splitlines())) <= width
    assert "± error" in text
    assert "…" not in text
    lines = layer_lines(run, "train", by)
    for line, lca in zip(lines, aligned([line.lca for line in lines]), strict=True):
        assert re.search(rf"{re.escape(lca)}.* {known(line.error, '.1e')} *$", text, re.MULTILINE)


def test_sentences_are_as_narrow_as_the_terminal():
    """A table that cannot be narrower does not widen the sentences below it."""
    run, width = demo_run(), 20

    def summed_up(console):
        print_summary(console, run, "train", "layer")

    text = printed(summed_up, width=width, terminal=True, color_system=None)
    table, sentences = text.split("train: loss fell")
    assert max(map(len, table.splitlines())) > width
    assert max(map(len, sentences.splitlines()[1:])) <= width
    assert " ".join(f"train: loss fell{sentences}".split()) == closure(run, "train")


@pytest.mark.parametrize("width", [30, 40, 60, 120])
def test_a_run_is_summed_up_once(width, monkeypatch):
    """However often a table is laid out until it fits, its lines are computed once."""
    asked = []
    monkeypatch.setattr(table, "layer_lines", lambda *of: asked.append(of) or layer_lines(*of))
    printed(lambda console: print_summary(console, demo_run(), "train", "layer"), width=width)
    assert len(asked) == 1


@pytest.mark.parametrize(("width", "tables"), [(70, 1), (120, 2)])
def test_no_table_is_laid_out_for_nothing(width, tables, monkeypatch):
    """Where all columns fit one table is made, and another one only to draw bars in it."""
    made, add = [], table._empty_table
    monkeypatch.setattr(table, "_empty_table", lambda *words: made.append(words) or add(*words))
    printed(lambda console: print_summary(console, demo_run(), "train", "layer"), width=width)
    assert len(made) == tables


def test_means_are_called_means():
    """Where several steps share a column, the range of who helps is said to be that of means."""
    drawn = [printed(lambda c, n=n: c.print(pictures(demo_run(n), "train", 60, ascii_only=True)))
             for n in (20, 100)]  # fmt: skip
    assert ["means of columns" in " ".join(text.split()) for text in drawn] == [False, True]


def test_no_color(monkeypatch):
    """NO_COLOR is heeded: bold is the most that is left."""
    monkeypatch.setenv("NO_COLOR", "1")
    run = demo_run()
    text = printed(lambda console: print_summary(console, run, "train", "layer"), terminal=True)
    assert not re.search(r"\x1b\[[\d;]*3[0-9]", text)


def test_colours_are_those_of_the_sign():
    """In a terminal a bar that helped is green."""
    run = demo_run()
    text = printed(lambda console: print_summary(console, run, "train", "layer"), terminal=True,
                   color_system="standard")  # fmt: skip
    assert re.search(r"\x1b\[32m *[▐█]+", text)
    assert "\x1b[31m" not in text


def test_a_dumb_terminal(run_file):
    """TERM=dumb changes nothing that matters."""
    assert "The train loss fell" in show(run_file, TERM="dumb", PYTHONIOENCODING="utf-8").decode()


def test_bars_line_up_with_their_numbers():
    """The layer with the larger sum has the longer bar; zero is where bars of both signs meet."""
    run = demo_run()
    rows = dict(run.rows)
    rows["allocation"] = np.zeros_like(rows["allocation"])
    rows["allocation"][0, 0] = [-2.0, 0.0, 1.0, 0.0]
    run = evolve(run, rows=rows)
    text = printed(lambda console: print_summary(console, run, "train", "layer"), width=120)
    first, second = (next(x for x in text.splitlines() if x.startswith(n)) for n in ("fc1", "fc2"))
    assert first.count("█") == pytest.approx(2 * second.count("█"), abs=1)
    assert first.rindex("█") in range(second.index("█") - 2, second.index("█") + 1)
    assert [line.lca for line in layer_lines(run, "train")][:2] == [-2.0, 1.0]


@pytest.mark.parametrize(("size", "error"), [(1e264, 2e264), (1e308, 1.5e308), (-1e308, np.inf)])
def test_a_run_that_diverged_far_has_its_table(size, error):
    """Sums near the largest number that there is have bars, their ± infinite or not."""
    lines = [
        LayerLine(name, 1, lca, 0.5, lca, 0.5, error)
        for name, lca in [("fc1", size), ("fc2", -size / 2), ("total", size / 2)]
    ]
    contents = table.AllocationTable(lines, "layer", "far off", sampled=False)
    first, second, total = contents.bars(16, ascii_only=False)
    assert first.strip()
    assert second.strip()
    assert total == ""
    text = printed(lambda console: console.print(contents.drawn([first, second, total])), width=120)
    assert f"{error:.1e}" in text


@pytest.mark.parametrize("far", [-6.7877e-264, 3.3245e264])
def test_no_number_beside_the_picture_is_cut(far):
    """The ends of the loss are whole, however many characters that takes, on any width."""
    run = demo_run(6)
    rows = {**run.rows, "loss": run.rows["loss"].copy()}
    rows["loss"][:] = min(far, 0.0)
    rows["loss"][-1] = far
    for width in (40, 80, 120):
        drawn = pictures(evolve(run, rows=rows), "train", width, ascii_only=True)
        lines = printed(lambda c, drawn=drawn: c.print(drawn), width=width).splitlines()
        assert max(map(len, lines)) <= width
        if far > 0.0:
            assert any(line.split()[0] == "3.3245e+264" for line in lines if line.split())
        assert "…" not in "".join(lines)


def test_the_pictures_say_their_scales():
    """The ends of the loss, the last step, the ranges of the spark lines are written out."""
    run = demo_run()
    drawn = pictures(run, "train", 80, ascii_only=True)
    text = printed(lambda console: console.print(drawn))
    loss, gap = run.loss("train"), np.abs(run.gap("train"))
    assert f"{max(loss.max(), booked_loss(run, 'train').max()):.4f}" in text
    assert f"{min(loss.min(), booked_loss(run, 'train').min()):.5f}" in text
    assert "step 20" in text
    assert f"{gap.min():.1g} to {gap.max():.1g}, logarithmic" in text
    assert text.count("o") >= 10


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_pictures_of_the_shortest_runs(steps):
    """A run of one step has pictures too."""
    drawn = pictures(demo_run(steps), "train", 40, ascii_only=True)
    assert max(map(len, printed(lambda c: c.print(drawn), width=40).splitlines())) <= 40


def test_pictures_without_numbers():
    """Without counts there is no line of who helps; lost steps leave gaps."""
    run = demo_run(6)
    rows = {k: v.copy() for k, v in run.rows.items() if k not in {"helped", "hurt"}}
    rows["loss"][2:4] = rows["gap"][2:4] = rows["allocation"][2:4] = np.nan
    rows["status"][2:4] = 3
    drawn = pictures(evolve(run, rows=rows), "train", 60, ascii_only=True)
    text = printed(lambda console: console.print(drawn))
    assert "helping" not in text
    assert "loss" in text
    rows["loss"][:] = rows["gap"][:] = rows["allocation"][:] = np.nan
    rows["status"][:] = 3
    lost = evolve(run, rows=rows)
    assert "step 6" in printed(lambda c: c.print(pictures(lost, "train", 60, ascii_only=True)))


def test_paths_are_not_broken():
    """A terminal breaks a line between words; a path that is too long stays one."""
    path = "/a/very-long/path/" + "x" * 60
    text = printed(lambda console: say(console, f"Figures: one, two, {path}."), width=40,
                   terminal=True, color_system=None)  # fmt: skip
    assert f"{path}." in text.splitlines()
    piped = printed(lambda console: say(console, f"Figures: one, two, {path}."), width=40)
    assert piped == f"Figures: one, two, {path}.\n"
