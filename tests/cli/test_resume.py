"""A command that was killed goes on with its run file."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
from click.testing import CliRunner
from zarr import open_group

from lca_core import load
from lca_core.cli.commands import lca
from lca_core.errors import RunFileError

pytestmark = pytest.mark.usefixtures("undrawn")

OPTIONS = ["--backend", "numpy", "--examples", "200", "--batch-size", "10", "--epochs", "20"]
STEPS = 400


def command(out, *flags):
    """Return `lca run` as the command line of a process of its own."""
    code = "from lca_core.cli import main; main()"
    return [sys.executable, "-c", code, "run", *OPTIONS, "--out", str(out), *flags]


def written(path):
    """Return how many steps count in a run file that is being written."""
    try:
        return load(path).steps
    except (FileNotFoundError, RunFileError):
        return 0


@pytest.mark.slow
def test_a_killed_run_goes_on(tmp_path):
    """Killed and resumed, a run ends bit for bit as one that was left alone."""
    subprocess.run(command(tmp_path / "whole"), check=True, stdout=subprocess.DEVNULL)

    killed = subprocess.Popen(command(tmp_path / "killed"), stdout=subprocess.DEVNULL)
    while not written(tmp_path / "killed" / "run.zarr") and killed.poll() is None:
        time.sleep(0.01)
    killed.kill()
    killed.wait()
    assert 0 < written(tmp_path / "killed" / "run.zarr") < STEPS

    resumed = command(tmp_path / "killed", "--resume")
    subprocess.run(resumed, check=True, stdout=subprocess.DEVNULL)
    one, other = (load(tmp_path / name / "run.zarr") for name in ("whole", "killed"))
    assert one.steps == other.steps == STEPS
    for name, rows in one.rows.items():
        np.testing.assert_array_equal(other.rows[name], rows, err_msg=name)
    for name, values in one.total("train").items():
        np.testing.assert_array_equal(other.total("train")[name], values, err_msg=name)


def test_resume_begins_where_there_is_nothing(tmp_path):
    """Asked to go on where there is no run, the command begins one; asked again, it is done."""
    arguments = ["run", *OPTIONS[:-1], "1", "--out", str(tmp_path), "--resume"]
    for _ in range(2):
        result = CliRunner().invoke(lca, arguments)
        assert result.exit_code == 0, result.output
        assert load(tmp_path / "run.zarr").steps == STEPS / 20


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Return the command of a run that is finished, and its file."""
    out = tmp_path_factory.mktemp("finished")
    arguments = ["run", *OPTIONS[:-1], "1", "--out", str(out)]
    assert CliRunner().invoke(lca, arguments).exit_code == 0
    return arguments, out / "run.zarr"


def test_another_training_is_refused(finished):
    """A run goes on only with the options that it began with; the file stays as it was."""
    arguments, path = finished
    before = load(path)
    result = CliRunner().invoke(lca, [*arguments, "--resume", "--lr", "0.5"])
    assert result.exit_code == 1
    assert result.stderr == (
        f"Error: The run in '{path}' was trained with optimizer.learning_rate = 0.01, now it is "
        "0.5. Resume with the same settings, or begin another run: choose another --out, or pass "
        "--overwrite.\n"
    )
    assert not result.stdout
    np.testing.assert_array_equal(load(path).loss("train"), before.loss("train"))


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (["--network", "lenet"], "network = fc, now it is lenet"),
        (["--examples", "100"], "data.examples.train = 200, now it is 100"),
        (["--optimizer", "adam"], "optimizer.kind = SGD, now it is Adam"),
        (["--batch-size", "20"], "batch_size = 10, now it is 20"),
        (["--seed", "1"], "seed = 0, now it is 1"),
        (["--layer-lr", "fc1=0.5"], "overrides.fc1 = nothing, now it is {"),
    ],
)
def test_the_setting_that_differs_is_named(finished, changed, told):
    """Whatever of the training is changed, the refusal names it, what it was and what it is."""
    arguments, _ = finished
    result = CliRunner().invoke(lca, [*arguments, "--resume", *changed])
    assert result.exit_code == 1
    assert f"was trained with {told}" in result.stderr


