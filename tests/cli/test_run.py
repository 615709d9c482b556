"""`lca run` trains what its options say, and refuses what cannot be meant."""

import os
import re
from io import StringIO

import numpy as np
import pytest
from click.testing import CliRunner
from rich.console import Console

import lca_core
from lca_core import Adaptive, Fixed, WatchSample, optimizers
from lca_core.cli import commands, progress, run
from lca_core.cli.progress import Forecast
from lca_core.cli.setup import OPTIMIZERS, Setup
from lca_core.datasets import digits
from lca_core.errors import UnsupportedError
from lca_core.figures import FIGURES
from lca_core.optimizers import SGD, Adam, Constant, Cosine, Drops, Override, RMSprop
from lca_core.overhead import Overhead
from lca_core.reference import demo_run
from lca_core.sampling import Sampling


def lca_run(*arguments):
    """Run the command `lca run`."""
    return CliRunner().invoke(commands.lca, ["run", *map(str, arguments)])


class Recorder:
    """An adapter that trains nothing, and remembers what it was asked for."""

    name = "recorder"

    def train(self, spec, dataset, *, on_step, tracking, by_class):
        """Return a run of something else."""
        self.spec, self.dataset, self.tracking = spec, dataset, tracking
        self.by_class = by_class
        return demo_run()


class Unable:
    """An adapter that supports nothing."""

    name = "unable"

    def train(self, spec, dataset, *, on_step, tracking, by_class):
        """Refuse."""
        raise UnsupportedError("No training here.")


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """Return a function: options -> what they make an adapter do."""
    adapter = Recorder()
    monkeypatch.setattr(run, "find_adapter", lambda _: adapter)
    monkeypatch.setattr(run, "FIGURES", {})

    def ask(*arguments):
        result = lca_run("--out", tmp_path, *arguments)
        assert result.exit_code == 0, result.output
        adapter.output = result.output
        return adapter

    return ask


def test_defaults(asked):
    """Without options: the FC network on digits as in the paper, refined where it is needed."""
    spec, tracking = asked().spec, asked().tracking
    assert spec.network.name == "fc"
    assert spec.network.inputs == (8, 8, 1)
    assert (spec.batch_size, spec.seed, spec.overrides) == (250, 0, {})
    assert spec.optimizer == SGD(0.01, 0.9)
    assert spec.schedule == Constant()
    assert tracking["integrator"] == Adaptive()
    assert (tracking["mode"], tracking["every"]) == ("eval", 1)
    assert len(asked().dataset.train) == 1500


@pytest.mark.parametrize(
    ("arguments", "optimizer"),
    [
        (["--optimizer", "sgd", "--lr", 0.5, "--momentum", 0], SGD(0.5, 0.0)),
        (["--optimizer", "rmsprop"], RMSprop(1e-3, 0.9)),
        (["--optimizer", "adam"], Adam(1e-4)),
        (["--optimizer", "adam", "--momentum", 0.5], Adam(1e-4, beta1=0.5)),
    ],
)
def test_optimizers(arguments, optimizer, asked):
    """Learning rate and momentum are the paper's for each optimizer, or those given."""
    assert asked(*arguments).spec.optimizer == optimizer


@pytest.mark.parametrize(
    ("arguments", "schedule"),
    [
        (["--schedule", "drops", "--drop-at", 20, "--drop-at", 10], Drops((10, 20))),
        (["--schedule", "cosine"], Cosine()),
        (["--schedule", "cosine", "--warmup", 0.5], Cosine(0.5)),
    ],
)
def test_schedules(arguments, schedule, asked):
    """Schedules take their own options."""
    assert asked(*arguments).spec.schedule == schedule


def test_overrides_of_layers(asked):
    """What several options say of one layer is kept together."""
    arguments = ("--freeze", "fc1", "--freeze", "fc2@30", "--layer-lr", "fc2=1e-3")
    overrides = asked(*arguments, "--layer-momentum", "fc3=0.5").spec.overrides
    assert overrides == {
        "fc1": Override(frozen_from=0),
        "fc2": Override(learning_rate=1e-3, frozen_from=30),
        "fc3": Override(momentum=0.5),
    }


