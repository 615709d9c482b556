"""The progress line fits and is honest about time; the live table shows what the run will hold."""

import math
import re
from io import StringIO
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from lca_core import Counts
from lca_core.cli import progress
from lca_core.cli import run as carried_out
from lca_core.cli.live import LiveLayers
from lca_core.cli.progress import ProgressLine, TrainingProgress, cost
from lca_core.cli.trained_with import TrainedWith
from lca_core.overhead import Overhead
from lca_core.reference import Perceptron, track

LINE = ProgressLine(
    done=1_234, steps=12_345, elapsed=70.0, left=4_000.0, loss=0.123456, gap=1.2e-5,
    gradients=1.07, each="step", factor=4.24,
)  # fmt: skip


def console(width=80, *, terminal=False, height=24):
    """Return a console on a string."""
    return Console(file=StringIO(), width=width, height=height, force_terminal=terminal,
                   color_system=None)  # fmt: skip


def printed(line, width):
    """Return one line as printed."""
    where = console(width)
    where.print(line)
    return where.file.getvalue().rstrip("\n")


@pytest.mark.parametrize("width", [20, 30, 40, 60, 80, 100, 120, 200])
def test_the_line_fits(width):
    """Whatever the width, it is one line, whole, and says how far it is."""
    text = printed(LINE, width)
    assert "\n" not in text
    assert len(text) <= width
    assert "…" not in text
    assert "1,234" in text


def test_eighty_columns_say_everything():
    """Loss, gap, gradients a step, cost, and the time that is left."""
    text = printed(LINE, 80)
    for words in ("67 min left", "loss 0.123", "gap 1e-05", "1.07 grad", "4.2×"):
        assert words in text


class Walk:
    """A tracker that descends, with a loss of two layers."""

    def __init__(self, **options):
        rng = np.random.default_rng(0)
        labels = rng.integers(3, size=30)
        self.problem = Perceptron(rng.normal(size=(30, 4)), labels, (4, 8, 3), "tanh")
        self.params = self.problem.initial(0)
        options = {"observers": [Counts()], **options}
        self.tracker = track({"train": self.problem}, self.params, self.problem.layout, **options)

    def step(self):
        """Make one step."""
        gradient = self.problem(self.params, {}).gradient
        self.params = {k: leaf - 0.5 * np.asarray(gradient[k]) for k, leaf in self.params.items()}
        self.tracker.step(self.params)
        return self.tracker


def test_time_left_is_that_of_a_step_without_the_first(monkeypatch):
    """What is left is steps times their mean time; unknown before the second, not guessed."""
    walk = Walk()
    assert math.isnan(ProgressLine.of(walk.step(), 10, 5.0).left)
    assert "left: ?" in ProgressLine.of(walk.tracker, 10, 5.0).wordings[0]
    for _ in range(3):
        walk.step()
    monkeypatch.setattr(type(walk.tracker), "overhead", Overhead(seconds=6.0, steps=3, alone=1 / 3))
    line = ProgressLine.of(walk.tracker, 10, 99.0)
    assert line.left == 6 * 2.0
    assert line.factor == pytest.approx(6.0)
    assert "12 s left" in line.wordings[0]
    assert "in 1.6 min" in ProgressLine.of(walk.tracker, 4, 99.0).wordings[0]


def test_the_line_has_the_trackers_numbers():
    """Loss, gap and average of gradients are those of the tracker."""
    walk = Walk()
    for _ in range(5):
        walk.step()
    last, line = walk.tracker.last(), ProgressLine.of(walk.tracker, 9, 0.0)
    assert "gradients a step" in line.wordings[0]
    assert (line.loss, line.gap) == (last["loss"], abs(last["gap"]))
    assert line.gradients == last["gradients"]
    assert (line.done, line.steps) == (5, 9)


def test_a_file_gets_the_last_line_only():
    """Where there is no terminal, one line is left: that of the last step."""
    walk, where = Walk(), console()
    with TrainingProgress(where, 5) as line:
        for _ in range(5):
            line(walk.step())
    text = where.file.getvalue()
    assert text.count("loss") == 1
    assert "5/5" in text
    assert line.overhead.steps == 4


def test_what_is_not_known_is_left_out():
    """Before the first measurement there is neither gap nor gradients nor cost, and no nan."""
    walk = Walk(every=5)
    for words in ProgressLine.of(walk.step(), 9, 70.0).wordings[:4]:
        assert re.fullmatch(r"1/9 +left: \? +loss [\d.]+", words), words


