"""The command line shows, draws and refuses as promised."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from importlib import metadata
from io import StringIO

import numpy as np
import pytest
from attrs import evolve
from click.testing import CliRunner
from rich.console import Console

import lca_core
from cli.stopped import STOPS, stopped
from core.test_lock import told, writer
from lca_core.cli import commands, main, run, terminal
from lca_core.cli.numbers import aligned
from lca_core.cli.progress import TrainingProgress
from lca_core.cli.table import AllocationTable
from lca_core.errors import MissingExtraError
from lca_core.experiments.folder import Place
from lca_core.figures import FIGURES
from lca_core.overhead import Overhead
from lca_core.reference import Perceptron, demo_run, track
from lca_core.story import story
from lca_core.summary import closure

NUMBER = re.compile(r"[+-]\d\.\d+\b(?!e)")


class NumpyAdapter:
    """An adapter that descends on the first 50 examples with a small perceptron, in numpy."""

    name = "numpy"

    def train(self, spec, dataset, *, on_step, tracking, by_class):
        """Make the steps of the spec."""
        train, val = (self.problem(split) for split in (dataset.train, dataset.val))
        params = train.initial(spec.seed)
        with track({"train": train, "val": val}, params, train.layout, **tracking) as tracker:
            for _ in spec.batches(len(dataset.train)):
                gradient = train(params, {}).gradient
                params = {name: leaf - 0.01 * gradient[name] for name, leaf in params.items()}
                tracker.step(params)
                on_step(tracker)
        return tracker.run

    def problem(self, split):
        """Return the loss over the first examples of a split."""
        inputs = split.inputs[:50].reshape(-1, 64).astype(np.float64)
        return Perceptron(inputs, split.labels[:50], (64, 20, 10))


@pytest.fixture
def _numpy_backend(monkeypatch):
    """Let every name of a backend stand for the numpy adapter."""
    monkeypatch.setattr(run, "find_adapter", lambda _: NumpyAdapter())


@pytest.fixture(scope="session")
def run_file(tmp_path_factory):
    """Return the path of a saved run."""
    path = tmp_path_factory.mktemp("runs") / "run.zarr"
    demo_run().save(path)
    return path


NEED_OBSERVERS = {"distribution", "heroes", "trajectories", "gradient-peaks", "motion-peaks"}
"""Figures of what is not recorded by default."""


def lca(*arguments):
    """Run the command."""
    return CliRunner().invoke(commands.lca, [str(argument) for argument in arguments])


def refused(result, *words):
    """Check that a command ended in one readable line with these words."""
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    for word in words:
        assert word in result.stderr


@pytest.mark.usefixtures("_numpy_backend")
def test_demo_shows_and_writes_everything(tmp_path):
    """The demo announces itself, prints table and closing lines, writes the run and pictures."""
    out = tmp_path / "new" / "demo"
    result = lca("demo", "--backend", "numpy", "--out", out, "--epochs", 1, "--seed", 3)
    assert result.exit_code == 0, result.output
    first = result.output.splitlines()[0]
    assert first.startswith(
        "Training a 64-100-50-10 network on 1,500 handwritten digits with numpy"
    )
    written = lca_core.load(out / "run.zarr")
    assert written.steps == 15
    assert "15 steps" in first
    assert "12,060 parameters" in first
    for measure in ("train", "val"):
        assert closure(written, measure) in result.output.splitlines()
    squeezed = " ".join(result.output.split())
    assert all(passage.text in squeezed for passage in story(written, "train"))
    assert re.search(r"Training with measuring took [\d.]+× the time of training alone", squeezed)
    pictures = [f"{name}.png" for name in FIGURES if name not in NEED_OBSERVERS]
    for file in (out / "run.zarr", *(out / picture for picture in pictures)):
        assert file.exists()
        assert str(file) in result.output
    assert {path.name for path in out.iterdir()} == {
        "run.zarr",
        *pictures,
    }


@pytest.mark.usefixtures("_numpy_backend")
def test_live_without_a_terminal_is_the_line(tmp_path):
    """--live in a pipe leaves one line of progress, and everything else as it was."""
    result = lca("demo", "--out", tmp_path, "--epochs", 1, "--live")
    assert result.exit_code == 0, result.output
    assert result.output.count("15/15") == 1
    assert "LCA so far" not in result.output


@pytest.mark.usefixtures("_numpy_backend")
def test_demo_refuses_to_overwrite(tmp_path):
    """An earlier run stays as it is; the line names both ways out."""
    (tmp_path / "run.zarr").mkdir()
    refused(lca("demo", "--out", tmp_path, "--epochs", 1), "run.zarr", "--out", "--overwrite")
    assert not any((tmp_path / "run.zarr").iterdir())


@pytest.mark.usefixtures("_numpy_backend")
@pytest.mark.parametrize("broken", [False, True])
def test_overwrite_deletes_only_the_run(tmp_path, broken):
    """--overwrite replaces run.zarr, or what is left of one, and touches nothing else there."""
    demo_run().save(tmp_path / "run.zarr")
    if broken:
        (tmp_path / "run.zarr" / "zarr.json").unlink()
    (tmp_path / "run.zarr" / "old").write_text("old")
    (tmp_path / "notes.txt").write_text("mine")
    result = lca("demo", "--out", tmp_path, "--epochs", 1, "--overwrite")
    assert result.exit_code == 0, result.output
    assert not (tmp_path / "run.zarr" / "old").exists()
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.usefixtures("_numpy_backend")
@pytest.mark.parametrize("kept", ["run.zarr", "run.zarr/thesis.txt", "run.zarr/zarr.json"])
def test_overwrite_deletes_nothing_but_runs(tmp_path, kept):
    """What is called run.zarr and is no run, as others' groups, is somebody's, and stays."""
    path = tmp_path / kept
    path.parent.mkdir(exist_ok=True)
    path.write_text('{"node_type": "group"}')
    result = lca("demo", "--out", tmp_path, "--epochs", 1, "--overwrite")
    refused(result, "run.zarr", "attribute 'lca'", "--out")
    assert path.read_text() == '{"node_type": "group"}'


@pytest.mark.usefixtures("_numpy_backend")
def test_overwrite_deletes_no_run_that_is_being_written(tmp_path):
    """A run that another process writes is refused, and becomes whole."""
    path = tmp_path / "run.zarr"
    with writer(path) as process:
        refused(lca("demo", "--out", tmp_path, "--epochs", 1, "--overwrite"), "Another process")
        assert told(process) == "finished\n"
    assert lca_core.load(path).steps == 40


@pytest.mark.parametrize("command", ["demo", "run"])
@pytest.mark.parametrize("order", [1, -1])
def test_only_one_way_with_an_earlier_run(tmp_path, command, order):
    """--resume and --overwrite together are refused, in whichever order, and nothing is done."""
    result = lca(command, "--out", tmp_path / "out", *["--resume", "--overwrite"][::order])
    assert result.exit_code == 2
    assert "pass one of them" in result.output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("number", STOPS, ids=lambda one: one.name)
def test_a_run_that_is_stopped_says_what_is_safe(number, tmp_path):
    """By Ctrl-C, a scheduler, a closed terminal: it says, on its own line, which steps are safe."""
    arguments = ["demo", "--epochs", 3000, "--out", tmp_path]
    status, words, _ = stopped(arguments, number, Place(tmp_path).steps, stdout=subprocess.PIPE)
    assert status == 128 + number
    path = tmp_path / "run.zarr"
    steps = lca_core.load(path).steps
    assert steps > 0
    told = f"Stopped. Recorded in {path}: {steps:,} steps; --resume goes on from there."
    assert told in words.splitlines()


@pytest.mark.usefixtures("_numpy_backend")
def test_overwrite_follows_no_link(tmp_path):
    """A link at run.zarr is removed as a link; what it points to stays."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "kept").write_text("kept")
    (tmp_path / "run.zarr").symlink_to(tmp_path / "elsewhere")
    assert lca("demo", "--out", tmp_path, "--epochs", 1, "--overwrite").exit_code == 0
    assert (tmp_path / "elsewhere" / "kept").read_text() == "kept"