def test_measurement(asked):
    """Rule, tolerance, mode and spacing reach the tracker."""
    tracking = asked("--rule", "lobatto-4", "--rtol", 0.1, "--mode", "batch-stats").tracking
    expected = Fixed(lca_core.RULES["Lobatto-4"], lca_core.Tolerance(rtol=0.1))
    assert tracking["integrator"] == expected
    assert tracking["mode"] == "batch-stats"
    certain = asked("--certify", "--audit", 4).tracking["integrator"]
    assert certain == Adaptive(certify=True, audit=4)
    assert asked("--audit", 0).tracking["integrator"] == Adaptive(audit=None)
    assert asked("--run-rtol", 0.01).tracking["integrator"] == Adaptive(run_rtol=0.01)
    tracking = asked("--rtol", 0.1, "--atol", 0, "--every", 7, "--overwrite").tracking
    assert tracking["integrator"] == Adaptive(rtol=0.1, atol=0.0)
    assert tracking["every"] == 7


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        ([], []),
        (["--observe", "sizes", "--observe", "tallies"], ["Sizes", "Tallies"]),
        (["--observe", "all"], ["Tallies", "Oscillation", "Sizes", "Distribution"]),
        (["--watch", 3, "--dense"], ["Dense", "WatchSample"]),
    ],
)
def test_observers(arguments, extra, asked):
    """What is asked for is kept beside what is always kept."""
    names = [type(observer).__name__ for observer in asked(*arguments).tracking["observers"]]
    assert names == ["Totals", "Counts", "UnitSums", *extra]


def test_watched_parameters_are_drawn_by_the_seed(asked):
    """--watch says how many of a layer, --seed which."""
    *_, watch = asked("--watch", 3, "--seed", 7).tracking["observers"]
    assert watch == WatchSample(3, seed=7)


def test_classes(asked):
    """--by-class reaches the adapter, and is said."""
    assert not asked().by_class
    one = asked("--by-class")
    assert one.by_class
    assert "(and over each class of them)" in one.output


@pytest.mark.parametrize(("examples", "held_out"), [(100, 100), (1000, 297)])
def test_examples(examples, held_out, asked):
    """--examples takes the first of each split, as far as there are so many."""
    dataset = asked("--examples", examples).dataset
    np.testing.assert_array_equal(dataset.train.inputs, digits().train.inputs[:examples])
    np.testing.assert_array_equal(dataset.val.labels, digits().val.labels[:held_out])


def test_work_is_announced(asked):
    """Size and work are said before the training: 16 epochs x 2 steps, two gradients a segment."""
    arguments = ("--examples", 200, "--batch-size", 150, "--epochs", 16, "--rule", "Simpson")
    first, second = asked(*arguments, "--every", 5).output.splitlines()[:2]
    for words in ("fc (12,060 parameters)", "200 examples of digits", "32 steps", "every 5 steps"):
        assert words in first
    # ceil(32 / 5) segments x (1 shared end + 1 point inside), over 200 + 200 examples.
    assert second.startswith("That takes at least 14 gradients over all 400 examples, 2 times")


def test_moving_averages_double_the_work(asked):
    """Batch norm with moving averages is announced as a second gradient a step."""
    arguments = ("--network", "resnet20", "--examples", 100, "--epochs", 6)
    assert "at least 12 gradients" in asked(*arguments).output
    assert "at least 6 gradients" in asked(*arguments, "--mode", "batch-stats").output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--freeze", "fc9"], "['fc9']; the layers of 'fc' are"),
        (["--freeze", "@3"], "--freeze"),
        (["--freeze", "fc1@-1"], "--freeze"),
        (["--freeze", "fc1@1.5"], "--freeze"),
        (["--layer-lr", "fc1"], "'fc1' is not a layer, '=' and a number"),
        (["--layer-lr", "fc1=fast"], "'fast' is not a valid float"),
        (["--layer-momentum", "fc1=1"], "--layer-momentum"),
        (["--schedule", "drops"], "--drop-at"),
        (["--drop-at", "3"], "--schedule drops"),
        (["--warmup", "3"], "--schedule cosine"),
        (["--examples", "1501"], "1,501 examples were asked for, of 1 to 1,500"),
        (["--data", "mnist", "--data-dir", "nowhere"], "no folder 'nowhere'"),
        (["--rule", "nope"], "'simpson'"),
        (["--rule", "Simpson", "--certify"], "leave it out, or --certify, --audit"),
        (["--rule", "Simpson", "--audit", "0"], "leave it out, or --certify, --audit"),
        (["--rule", "Simpson", "--run-rtol", "0"], "--audit and --run-rtol"),
        (["--by-class", "--mode", "batch-stats"], "--by-class needs --mode eval"),
        (["--observe", "nope"], "'distribution'"),
    ],
)
def test_refusals(arguments, words, monkeypatch, tmp_path):
    """What cannot be meant is one error line that names it, and nothing is written or deleted."""
    monkeypatch.setattr(run, "find_adapter", lambda _: Unable())
    (tmp_path / "run.zarr").mkdir()
    result = lca_run("--out", tmp_path, "--overwrite", *arguments)
    assert isinstance(result.exception, SystemExit)
    assert words in result.stderr.splitlines()[-1]
    assert [path.name for path in tmp_path.iterdir()] == ["run.zarr"]