@pytest.mark.parametrize("kind", [TrainingProgress, LiveLayers])
def test_the_last_line_is_that_of_the_last_segment(kind):
    """A segment that closes only as the run ends is in the line, and in the table above it."""
    walk, where = Walk(every=5), console(120, terminal=kind is LiveLayers)
    with kind(where, 7) as line:
        for _ in range(7):
            line(walk.step())
        run = walk.tracker.finish()
    text = where.file.getvalue().rpartition("7/7")[2]
    assert f"loss {run.loss('train')[-1]:.4g}" in text
    assert f"{walk.tracker.last()['gradients']:.2f} gradients a segment" in text
    if kind is LiveLayers:
        total = run.allocation("train").values.sum(axis=0)
        found = [float(row.split()[1]) for row in rows_of(where.file.getvalue()).values()]
        np.testing.assert_allclose(found, total, rtol=1e-4)


def test_drawing_takes_a_share_of_the_time(monkeypatch):
    """However long it takes to draw, it is done so seldom that it is 2 % of the time."""
    now, shown = [0.0], []
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now[0]))
    walk = Walk()
    walk.step()

    class Slow(TrainingProgress):
        def _shown(self, tracker):
            now[0] += 0.5
            shown.append(now[0])
            return "slow"

    with Slow(console(), 10**6) as slow:
        for _ in range(2_000):
            now[0] += 0.1
            slow(walk.tracker)
    assert 0.5 * len(shown) <= 0.02 * now[0] + 0.5
    assert len(shown) >= 7


def rows_of(text):
    """Return the last printed line of every layer."""
    plain = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "\n", text)
    return {line.split()[0]: line for line in plain.splitlines() if line.startswith("fc")}


@pytest.mark.parametrize("every", [1, 2])
def test_the_live_table_shows_the_sums(every):
    """Its last state is the run's own sums, shares and counts; each closed step is one mark."""
    walk, where = Walk(every=every), console(100, terminal=True)
    with LiveLayers(where, 8) as live:
        for _ in range(8):
            live(walk.step())
    run, rows = walk.tracker.finish(), rows_of(where.file.getvalue())
    labels, values = run.allocation("train")
    total, helping = values.sum(axis=0), run.helping("train").share[-1]
    for label, lca, share in zip(labels, total, helping, strict=True):
        cells = rows[label].split()
        assert float(cells[1]) == pytest.approx(lca, rel=1e-4)
        assert float(cells[2]) == pytest.approx(100 * lca / total.sum(), abs=0.06)
        assert float(cells[4]) == pytest.approx(100 * share, abs=0.06)
        assert len(cells[6]) == 8 // every


def test_the_live_table_of_many_layers_fits():
    """On a low terminal the largest layers are shown, and the rest is counted."""
    walk, where = Walk(observers=[]), console(100, terminal=True, height=7)
    with LiveLayers(where, 1) as live:
        live(walk.step())
    text = where.file.getvalue()
    total = walk.tracker.finish().allocation("train").values.sum(axis=0)
    assert list(rows_of(text)) == [("fc1", "fc2")[int(np.abs(total).argmax())]]
    assert "and 1 more" in text
    assert "–" in text  # nobody counted who helps


def test_steps_that_are_lost_are_in_no_live_sum():
    """A step that is not finite leaves the sums, as it does those of the run."""
    walk, where = Walk(), console(100, terminal=True)
    with LiveLayers(where, 3) as live:
        live(walk.step())
        kept = walk.params
        walk.tracker.step({k: leaf * np.nan for k, leaf in kept.items()})
        live(walk.tracker)
        walk.params = kept
        live(walk.step())
    run = walk.tracker.finish()
    expected = run.allocation("train").values[run.finite("train")].sum(axis=0)
    found = [float(row.split()[1]) for row in rows_of(where.file.getvalue()).values()]
    np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.mark.parametrize(("terminal", "kind"), [(True, "LiveLayers"), (False, "TrainingProgress")])
def test_live_needs_a_terminal(terminal, kind, monkeypatch, tmp_path):
    """Asked for where there is no terminal, the table gives way to the line."""
    made = []

    class SeenError(Exception):
        pass

    for name in ("LiveLayers", "TrainingProgress"):

        def make(*_, name=name):
            made.append(name)
            raise SeenError

        monkeypatch.setattr(carried_out, name, make)

    class Steps(list):
        def steps(self, _):
            return 1

    data = type("Data", (), {"train": []})
    trained = TrainedWith(tmp_path / "run.zarr", "numpy", Steps(), data)
    with pytest.raises(SeenError):
        carried_out.carry_out(None, trained, tracking={},
                              console=console(terminal=terminal), live=True)  # fmt: skip
    assert made == [kind]


def test_the_cost_in_words():
    """Factor and seconds a step."""
    text = cost(Overhead(seconds=8.0, steps=4, alone=0.5))
    assert text.startswith("Training with measuring took 4.0× the time of training alone, 2 s a")