def test_unknown_backend_deletes_nothing(tmp_path):
    """A backend that is not there is refused before an earlier run is touched."""
    (tmp_path / "run.zarr").mkdir()
    refused(lca("demo", "--backend", "nope", "--out", tmp_path, "--overwrite"), "'nope'")
    assert (tmp_path / "run.zarr").exists()


def test_show_prints_what_the_file_holds(run_file):
    """The table has a line a layer and a total, numbers lined up, then the closing line."""
    result = lca("show", run_file)
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    rows = [line for line in lines if line.startswith(("fc1", "fc2", "total"))]
    assert len({NUMBER.search(row).end() for row in rows}) == 1
    assert len({len(row.rstrip()) for row in rows}) == 1
    assert rows[-1].split()[1:5] == ["67", f"{demo_total():+.4f}", "100.0", "%"]
    assert lines[-1] == closure(demo_run(), "train")


def demo_total():
    """Return everything that the demonstration run allocated."""
    return demo_run().allocation("train").values.sum()


def test_a_folder_stands_for_the_run_in_it(run_file):
    """What `lca run --out DIR` wrote is shown by `lca show DIR`."""
    assert lca("show", run_file.parent).output == lca("show", run_file).output


@pytest.mark.usefixtures("_numpy_backend")
def test_the_next_command_can_be_pasted(tmp_path):
    """What is printed to show the run is one command of a shell, blanks in its path or not."""
    out = tmp_path / "de mo (1)"
    told = lca("demo", "--out", out).output
    command = re.search(r"\((lca show .*)\)\.", told)[1]
    assert shlex.split(command) == ["lca", "show", str(out / "run.zarr")]