def test_unknown_backend(tmp_path):
    """A backend that is not there is refused with those that are."""
    assert "No backend is called 'nope'" in lca_run("--out", tmp_path, "--backend", "nope").stderr


def test_an_earlier_run_stays(monkeypatch, tmp_path):
    """Without --overwrite an earlier run is refused before data are looked for."""
    monkeypatch.setattr(run, "find_adapter", lambda _: Unable())
    (tmp_path / "run.zarr").mkdir()
    result = lca_run("--out", tmp_path, "--data", "mnist", "--data-dir", "nowhere")
    assert "There is already a run" in result.stderr


def test_unsupported_is_one_line(monkeypatch, tmp_path):
    """What a backend does not build is said in one line."""
    monkeypatch.setattr(run, "find_adapter", lambda _: Unable())
    result = lca_run("--out", tmp_path)
    assert result.exit_code == 1
    assert result.stderr == "Error: No training here.\n"


def test_every_optimizer_has_the_papers_settings():
    """The optimizers of the options are those there are, under their names."""
    assert {name: type(one) for name, one in OPTIMIZERS.items()} == optimizers.OPTIMIZERS


def test_options_and_setup_agree():
    """Every field of the set-up is an option of the command, and nothing else is."""
    named = {option.name for option in commands.lca.commands["run"].params}
    fields = {field.name for field in Setup.__attrs_attrs__}
    assert named == fields | {"backend", "out", "replace", "resume", "live"}


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_a_real_run(backend, tmp_path):
    """A backend really trains: a frozen layer stays, the books close, all files are there."""
    pytest.importorskip({"numpy": "lca_core.reference.adapter"}.get(backend, f"lca_{backend}"))
    shape = ("--examples", 60, "--batch-size", 30, "--epochs", 3, "--lr", 0.1)
    where = ("--backend", backend, "--out", tmp_path)
    result = lca_run(*where, *shape, "--freeze", "fc1@2", "--freeze", "fc3")
    assert result.exit_code == 0, result.output
    written = lca_core.load(tmp_path / "run.zarr")
    fc1, fc2, fc3 = written.allocation("train", by="layer").values.T
    assert written.steps == 6
    assert np.all(fc1[:2] != 0.0)
    assert np.all(fc1[2:] == 0.0)
    assert np.all(fc2 != 0.0)
    assert np.all(fc3 == 0.0)
    change = np.diff(written.loss("train"))
    np.testing.assert_allclose(fc1 + fc2 + fc3, change, atol=1e-5 + 5e-3 * np.abs(change).max())
    needy = {"distribution", "heroes", "trajectories", "gradient-peaks", "motion-peaks"}
    pictures = {f"{name}.png" for name in FIGURES if name not in needy}
    assert {path.name for path in tmp_path.iterdir()} == {"run.zarr", *pictures}


class Trackerlike:
    """Stands at an iteration."""

    iteration = 0
    every = 1
    overhead = Overhead()

    def last(self):
        """Return what a tracker knows of a step."""
        return {"loss": 0.5}


