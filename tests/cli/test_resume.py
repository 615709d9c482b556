"""A command that was killed goes on with its run file."""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import pytest
from click.testing import CliRunner

from lca_core import load
from lca_core.cli.commands import lca
from lca_core.errors import RunFileError

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


def test_another_training_is_refused(tmp_path):
    """A run goes on only with the options that it began with; the file stays as it was."""
    arguments = ["run", *OPTIONS[:-1], "1", "--out", str(tmp_path)]
    assert CliRunner().invoke(lca, arguments).exit_code == 0
    before = load(tmp_path / "run.zarr")
    result = CliRunner().invoke(lca, [*arguments, "--resume", "--lr", "0.5"])
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: The model stands at none of the checkpoints")
    np.testing.assert_array_equal(load(tmp_path / "run.zarr").loss("train"), before.loss("train"))


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