def test_show_by_leaf(run_file):
    """--by leaf has a line for every named parameter array."""
    output = lca("show", run_file, "--by", "leaf").output
    assert all(name in output for name in demo_run().layout.names)


def test_names_are_shown_as_they_are():
    """Brackets and colons in names are no markup."""
    layout = demo_run().layout
    leaves = (evolve(layout.leaves[0], layer="[bold]h[0]:smile:"), *layout.leaves[1:])
    renamed = demo_run()
    header = evolve(renamed.header, layout=evolve(layout, leaves=leaves))
    renamed = evolve(renamed, header=header)
    console = Console(width=120, record=True, file=StringIO())
    terminal.print_summary(console, renamed, "train", "layer")
    assert "[bold]h[0]:smile:" in console.export_text()


def test_a_narrow_terminal_cuts_no_number():
    """A table that does not fit is too wide rather than short of digits."""
    console = Console(width=30, record=True, file=StringIO())
    terminal.print_summary(console, demo_run(), "train", "layer")
    text = console.export_text()
    assert "…" not in text
    assert f"{demo_total():+.4f}" in text


def test_helped_is_green_and_hurt_is_red():
    """Negative sums are green, positive ones red, zero has no colour."""
    rows = dict(demo_run().rows)
    rows["allocation"] = np.zeros_like(rows["allocation"])
    rows["allocation"][0, 0, :2] = [-2.0, 3.0]
    run = evolve(demo_run(), rows=rows)
    column = AllocationTable.of(run, "train", "leaf").drawn().columns[2]
    assert [cell.style for cell in column.cells] == ["green", "red", "", "", "red"]


@pytest.mark.parametrize(
    ("values", "written"),
    [
        ([-2.0, 10.5], ["-2.000", "+10.500"]),
        ([0.0, float("nan")], ["+0.0000", "–"]),
        ([1e-7, -2.5e-9], ["+1.000e-07", "-2.500e-09"]),
        ([123456.0, -1.0], ["+123456", "-1"]),
        ([], []),
    ],
)
def test_columns_share_their_decimals(values, written):
    """All numbers of a column have the decimals that give the largest five digits."""
    assert aligned(values) == written


@pytest.mark.parametrize("name", ["loss", "layers", "helping", "units", "peaks"])
def test_figure_writes_a_picture(name, run_file, tmp_path):
    """Each figure has a name on the command line."""
    result = lca("figure", run_file, name, "-o", tmp_path / "a.svg", "--measure", "train")
    assert result.exit_code == 0, result.output
    assert str(tmp_path / "a.svg") in result.output
    assert (tmp_path / "a.svg").read_text().startswith("<?xml")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "mean of 2 runs"),
        (["--against", "RUN", "--against", "RUN"], "and others (2 runs; loss dashed)"),
    ],
)
def test_figure_of_several_runs(options, words, run_file, tmp_path):
    """Several runs are drawn together, a second arm beside them."""
    options = [run_file if one == "RUN" else one for one in options]
    picture = tmp_path / "a.svg"
    result = lca("figure", run_file, run_file, "layers", "-o", picture, *options)
    assert result.exit_code == 0, result.output
    assert words in picture.read_text()


