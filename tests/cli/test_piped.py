"""What a command writes into a pipe or a file is lines to keep: none ends in blanks."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from lca_core.cli.commands import lca
from lca_core.reference import demo_run

SMALL = ["--backend", "numpy", "--examples", "100", "--batch-size", "10", "--epochs", "1"]


@pytest.fixture
def saved(tmp_path):
    """Return the path of a saved run."""
    path = tmp_path / "saved.zarr"
    demo_run().save(path)
    return path


@pytest.mark.parametrize(
    "words",
    [
        ["show", "RUN"],
        ["show", "RUN", "--by", "leaf"],
        ["run", *SMALL, "--out", "OUT"],
        ["demo", "--backend", "numpy", "--epochs", "1", "--out", "OUT"],
        ["plan", *SMALL],
        ["experiment", "--list"],
    ],
    ids=lambda words: " ".join(words[:3]),
)
def test_no_line_ends_in_blanks(words, saved, tmp_path):
    """Tables and pictures are padded for a terminal, and for nobody else."""
    places = {"RUN": str(saved), "OUT": str(tmp_path / "out")}
    result = CliRunner().invoke(lca, [places.get(word, word) for word in words])
    assert result.exit_code == 0, result.output
    assert len(result.stdout.splitlines()) > 5
    assert [line for line in result.stdout.splitlines() if line != line.rstrip()] == []


COMMAND = [sys.executable, "-c", "from lca_core.cli import main; main()"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is always full")
@pytest.mark.parametrize("words", [["show", "RUN"], ["--help"], ["show", "--help"]])
def test_a_full_disk_is_one_line(words, saved):
    """Words that cannot be written end in one line on the other stream."""
    words = [str(saved) if word == "RUN" else word for word in words]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*COMMAND, *words], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1
    assert done.stderr == "Error: [Errno 28] No space left on device\n"


@pytest.mark.parametrize("words", [["show", "RUN"], ["--help"]])
def test_a_closed_pipe_is_silence(words, saved):
    """Where nobody reads on, the command ends without a word."""
    words = [str(saved) if word == "RUN" else word for word in words]
    with subprocess.Popen(
        [*COMMAND, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 1