@pytest.fixture
def clock(monkeypatch):
    """Return a list of one time, which the forecast takes for now."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def told(clock):
    """Return a function: seconds a measurement, steps, every -> what a forecast says."""

    def forecast(seconds, steps, every=1):
        console, tracker = Console(file=StringIO(), width=200), Trackerlike()
        says = Forecast(console, steps, every)
        for tracker.iteration in range(1, steps + 1):
            first = 30.0 if tracker.iteration == every else 0.0
            clock[0] += first + (seconds if tracker.iteration % every == 0 else 0.0)
            says(tracker)
        return console.file.getvalue()

    return forecast


def test_forecast(told):
    """A long training is told once, without the time of its first, compiling measurement."""
    assert told(0.5, 1000) == "0.5 s a step so far: about 8.3 min in all.\n"
    assert told(5.0, 1000, every=10) == "0.5 s a step so far: about 8.3 min in all.\n"
    assert told(0.05, 1000) == ""
    assert told(1e-5, 1000) == ""


def test_a_long_run_is_told(clock, monkeypatch, tmp_path):
    """`lca run` says in its output how long it will take."""

    class Slow:
        name = "slow"

        def train(self, spec, dataset, *, on_step, tracking, by_class):
            tracker = Trackerlike()
            for tracker.iteration in range(1, 61):
                clock[0] += 60.0
                on_step(tracker)
            return demo_run()

    monkeypatch.setattr(run, "find_adapter", lambda _: Slow())
    monkeypatch.setattr(run, "FIGURES", {})
    assert "60 s a step so far: about 60 min in all." in lca_run("--out", tmp_path).output


def test_samples_are_carried_to_the_adapter(asked):
    """--probe, --redrawn and --stratified arrive as one setting; without them there is none."""
    assert "sampling" not in asked().tracking
    assert asked("--probe", 100).tracking["sampling"] == Sampling(100)
    both = asked("--redrawn", 50, "--probe", 20, "--stratified")
    assert both.tracking["sampling"] == Sampling(20, 50, stratified=True)
    assert "over 50 of them, drawn afresh at every measurement, and over 20 of 297" in both.output
    assert "gradients over 70 examples" in both.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--stratified"], "--probe or --redrawn"),
        (["--probe", 10, "--by-class"], "leave out"),
        (["--redrawn", 10, "--mode", "batch-stats"], "--mode eval"),
        (["--redrawn", 13], "even number"),
        (["--redrawn", 2000, "--backend", "numpy"], "the data hold 1500"),
    ],
)
def test_samples_that_cannot_be_are_refused(arguments, words, tmp_path):
    """What cannot be drawn is said in one line, and nothing is written."""
    result = lca_run("--out", tmp_path, *arguments)
    assert result.exit_code != 0
    assert words in result.output
    assert not (tmp_path / "run.zarr").exists()


@pytest.mark.parametrize("earlier", [[], ["--overwrite"]])
def test_more_than_there_is_is_refused_before_anything_is_done(earlier, tmp_path):
    """What cannot be drawn is neither announced, nor does an earlier run make room for it."""
    if earlier:
        demo_run(2).save(tmp_path / "run.zarr")
    result = lca_run("--out", tmp_path, "--redrawn", 2000, *earlier)
    assert result.exit_code == 2
    assert "--redrawn: 2000 examples were asked for" in " ".join(result.output.split())
    assert "Training" not in result.output
    assert (tmp_path / "run.zarr").exists() == bool(earlier)


def test_one_is_one(asked):
    """One step and one gradient are no steps and gradients; every other is said as it is."""
    once = asked("--epochs", 1, "--batch-size", 2000).output
    assert "torch, 1 step; the change" in once
    assert "each parameter at every step." in once
    assert "at least 1 gradient over all 1,797" in once
    seldom = asked("--epochs", 1, "--every", 1234).output
    assert "each parameter every 1,234 steps." in seldom


@pytest.mark.parametrize("place", ["file/inside", "locked", "locked/inside"])
def test_a_folder_that_cannot_be_written_to_is_told(place, monkeypatch, tmp_path):
    """It is said before the training, with the folder, what the system says and what to do."""
    (tmp_path / "file").touch()
    (tmp_path / "locked").mkdir(mode=0o500)
    if os.access(tmp_path / "locked", os.W_OK):  # root may write anywhere
        monkeypatch.setattr("lca_core.cli.out.TemporaryFile", refused)
    result = lca_run("--out", tmp_path / place, "--epochs", 1)
    assert result.exit_code == 1
    told = " ".join(result.output.split())
    assert re.fullmatch(rf"Error: Nothing can be written in '{tmp_path / place}': .*", told)
    assert "Errno" not in told
    assert "Choose another --out" in told


def refused(**_):
    """Refuse a file, as a folder without the right to write does."""
    raise PermissionError(13, "Permission denied")


@pytest.mark.usefixtures("undrawn")
def test_a_sampled_run_tells_what_was_drawn_and_goes_on(tmp_path):
    """The run file says what was drawn, seeded as the training; broken off, it draws on."""
    shape = ("--examples", 60, "--batch-size", 20, "--backend", "numpy", "--seed", 3)
    few = ("--redrawn", 20, "--probe", 30, "--stratified")
    whole, half = tmp_path / "whole", tmp_path / "half"
    for out, epochs in ((whole, 4), (half, 2)):
        assert lca_run("--out", out, *shape, *few, "--epochs", epochs).exit_code == 0
    assert lca_run("--out", half, *shape, *few, "--epochs", 4, "--resume").exit_code == 0
    one, other = (lca_core.load(out / "run.zarr") for out in (whole, half))
    for measure, redrawn, n in (("train", True, 20), ("val", False, 30)):
        probe = one.probe(measure)
        assert (probe.redrawn, probe.examples, probe.of) == (redrawn, n, 60)
        assert (probe.seed, probe.stratified) == (3, True)
    for name, rows in one.rows.items():
        np.testing.assert_array_equal(other.rows[name], rows, err_msg=name)