def test_figure_of_a_layer_in_a_theme(run_file, tmp_path):
    """The layer, the colours, the paper and the width are the asked ones."""
    wanted = ["--layer", "fc2", "--colours", "colour-blind", "--dark", "--width", "3.4"]
    result = lca("figure", run_file, "totals", "-o", tmp_path / "a.svg", *wanted)
    assert result.exit_code == 0, result.output
    picture = (tmp_path / "a.svg").read_text()
    assert "27 parameters of fc2" in picture
    assert 'width="244.8pt"' in picture
    assert "#0072b2" in picture
    assert "#ffffff" not in picture


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["RUN", "RUN", "loss"], "Of several runs there is no figure 'loss'; there is 'layers'"),
        (["RUN", "loss", "--against", "RUN"], "Of two arms there is no figure 'loss'"),
        (["RUN", "loss", "--layer", "fc1"], "'loss' is not about one layer; 'units', 'totals' are"),
        (["RUN", "totals", "--layer", "fc9"], "There is no layer 'fc9'"),
        (["RUN", "RUN", "layers", "--layer", "fc1"], "of one layer"),
        (["RUN"], "the figure's name is missing behind"),
        (["RUN", "RUN"], "the figure's name is missing behind"),
        (["RUN"], "'loss', 'layers', 'helping'"),
        (["layers"], "Missing argument 'RUN...'"),
        ([], "Missing argument 'NAME'"),
        (["RUN", "layers", "--width", "nan"], "'--width': nan is not a finite number"),
        (["RUN", "layers", "--width", "inf"], "'--width': inf is not a finite number"),
        (["RUN", "layers", "--width", "3.3"], "no room in less than 3.4 inches: give that or more"),
        (["RUN", "layers", "--width", "-5"], "no room in less than 3.4 inches: give that or more"),
    ],
)
def test_what_cannot_be_drawn_is_said(arguments, words, run_file, tmp_path):
    """A figure, runs, arms, layers or a width that there is not are refused in one sentence."""
    arguments = [run_file if one == "RUN" else one for one in arguments]
    result = lca("figure", *arguments, "-o", tmp_path / "a.png")
    assert result.exit_code != 0
    assert isinstance(result.exception, SystemExit)
    assert words in " ".join(result.stderr.split())


def test_unknown_figure_and_format(run_file, tmp_path):
    """A name that is no figure, and a format that is none, are refused with those that are."""
    result = lca("figure", run_file, "nope", "-o", tmp_path / "a.png")
    assert "'loss', 'layers', 'helping'" in result.stderr
    result = lca("figure", run_file, "loss", "-o", tmp_path / "a.xyz")
    assert result.exit_code == 2
    assert re.search(r"-o: Format 'xyz' is not supported.*png", result.stderr)


def test_errors_are_one_line(run_file, tmp_path):
    """What a user can mend is said in one line, without a traceback."""
    refused(lca("show", tmp_path / "nothing"), "nothing")
    refused(lca("show", tmp_path), "not a run file")
    refused(lca("show", run_file, "--measure", "val"), "['train']", "'val'")
    refused(
        lca("figure", run_file, "loss", "-o", tmp_path / "no" / "a.png"),
        "There is no folder",
        "a.png",
    )


def test_version():
    """--version names the command and the installed version."""
    version = metadata.version("loss-change-allocation")
    assert lca("--version").output == f"lca, version {version}\n"


class Trackerlike:
    """Counts how often it was looked at."""

    iteration = looks = 0
    every = 1
    overhead = Overhead(seconds=4.0, steps=100, alone=0.01)

    def last(self):
        """Return what a tracker returns before its first step."""
        self.looks += 1
        return {"loss": 0.5}


def test_progress_looks_seldom():
    """However fast the steps are, the tracker is looked at about ten times a second."""
    console, tracker = Console(file=StringIO()), Trackerlike()
    with TrainingProgress(console, 10_000) as progress:
        for tracker.iteration in range(1, 1_001):
            progress(tracker)
    assert tracker.looks < 20


@pytest.mark.parametrize("package", ["click", "rich"])
def test_missing_packages_are_one_sentence(package, monkeypatch):
    """Without click or rich, the command says how to install them and ends with 1."""
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == str(MissingExtraError("The command `lca`", "cli"))
    code = f"import sys; sys.modules['{package}'] = None; import lca_core.cli; lca_core.cli.main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1


def test_the_core_stays_light():
    """Importing the core, its figures and its summary loads no matplotlib, rich or click."""
    code = (
        "import sys, lca_core, lca_core.figures, lca_core.summary, lca_core.cli\n"
        "assert not {'matplotlib', 'rich', 'click'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