def test_a_backend_may_be_spelled_otherwise(finished):
    """It is the same under its entry point's name and as package.module:NAME; another is not."""
    arguments, _ = finished
    for spelled, code in (("lca_core.reference.adapter:ADAPTER", 0), ("jax", 1)):
        result = CliRunner().invoke(lca, [*arguments, "--resume", "--backend", spelled])
        assert result.exit_code == code, result.output
    assert "was trained with backend = numpy, now it is jax" in result.stderr


def test_another_demo_is_refused(tmp_path):
    """The demonstration, too, goes on with nothing but the training that it began."""
    arguments = ["demo", "--backend", "numpy", "--epochs", "1", "--out", str(tmp_path)]
    assert CliRunner().invoke(lca, arguments).exit_code == 0
    result = CliRunner().invoke(lca, [*arguments, "--resume", "--seed", "3"])
    assert result.exit_code == 1
    assert "was trained with seed = 0, now it is 3." in result.stderr


@pytest.mark.parametrize("schedule", ["constant", "drops"])
def test_a_run_may_go_on_for_longer(tmp_path, schedule):
    """More epochs make a run longer where they do not bend it; the next resumption knows them."""
    drops = ["--drop-at", "1"] if schedule == "drops" else []
    begun = ["run", *OPTIONS[:-1], "2", "--out", str(tmp_path), "--schedule", schedule, *drops]
    assert CliRunner().invoke(lca, begun).exit_code == 0
    result = CliRunner().invoke(lca, [*begun, "--resume", "--epochs", "3"])
    assert result.exit_code == 0, result.output
    assert load(tmp_path / "run.zarr").steps == 60
    settings = open_group(tmp_path / "run.zarr", mode="r")["training"].attrs
    assert settings["epochs"] == 3


def test_a_course_that_depends_on_the_epochs_keeps_them(tmp_path):
    """A cosine that would have begun otherwise is refused before anything is trained."""
    begun = ["run", *OPTIONS[:-1], "2", "--out", str(tmp_path), "--schedule", "cosine"]
    assert CliRunner().invoke(lca, begun).exit_code == 0
    result = CliRunner().invoke(lca, [*begun, "--resume", "--epochs", "3"])
    assert result.exit_code == 1
    told = "with epochs = 2, now it is 3, and the course of Cosine depends on them. Resume"
    assert told in result.stderr
    assert load(tmp_path / "run.zarr").steps == 40


def test_a_run_without_a_record_of_its_training_goes_on(tmp_path):
    """A file of an earlier version tells nothing of its training: its checkpoints still do."""
    begun = ["run", *OPTIONS[:-1], "1", "--out", str(tmp_path)]
    assert CliRunner().invoke(lca, begun).exit_code == 0
    shutil.rmtree(tmp_path / "run.zarr" / "training")
    longer = [*begun, "--resume", "--epochs", "2"]
    other = CliRunner().invoke(lca, [*longer, "--lr", "0.5"])
    assert other.stderr.startswith("Error: The model stands at none of the checkpoints")
    result = CliRunner().invoke(lca, longer)
    assert result.exit_code == 0, result.output
    assert load(tmp_path / "run.zarr").steps == 40


def test_a_shorter_training_does_not_reach_the_run(tmp_path):
    """It is refused in one sentence that says where the run stands."""
    short = ["run", "--backend", "numpy", "--examples", "100", "--batch-size", "50"]
    begun = CliRunner().invoke(lca, [*short, "--epochs", "4", "--out", str(tmp_path)])
    assert begun.exit_code == 0, begun.output
    again = [*short, "--epochs", "1", "--out", str(tmp_path), "--resume"]
    found = CliRunner().invoke(lca, again)
    assert found.exit_code != 0
    said = " ".join(f"{found.output} {found.exception}".split())
    assert "stands at step" in said
    assert "Train for longer" in said
